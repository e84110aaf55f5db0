# A delete that had not seen an increment

Claim: a delete takes away what its node had seen. An increment that it had not seen makes the key exist, and the
tombstone below it does not settle. When all of it was seen, the key is forgotten with all its shares.

> cluster 2
> quietly count node1 visits +5
> quietly propagate node1 node2
> cut node1 node2
> count node2 visits +1
    node2: INCRBY visits 1: 6
> del node1 visits
    node1: DEL visits: version 12:00:00.000+1@1
> show visits
    visits on node1: nothing  (DEL visits 12:00:00.000+1@1, +5 of which +5 was seen)
    visits on node2: 6  (COUNT visits, +5, +1)
> mend node1 node2
> propagate node1 node2
    node1 ──▶ node2  PROPAGATE DEL visits 12:00:00.000+1@1, +5 of which +5 was seen
    node1 ◀── node2  1 (won)
> propagate node2 node1
    node2: opens connection 2 to node1
    node2 ──▶ node1  PEER node2 incarnation 1 clock 12:00:00.000+1
    node2 ◀── node1  node1 incarnation 1 clock 12:00:00.000+1, arrivals 2
    node2 ──▶ node1  PROPAGATE DEL visits 12:00:00.000+1@1, +5 of which +5 was seen, +1
    node2 ◀── node1  1 (won)
> show visits
    visits on node1: 1  (DEL visits 12:00:00.000+1@1, +5 of which +5 was seen, +1)
    visits on node2: 1  (DEL visits 12:00:00.000+1@1, +5 of which +5 was seen, +1)
> quietly tick all 6
> tombstones
    node1: 0 waiting, 0 settled, 0 forgotten
    node2: 0 waiting, 0 settled, 0 forgotten

Now a client deletes it once more, and nobody counts.

> del node1 visits
    node1: DEL visits: version 12:00:00.000+13@1
> quietly propagate node1 node2
> quietly tick all 6
> tombstones
    node1: 0 waiting, 0 settled, 1 forgotten
    node2: 0 waiting, 0 settled, 1 forgotten
> show visits
    visits on node1: nothing
    visits on node2: nothing

The next increment begins a new share: its sum is never compared with what somebody had seen of the old one.

> count node2 visits +1
    node2: INCRBY visits 1: 1
> propagate node2 node1
    node2 ──▶ node1  PROPAGATE COUNT visits, +1
    node2 ◀── node1  1 (won)
> show visits
    visits on node1: 1  (COUNT visits, +1)
    visits on node2: 1  (COUNT visits, +1)
