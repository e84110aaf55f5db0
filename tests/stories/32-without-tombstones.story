# Without tombstones

What the rule is for: without it, a delete just removes the key, and the first peer that has missed the delete brings
the key back.

Compare story 08.

> cluster 2 without tombstones
> set node1 cart book
    node1: SET cart book: version 12:00:00.000+0@1
> propagate node1 node2
    node1: opens connection 1 to node2
    node1 ──▶ node2  PEER node1 incarnation 1 clock 12:00:00.000+0
    node1 ◀── node2  node2 incarnation 1 clock 12:00:00.000+0, arrivals 0
    node1 ──▶ node2  PROPAGATE SET cart book 12:00:00.000+0@1
    node1 ◀── node2  1 (won)
> del node1 cart
    node1: DEL cart: nothing stands there now
> show cart
    cart on node1: nothing
    cart on node2: book  (version 12:00:00.000+0@1)

Node 1 has nothing to send to node 2: it holds nothing under this key. And in the next round it looks as if a value had
not arrived on node 1 yet.

> propagate node1 node2
> tick node1
    node1: tick begins
    node1 ──▶ node2  PEER node1 incarnation 1 clock 12:00:00.000+1
    node1 ◀── node2  node2 incarnation 1 clock 12:00:00.000+1, arrivals 1
    node1 ──▶ node2  DIGEST
    node1 ◀── node2  root 6bc310f2c0fa24b8
    node1 ──▶ node2  DIGEST ""
    node1 ◀── node2  16 digests
    node1 ──▶ node2  DIGEST f
    node1 ◀── node2  16 digests
    node1 ──▶ node2  DIGEST f5
    node1 ◀── node2  16 digests
    node1 ──▶ node2  DIGEST f56
    node1 ◀── node2  16 digests
    node1 ──▶ node2  LEAF f564 empty
    node1 ◀── node2  SET cart book 12:00:00.000+0@1
    node1 ──▶ node2  CONFIRM 1
    node1 ◀── node2  OK
    node1: round with node2 done: pulled 1, pushed 0
    node1: tick complete: 0 settled, 0 forgotten, 0 wait
> show cart
    cart on node1: book  (version 12:00:00.000+0@1)
    cart on node2: book  (version 12:00:00.000+0@1)

The client was told that the key was deleted.
