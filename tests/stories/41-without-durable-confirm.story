# Without durable-confirm

What the rule is for: without it, a node confirms what is not on its disk yet. All others forget the delete. Then a
power cut takes the delete back, and the value spreads again.

> cluster 2 with disks without durable-confirm
> quietly set node1 cart book
> quietly propagate node1
> sync node1
    node1: syncs its disk
> sync node2
    node2: syncs its disk
> del node1 cart
    node1: DEL cart: version 12:00:00.000+1@1
> quietly propagate node1
> tick node2
    node2: tick begins
    node2: opens connection 2 to node1
    node2 ──▶ node1  PEER node2 incarnation 1 clock 12:00:00.000+1
    node2 ◀── node1  node1 incarnation 1 clock 12:00:00.000+1, arrivals 2
    node2 ──▶ node1  PEER node2 incarnation 1 clock 12:00:00.000+1
    node2 ◀── node1  node1 incarnation 1 clock 12:00:00.000+1, arrivals 2
    node2 ──▶ node1  DIGEST
    node2 ◀── node1  root 920d52cc8c341b9b
    node2 ──▶ node1  CONFIRM 2
    node2 ◀── node1  OK
    node2: round with node1 done: pulled 0, pushed 0
    node2: tick complete: 0 settled, 0 forgotten, 1 wait
> quietly tick all 6
> tombstones
    node1: 0 waiting, 0 settled, 1 forgotten
    node2: 0 waiting, 0 settled, 1 forgotten
> power-cut node2
    node2: loses its power, and starts again
> show cart
    cart on node1: nothing
    cart on node2: book  (version 12:00:00.000+0@1)
> tick node2
    node2: tick begins
    node2: opens connection 3 to node1
    node2 ──▶ node1  PEER node2 incarnation 2 clock 12:00:00.000+0, confirmation 1
    node2 ◀── node1  node1 incarnation 1 clock 12:00:00.000+13, arrivals 2
    node2 ──▶ node1  PEER node2 incarnation 2 clock 12:00:00.000+13, confirmation 1
    node2 ◀── node1  node1 incarnation 1 clock 12:00:00.000+13, arrivals 2
    node2 ──▶ node1  DIGEST
    node2 ◀── node1  root 0000000000000000
    node2 ──▶ node1  DIGEST ""
    node2 ◀── node1  16 digests
    node2 ──▶ node1  DIGEST f
    node2 ◀── node1  16 digests
    node2 ──▶ node1  DIGEST f5
    node2 ◀── node1  16 digests
    node2 ──▶ node1  DIGEST f56
    node2 ◀── node1  16 digests
    node2 ──▶ node1  LEAF f564 1 hash to 12:00:00.000+0
    node2 ◀── node1  lacks 1
    node2 ──▶ node1  PROPAGATE SET cart book 12:00:00.000+0@1
    node2 ◀── node1  1 (won)
    node2 ──▶ node1  CONFIRM 2, confirmation 1
    node2 ◀── node1  OK
    node2: round with node1 done: pulled 0, pushed 1
    node2: tick not complete: 0 settled, 0 forgotten, 0 wait
> show cart
    cart on node1: book  (version 12:00:00.000+0@1)
    cart on node2: book  (version 12:00:00.000+0@1)
