# A late confirmation

Claim: what an incarnation has confirmed does not count for the next one, not even if its CONFIRM arrives after the PEER
of the next one.

Node 2 runs a round. Its CONFIRM is delayed, and node 2 loses its memory.

> cluster 2
> set node1 cart book
    node1: SET cart book: version 12:00:00.000+0@1
> del node1 cart
    node1: DEL cart: version 12:00:00.000+1@1
> next CONFIRM node2 node1 delayed
> tick node2
    node2: tick begins
    node2: opens connection 1 to node1
    node2 ──▶ node1  PEER node2 incarnation 1 clock 0
    node2 ◀── node1  node1 incarnation 1 clock 12:00:00.000+1, arrivals 2
    node2 ──▶ node1  PEER node2 incarnation 1 clock 12:00:00.000+1
    node2 ◀── node1  node1 incarnation 1 clock 12:00:00.000+1, arrivals 2
    node2 ──▶ node1  DIGEST
    node2 ◀── node1  root 920d52cc8c341b9b
    node2 ──▶ node1  DIGEST ""
    node2 ◀── node1  16 digests
    node2 ──▶ node1  DIGEST f
    node2 ◀── node1  16 digests
    node2 ──▶ node1  DIGEST f5
    node2 ◀── node1  16 digests
    node2 ──▶ node1  DIGEST f56
    node2 ◀── node1  16 digests
    node2 ──▶ node1  LEAF f564 empty
    node2 ◀── node1  DEL cart 12:00:00.000+1@1
    node2 ──… node1  CONFIRM 2  (delayed)
    node2: round with node1 failed: no reply in time
    node2: tick not complete: 0 settled, 0 forgotten, 1 wait
> restart node2
    node2: starts again, its memory is gone

Node 1 learns of the new incarnation when it sends PEER itself. Node 2 has opened no new connection yet that would have
revoked the old one. Therefore a new incarnation revokes the connections of the one before, however node 1 learns of it.

> next LEAF node1 node2 lost
> tick node1
    node1: tick begins
    node1: opens connection 2 to node2
    node1 ──▶ node2  PEER node1 incarnation 1 clock 12:00:00.000+1
    node1 ◀── node2  node2 incarnation 2 clock 12:00:00.000+1, arrivals 0
    node1 ──▶ node2  PEER node1 incarnation 1 clock 12:00:00.000+1
    node1 ◀── node2  node2 incarnation 2 clock 12:00:00.000+1, arrivals 0
    node1 ──▶ node2  DIGEST
    node1 ◀── node2  root 0000000000000000
    node1 ──▶ node2  DIGEST ""
    node1 ◀── node2  16 digests
    node1 ──▶ node2  DIGEST f
    node1 ◀── node2  16 digests
    node1 ──▶ node2  DIGEST f5
    node1 ◀── node2  16 digests
    node1 ──▶ node2  DIGEST f56
    node1 ◀── node2  16 digests
    node1 ──✗ node2  LEAF f564 1 hash to 12:00:00.000+1  (lost)
    node1: round with node2 failed: the request was lost
    node1: tick not complete: 0 settled, 0 forgotten, 1 wait
> arrive node2 node1
    node2 ┈┈▶ node1  CONFIRM 2  (late, on connection 1)
    node2 ✗┈┈ node1  REFUSED this connection was revoked by a newer one  (the sender has given up)

If node 1 accepted the late CONFIRM, it would believe that the empty node 2 holds the tombstone. So the tombstone waits
until the new incarnation has confirmed it.

> tombstones
    node1: 1 waiting, 0 settled, 0 forgotten
    node2: 0 waiting, 0 settled, 0 forgotten
> quietly tick all 6
> tombstones
    node1: 0 waiting, 0 settled, 1 forgotten
    node2: 0 waiting, 0 settled, 1 forgotten
