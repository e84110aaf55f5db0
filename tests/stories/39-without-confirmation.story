# Without confirmation

What the rule is for: without it, a tombstone is forgotten after one tick, and the delete is undone by a peer
that was away. (A store that forgets tombstones after ten days does the same, if the peer is away for eleven.)

> cluster 2 without confirmation
> set node1 cart book
    node1: SET cart book: version 12:00:00.000+0@1
> propagate node1 node2
    node1: opens connection 1 to node2
    node1 ──▶ node2  PEER node1 incarnation 1 clock 12:00:00.000+0
    node1 ◀── node2  node2 incarnation 1 clock 12:00:00.000+0, arrivals 0
    node1 ──▶ node2  PROPAGATE SET cart book 12:00:00.000+0@1
    node1 ◀── node2  1 (won)
> cut node1 node2
> del node1 cart
    node1: DEL cart: version 12:00:00.000+1@1
> tick node1
    node1: tick begins
    node1 ──✗ node2  PEER node1 incarnation 1 clock 12:00:00.000+1  (lost)
    node1: round with node2 failed: the request was lost
    node1: tick complete: 1 settled, 1 forgotten, 0 wait
> tombstones
    node1: 0 waiting, 0 settled, 1 forgotten
    node2: 0 waiting, 0 settled, 0 forgotten
> mend node1 node2
> tick node2
    node2: tick begins
    node2: opens connection 2 to node1
    node2 ──▶ node1  PEER node2 incarnation 1 clock 12:00:00.000+0
    node2 ◀── node1  node1 incarnation 1 clock 12:00:00.000+2, arrivals 2
    node2 ──▶ node1  PEER node2 incarnation 1 clock 12:00:00.000+2
    node2 ◀── node1  node1 incarnation 1 clock 12:00:00.000+2, arrivals 2
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
    node2 ──▶ node1  CONFIRM 2
    node2 ◀── node1  OK
    node2: round with node1 done: pulled 0, pushed 1
    node2: tick complete: 0 settled, 0 forgotten, 0 wait
> show cart
    cart on node1: book  (version 12:00:00.000+0@1)
    cart on node2: book  (version 12:00:00.000+0@1)
