# An old connection comes back

Claim: what was sent on a connection that its sender has given up does no harm, however late it arrives.

Node 2 holds a value and sends it. The network delays the message. Node 2 gives up the connection.

> cluster 2
> set node2 cart book
    node2: SET cart book: version 12:00:00.000+0@2
> next PROPAGATE node2 node1 delayed
> propagate node2 node1
    node2: opens connection 1 to node1
    node2 ──▶ node1  PEER node2 incarnation 1 clock 12:00:00.000+0
    node2 ◀── node1  node1 incarnation 1 clock 12:00:00.000+0, arrivals 0
    node2 ──… node1  PROPAGATE SET cart book 12:00:00.000+0@2  (delayed)
    node2: keeps what it has for node1: no reply in time

A new connection works: node 2 receives the delete of the cart, and both nodes settle the tombstone and forget it.

> tick node2
    node2: tick begins
    node2: opens connection 2 to node1
    node2 ──▶ node1  PEER node2 incarnation 1 clock 12:00:00.000+0
    node2 ◀── node1  node1 incarnation 1 clock 12:00:00.000+0, arrivals 0
    node2 ──▶ node1  PEER node2 incarnation 1 clock 12:00:00.000+0
    node2 ◀── node1  node1 incarnation 1 clock 12:00:00.000+0, arrivals 0
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
    node2 ──▶ node1  PROPAGATE SET cart book 12:00:00.000+0@2
    node2 ◀── node1  1 (won)
    node2 ──▶ node1  CONFIRM 0
    node2 ◀── node1  OK
    node2: round with node1 done: pulled 0, pushed 1
    node2: tick complete: 0 settled, 0 forgotten, 0 wait
> del node1 cart
    node1: DEL cart: version 12:00:00.000+1@1
> quietly propagate node1 node2
> quietly tick all 6
> tombstones
    node1: 0 waiting, 0 settled, 1 forgotten
    node2: 0 waiting, 0 settled, 1 forgotten
> show cart
    cart on node1: nothing
    cart on node2: nothing

Now the message arrives on the old connection. Node 1 remembers neither the value nor the delete, so it cannot see that
the message is old. But it knows that node 2 has opened a newer connection since. Every new connection revokes the ones
before it.

> arrive node2 node1
    node2 ┈┈▶ node1  PROPAGATE SET cart book 12:00:00.000+0@2  (late, on connection 1)
    node2 ✗┈┈ node1  REFUSED this connection was revoked by a newer one  (the sender has given up)
> show cart
    cart on node1: nothing
    cart on node2: nothing
