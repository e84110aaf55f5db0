# Without shares

What the rule is for: without it, an increment reads the value and writes the sum, as in every store that replicates
writes. Of two increments on two nodes at once, one is lost.

Compare story 28.

> cluster 2 without shares
> quietly count node1 visits +1
> quietly propagate node1 node2
> cut node1 node2
> pass 1ms
> count node1 visits +2
    node1: INCRBY visits 2: 3
> pass 1ms
> count node2 visits +10
    node2: INCRBY visits 10: 11
> mend node1 node2
> propagate node1 node2
    node1 ──▶ node2  PROPAGATE SET visits 3 12:00:00.001+0@1
    node1 ◀── node2  0 (lost, or the same)
> propagate node2 node1
    node2: opens connection 2 to node1
    node2 ──▶ node1  PEER node2 incarnation 1 clock 12:00:00.002+0
    node2 ◀── node1  node1 incarnation 1 clock 12:00:00.002+0, arrivals 2
    node2 ──▶ node1  PROPAGATE SET visits 11 12:00:00.002+0@2
    node2 ◀── node1  1 (won)
> show visits
    visits on node1: 11  (version 12:00:00.002+0@2)
    visits on node2: 11  (version 12:00:00.002+0@2)

All clients were told OK, and 13 visits are 11.
