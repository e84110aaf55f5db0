# CONFIRM waits for the disk

Claim: what a node has confirmed, it still holds after a power cut.

"I hold everything" allows the peers to forget deletes. So before a node says it, all that it holds is made durable,
together with the number of the confirmation. It does not wait for the disk thread.

> cluster 2 with disks
> quietly set node1 cart book
> quietly propagate node1
> sync node1
    node1: syncs its disk
> sync node2
    node2: syncs its disk
> del node1 cart
    node1: DEL cart: version 12:00:00.000+1@1
> propagate node1
    node1 ──▶ node2  PROPAGATE DEL cart 12:00:00.000+1@1
    node1 ◀── node2  1 (won)

Node 2 has merged the delete. It is written to its log, but not durable yet: a power cut would bring the book back, on
this node. Now it runs a round, and confirms.

> tick node2
    node2: tick begins
    node2: opens connection 2 to node1
    node2 ──▶ node1  PEER node2 incarnation 1 clock 12:00:00.000+1
    node2 ◀── node1  node1 incarnation 1 clock 12:00:00.000+1, arrivals 2
    node2 ──▶ node1  PEER node2 incarnation 1 clock 12:00:00.000+1
    node2 ◀── node1  node1 incarnation 1 clock 12:00:00.000+1, arrivals 2
    node2 ──▶ node1  DIGEST
    node2 ◀── node1  root 920d52cc8c341b9b
    node2 ──▶ node1  CONFIRM 2, confirmation 2
    node2 ◀── node1  OK
    node2: round with node1 done: pulled 0, pushed 0
    node2: tick complete: 0 settled, 0 forgotten, 1 wait

The confirmation has a number: the first one of a store is 2. From now on node 1 counts on it that node 2 holds the
delete. The power fails before the disk thread has synced.

> power-cut node2
    node2: loses its power, and starts again
> show cart
    cart on node1: a tombstone  (version 12:00:00.000+1@1)
    cart on node2: a tombstone  (version 12:00:00.000+1@1)

The delete is there. So is the number: node 2 says it in its greeting, and node 1, which has heard it, finds that the
disk is as new as it must be.

> tick node2
    node2: tick begins
    node2: opens connection 3 to node1
    node2 ──▶ node1  PEER node2 incarnation 2 clock 12:00:00.000+1, confirmation 2
    node2 ◀── node1  node1 incarnation 1 clock 12:00:00.000+1, heard 2 of 2.1, arrivals 2
    node2 ──▶ node1  PEER node2 incarnation 2 clock 12:00:00.000+1, confirmation 2
    node2 ◀── node1  node1 incarnation 1 clock 12:00:00.000+1, arrivals 2
    node2 ──▶ node1  DIGEST
    node2 ◀── node1  root 920d52cc8c341b9b
    node2 ──▶ node1  CONFIRM 2, confirmation 3
    node2 ◀── node1  OK
    node2: round with node1 done: pulled 0, pushed 0
    node2: tick not complete: 0 settled, 0 forgotten, 1 wait

That was the first confirmation of a life, which always gets a new number: it covers whatever that life has found on its
disk. If nothing has changed since, the next one has the same number, and costs no sync.

> tick node2
    node2: tick begins
    node2 ──▶ node1  PEER node2 incarnation 2 clock 12:00:00.000+2, confirmation 3
    node2 ◀── node1  node1 incarnation 1 clock 12:00:00.000+2, arrivals 2
    node2 ──▶ node1  DIGEST
    node2 ◀── node1  root 920d52cc8c341b9b
    node2 ──▶ node1  CONFIRM 2, confirmation 3
    node2 ◀── node1  OK
    node2: round with node1 done: pulled 0, pushed 0
    node2: tick complete: 0 settled, 0 forgotten, 1 wait

Both nodes forget the delete. That node 2 has forgotten it is in its log, but not durable yet: after another power cut
the delete is there again, and is forgotten once more. The book does not come back.

> quietly tick all 5
> tombstones
    node1: 0 waiting, 0 settled, 1 forgotten
    node2: 0 waiting, 0 settled, 1 forgotten
> power-cut node2
    node2: loses its power, and starts again
> quietly tick all 1
> show cart
    cart on node1: a tombstone  (version 12:00:00.000+1@1)
    cart on node2: a tombstone  (version 12:00:00.000+1@1)
> quietly tick all 6
> show cart
    cart on node1: nothing
    cart on node2: nothing
