# Without the ordered link

What the rule is for: without it, an old entry can arrive after its sender has confirmed something newer.

This is story 11, with the rule off.

> cluster 2 without ordered-link
> set node2 cart book
    node2: SET cart book: version 12:00:00.000+0@2
> next PROPAGATE node2 node1 delayed
> propagate node2 node1
    node2: opens connection 1 to node1
    node2 ──▶ node1  PEER node2 incarnation 1 clock 12:00:00.000+0
    node2 ◀── node1  node1 incarnation 1 clock 12:00:00.000+0, arrivals 0
    node2 ──… node1  PROPAGATE SET cart book 12:00:00.000+0@2  (delayed)
    node2: keeps what it has for node1: no reply in time
> quietly tick node2
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
> arrive node2 node1
    node2 ┈┈▶ node1  PROPAGATE SET cart book 12:00:00.000+0@2  (late, on connection 1)
    node2 ✗┈┈ node1  1 (won)  (the sender has given up)
> show cart
    cart on node1: book  (version 12:00:00.000+0@2)
    cart on node2: nothing

A deleted value is back, and the next round takes it to node 2 as well.

> quietly tick node1
> show cart
    cart on node1: book  (version 12:00:00.000+0@2)
    cart on node2: book  (version 12:00:00.000+0@2)
