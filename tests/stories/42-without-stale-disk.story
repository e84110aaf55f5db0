# Without stale-disk

What the rule is for: without it, an old copy of a disk brings back what was deleted since, and forgotten.

This is story 20, with the rule off.

> cluster 2 with disks without stale-disk
> quietly set node1 cart book
> quietly propagate node1
> quietly tick all 2
> backup node2
    node2: copy 1 of its disk is taken
> del node1 cart
    node1: DEL cart: version 12:00:00.000+4@1
> quietly propagate node1
> quietly tick all 6
> tombstones
    node1: 0 waiting, 0 settled, 1 forgotten
    node2: 0 waiting, 0 settled, 1 forgotten
> put-back node2
    node2: starts again with an old copy of its disk
> tick node2
    node2: tick begins
    node2: opens connection 3 to node1
    node2 ──▶ node1  PEER node2 incarnation 2 clock 12:00:00.000+0, confirmation 2, heard 2 of 1.1
    node2 ◀── node1  node1 incarnation 1 clock 12:00:00.000+15, confirmation 5, heard 5 of 2.1, arrivals 2
    node2 ──▶ node1  PEER node2 incarnation 2 clock 12:00:00.000+15, confirmation 2
    node2 ◀── node1  node1 incarnation 1 clock 12:00:00.000+15, confirmation 5, arrivals 2
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
    node2 ──▶ node1  CONFIRM 2, confirmation 3
    node2 ◀── node1  OK
    node2: round with node1 done: pulled 0, pushed 1
    node2: tick not complete: 0 settled, 0 forgotten, 0 wait
> show cart
    cart on node1: book  (version 12:00:00.000+0@1)
    cart on node2: book  (version 12:00:00.000+0@1)
