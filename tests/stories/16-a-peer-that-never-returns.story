# A peer that never returns

Claim: tombstones wait for a peer that is away, until the operator says that it will never return. If it returns all the
same, it is refused until it starts empty.

> cluster 3
> set node1 cart book
    node1: SET cart book: version 12:00:00.000+0@1
> quietly propagate node1
> quietly tick all 1
> cut node1 node3
> cut node2 node3
> del node1 cart
    node1: DEL cart: version 12:00:00.000+2@1
> quietly propagate node1
> quietly tick all 4
> tombstones
    node1: 1 waiting, 0 settled, 0 forgotten
    node2: 1 waiting, 0 settled, 0 forgotten
    node3: 0 waiting, 0 settled, 0 forgotten

Node 3 is on fire. The operator says FORGET on both nodes that remain, and would then start them without node 3 among
their peers. But here node 3 comes back.

> dismiss node3 on node1
    node1: dismisses node3
> dismiss node3 on node2
    node2: dismisses node3
> mend node1 node3
> mend node2 node3

Node 3 still holds the value. Its peers refuse it, so it cannot undo the delete.

> tick node3
    node3: tick begins
    node3: opens connection 7 to node1
    node3 ──▶ node1  PEER node3 incarnation 1 clock 12:00:00.000+7
    node3 ◀── node1  REFUSED node3 was dismissed by FORGET: start it again without its data
    node3: round with node1 failed: refused: node3 was dismissed by FORGET: start it again without its data
    node3: opens connection 8 to node2
    node3 ──▶ node2  PEER node3 incarnation 1 clock 12:00:00.000+7
    node3 ◀── node2  REFUSED node3 was dismissed by FORGET: start it again without its data
    node3: round with node2 failed: refused: node3 was dismissed by FORGET: start it again without its data
    node3: tick not complete: 0 settled, 0 forgotten, 0 wait
> show cart
    cart on node1: a tombstone  (version 12:00:00.000+2@1)
    cart on node2: a tombstone  (version 12:00:00.000+2@1)
    cart on node3: book  (version 12:00:00.000+0@1)
> restart node3
    node3: starts again, its memory is gone
> tick node3
    node3: tick begins
    node3: opens connection 9 to node1
    node3 ──▶ node1  PEER node3 incarnation 2 clock 0
    node3 ◀── node1  node1 incarnation 1 clock 12:00:00.000+9, arrivals 2
    node3 ──▶ node1  PEER node3 incarnation 2 clock 12:00:00.000+9
    node3 ◀── node1  node1 incarnation 1 clock 12:00:00.000+9, arrivals 2
    node3 ──▶ node1  DIGEST
    node3 ◀── node1  root 673193d257926208
    node3 ──▶ node1  DIGEST ""
    node3 ◀── node1  16 digests
    node3 ──▶ node1  DIGEST f
    node3 ◀── node1  16 digests
    node3 ──▶ node1  DIGEST f5
    node3 ◀── node1  16 digests
    node3 ──▶ node1  DIGEST f56
    node3 ◀── node1  16 digests
    node3 ──▶ node1  LEAF f564 empty
    node3 ◀── node1  DEL cart 12:00:00.000+2@1
    node3 ──▶ node1  CONFIRM 2
    node3 ◀── node1  OK
    node3: round with node1 done: pulled 1, pushed 0
    node3: opens connection 10 to node2
    node3 ──▶ node2  PEER node3 incarnation 2 clock 12:00:00.000+9
    node3 ◀── node2  node2 incarnation 1 clock 12:00:00.000+10, arrivals 2
    node3 ──▶ node2  PEER node3 incarnation 2 clock 12:00:00.000+10
    node3 ◀── node2  node2 incarnation 1 clock 12:00:00.000+10, arrivals 2
    node3 ──▶ node2  DIGEST
    node3 ◀── node2  root 673193d257926208
    node3 ──▶ node2  CONFIRM 2
    node3 ◀── node2  OK
    node3: round with node2 done: pulled 0, pushed 0
    node3: tick not complete: 0 settled, 0 forgotten, 1 wait
> show cart
    cart on node1: a tombstone  (version 12:00:00.000+2@1)
    cart on node2: a tombstone  (version 12:00:00.000+2@1)
    cart on node3: a tombstone  (version 12:00:00.000+2@1)
> quietly tick all 6
> tombstones
    node1: 0 waiting, 0 settled, 1 forgotten
    node2: 0 waiting, 0 settled, 1 forgotten
    node3: 0 waiting, 0 settled, 1 forgotten
