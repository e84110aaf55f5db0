# A delete that is seen again

Claim: a node keeps a settled tombstone while any peer still lists it. Otherwise nodes that have forgotten it would
learn it again, list it themselves, and so on in turn.

The clock of node 2 is five minutes behind. So the tombstone lies ahead of the clock of node 2, by more than what may
move that clock. Node 2 must not settle it. If node 2 forgot the tombstone, a later write of node 2 would get an earlier
version than the delete. It would lose to the delete on every node that still remembers it.

> cluster 2
> clock node2 -5m
> set node1 cart book
    node1: SET cart book: version 12:00:00.000+0@1
> quietly propagate node1 node2
> del node1 cart
    node1: DEL cart: version 12:00:00.000+1@1
> quietly propagate node1 node2
> quietly tick all 2
> tombstones
    node1: 0 waiting, 1 settled, 0 forgotten
    node2: 1 waiting, 0 settled, 0 forgotten

Node 1 has settled it and no longer lists it. In each round it sees that node 2 still does, and keeps it.

> tick node1
    node1: tick begins
    node1 ──▶ node2  PEER node1 incarnation 1 clock 12:00:00.000+3
    node1 ◀── node2  node2 incarnation 1 clock 11:55:00.000+1, arrivals 2
    node1 ──▶ node2  DIGEST
    node1 ◀── node2  root 920d52cc8c341b9b
    node1 ──▶ node2  DIGEST ""
    node1 ◀── node2  16 digests
    node1 ──▶ node2  DIGEST f
    node1 ◀── node2  16 digests
    node1 ──▶ node2  DIGEST f5
    node1 ◀── node2  16 digests
    node1 ──▶ node2  DIGEST f56
    node1 ◀── node2  16 digests
    node1 ──▶ node2  LEAF f564 empty
    node1 ◀── node2  DEL cart 12:00:00.000+1@1
    node1 ──▶ node2  CONFIRM 2
    node1 ◀── node2  OK
    node1: round with node2 done: pulled 0, pushed 0
    node1: tick complete: 0 settled, 0 forgotten, 0 wait
> quietly tick all 5
> tombstones
    node1: 0 waiting, 1 settled, 0 forgotten
    node2: 1 waiting, 0 settled, 0 forgotten

When the clock of node 2 has caught up, node 2 settles it, and both forget it.

> pass 5m
> quietly tick all 5
> tombstones
    node1: 0 waiting, 0 settled, 1 forgotten
    node2: 0 waiting, 0 settled, 1 forgotten
