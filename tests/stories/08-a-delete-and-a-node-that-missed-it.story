# A delete, and a node that missed it

Claim: a delete wins over the value that it deleted, also on a node that missed it.

> cluster 2
> set node1 cart book
    node1: SET cart book: version 12:00:00.000+0@1
> propagate node1 node2
    node1: opens connection 1 to node2
    node1 ──▶ node2  PEER node1 incarnation 1 clock 12:00:00.000+0
    node1 ◀── node2  node2 incarnation 1 clock 12:00:00.000+0, arrivals 0
    node1 ──▶ node2  PROPAGATE SET cart book 12:00:00.000+0@1
    node1 ◀── node2  1 (won)
> cut node1 node2
> pass 1s
> del node1 cart
    node1: DEL cart: version 12:00:01.000+0@1
> show cart
    cart on node1: a tombstone  (version 12:00:01.000+0@1)
    cart on node2: book  (version 12:00:00.000+0@1)

Node 2 has missed the delete and still holds the value. For node 2, node 1 lacks a key. If node 1 had just removed the
key, node 2 could not tell a deleted key from one that has not arrived yet, and would bring the value back. So node 1
keeps a tombstone, with a version.

> mend node1 node2
> tick node2
    node2: tick begins
    node2: opens connection 2 to node1
    node2 ──▶ node1  PEER node2 incarnation 1 clock 12:00:00.000+0
    node2 ◀── node1  node1 incarnation 1 clock 12:00:01.000+0, arrivals 2
    node2 ──▶ node1  PEER node2 incarnation 1 clock 12:00:01.000+0
    node2 ◀── node1  node1 incarnation 1 clock 12:00:01.000+0, arrivals 2
    node2 ──▶ node1  DIGEST
    node2 ◀── node1  root fe6ef84afd1c8430
    node2 ──▶ node1  DIGEST ""
    node2 ◀── node1  16 digests
    node2 ──▶ node1  DIGEST f
    node2 ◀── node1  16 digests
    node2 ──▶ node1  DIGEST f5
    node2 ◀── node1  16 digests
    node2 ──▶ node1  DIGEST f56
    node2 ◀── node1  16 digests
    node2 ──▶ node1  LEAF f564 1 hash to 12:00:00.000+0
    node2 ◀── node1  DEL cart 12:00:01.000+0@1; lacks 1
    node2 ──▶ node1  CONFIRM 2
    node2 ◀── node1  OK
    node2: round with node1 done: pulled 1, pushed 0
    node2: tick complete: 0 settled, 0 forgotten, 1 wait
> show cart
    cart on node1: a tombstone  (version 12:00:01.000+0@1)
    cart on node2: a tombstone  (version 12:00:01.000+0@1)

A delete counts as much on a node that does not hold the key. Node 2 has not received `coat`, but its delete is later.

> cut node1 node2
> set node1 coat warm
    node1: SET coat warm: version 12:00:01.000+1@1
> pass 1s
> del node2 coat
    node2: DEL coat: version 12:00:02.000+0@2
> mend node1 node2
> tick node2
    node2: tick begins
    node2 ──▶ node1  PEER node2 incarnation 1 clock 12:00:02.000+0
    node2 ◀── node1  node1 incarnation 1 clock 12:00:02.000+0, arrivals 3
    node2 ──▶ node1  DIGEST
    node2 ◀── node1  root f29701333694dc77
    node2 ──▶ node1  DIGEST ""
    node2 ◀── node1  16 digests
    node2 ──▶ node1  DIGEST b
    node2 ◀── node1  16 digests
    node2 ──▶ node1  DIGEST b9
    node2 ◀── node1  16 digests
    node2 ──▶ node1  DIGEST b98
    node2 ◀── node1  16 digests
    node2 ──▶ node1  LEAF b982 1 hash to 12:00:02.000+0
    node2 ◀── node1  has coat 12:00:01.000+1@1; lacks 1
    node2 ──▶ node1  PROPAGATE DEL coat 12:00:02.000+0@2
    node2 ◀── node1  1 (won)
    node2 ──▶ node1  CONFIRM 3
    node2 ◀── node1  OK
    node2: round with node1 done: pulled 0, pushed 1
    node2: tick complete: 0 settled, 0 forgotten, 2 wait
> show coat
    coat on node1: a tombstone  (version 12:00:02.000+0@2)
    coat on node2: a tombstone  (version 12:00:02.000+0@2)
