# Without the hybrid clock

What the rule is for: without it, versions come from the wall clock alone, and a write can be older than what its node
had already seen.

The clock of node 2 is half a minute behind. On node 1 a client fills the cart, and then pays the bill. On node 2 the
bill arrives first (keys travel in no particular order). A client there sees that the bill is paid, and fills the cart
anew. This comes after everything that happened on node 1, and the client knows it.

With the rule, the bill has moved the clock of node 2 past its version. So the new cart is later than the old one, which
node 2 has not even received yet:

> cluster 2
> clock node2 -30s
> set node1 cart book
    node1: SET cart book: version 12:00:00.000+0@1
> set node1 bill paid
    node1: SET bill paid: version 12:00:00.000+1@1
> before PROPAGATE node1 node2 pass 1s
> before PROPAGATE node1 node2 set node2 cart pen
> propagate node1 node2
    node1: opens connection 1 to node2
    node1 ──▶ node2  PEER node1 incarnation 1 clock 12:00:00.000+1
    node1 ◀── node2  node2 incarnation 1 clock 12:00:00.000+1, arrivals 0
    (pass 1s)
    node1 ──▶ node2  PROPAGATE SET bill paid 12:00:00.000+1@1
    node1 ◀── node2  1 (won)
    (set node2 cart pen)
    node2: SET cart pen: version 12:00:00.000+2@2
    node1 ──▶ node2  PROPAGATE SET cart book 12:00:00.000+0@1
    node1 ◀── node2  0 (lost, or the same)
> show cart
    cart on node1: book  (version 12:00:00.000+0@1)
    cart on node2: pen  (version 12:00:00.000+2@2)

Without the rule, the new cart gets the time of a clock that is behind, and the old cart, which arrives afterwards,
wins:

> cluster 2 without hybrid-clock
> clock node2 -30s
> set node1 cart book
    node1: SET cart book: version 12:00:00.000+0@1
> set node1 bill paid
    node1: SET bill paid: version 12:00:00.000+0@1
> before PROPAGATE node1 node2 pass 1s
> before PROPAGATE node1 node2 set node2 cart pen
> propagate node1 node2
    node1: opens connection 1 to node2
    node1 ──▶ node2  PEER node1 incarnation 1 clock 0
    node1 ◀── node2  node2 incarnation 1 clock 0, arrivals 0
    (pass 1s)
    node1 ──▶ node2  PROPAGATE SET bill paid 12:00:00.000+0@1
    node1 ◀── node2  1 (won)
    (set node2 cart pen)
    node2: SET cart pen: version 11:59:31.000+0@2
    node1 ──▶ node2  PROPAGATE SET cart book 12:00:00.000+0@1
    node1 ◀── node2  1 (won)
> show cart
    cart on node1: book  (version 12:00:00.000+0@1)
    cart on node2: book  (version 12:00:00.000+0@1)
> propagate node2 node1
    node2: opens connection 2 to node1
    node2 ──▶ node1  PEER node2 incarnation 1 clock 12:00:00.000+0
    node2 ◀── node1  node1 incarnation 1 clock 12:00:00.000+0, arrivals 2
    node2 ──▶ node1  PROPAGATE SET cart book 12:00:00.000+0@1
    node2 ◀── node1  0 (lost, or the same)
> show cart
    cart on node1: book  (version 12:00:00.000+0@1)
    cart on node2: book  (version 12:00:00.000+0@1)

The pen is gone.
