# A SET between increments

Claim: a SET resets what its node had seen of the counter. What it had not seen survives, and counts on top of it.

> cluster 2
> quietly count node1 visits +5
> quietly propagate node1 node2
> show visits
    visits on node1: 5  (COUNT visits, +5)
    visits on node2: 5  (COUNT visits, +5)

Node 2 counts on while the network is cut. On node 1, which does not know of that, a client sets the counter to 100.

> cut node1 node2
> count node2 visits +3
    node2: INCRBY visits 3: 8
> set node1 visits 100
    node1: SET visits 100: version 12:00:00.000+1@1
> show visits
    visits on node1: 100  (SET visits 100 12:00:00.000+1@1, +5 of which +5 was seen)
    visits on node2: 8  (COUNT visits, +5, +3)
> mend node1 node2
> propagate node1 node2
    node1 ──▶ node2  PROPAGATE SET visits 100 12:00:00.000+1@1, +5 of which +5 was seen
    node1 ◀── node2  1 (won)
> propagate node2 node1
    node2: opens connection 2 to node1
    node2 ──▶ node1  PEER node2 incarnation 1 clock 12:00:00.000+1
    node2 ◀── node1  node1 incarnation 1 clock 12:00:00.000+1, arrivals 2
    node2 ──▶ node1  PROPAGATE SET visits 100 12:00:00.000+1@1, +5 of which +5 was seen, +3
    node2 ◀── node1  1 (won)
> show visits
    visits on node1: 103  (SET visits 100 12:00:00.000+1@1, +5 of which +5 was seen, +3)
    visits on node2: 103  (SET visits 100 12:00:00.000+1@1, +5 of which +5 was seen, +3)

The SET had seen the five of node 1: they are replaced. It had not seen the three of node 2: they count. Had node 2 sent
"8" instead of its share, one of the two would be gone.
