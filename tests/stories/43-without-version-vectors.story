# Without version vectors

What the rule is for: without it, the nodes cannot tell a write that has replaced another from one that did not know of
it. One of two writes is thrown away, and no node says so.

Compare story 21.

> cluster 2 without version-vectors
> set node1 color red
    node1: SET color red: version 12:00:00.000+0@1
> pass 5ms
> set node2 color blue
    node2: SET color blue: version 12:00:00.005+0@2
> propagate node1 node2
    node1: opens connection 1 to node2
    node1 ──▶ node2  PEER node1 incarnation 1 clock 12:00:00.000+0
    node1 ◀── node2  node2 incarnation 1 clock 12:00:00.005+0, arrivals 1
    node1 ──▶ node2  PROPAGATE SET color red 12:00:00.000+0@1
    node1 ◀── node2  0 (lost, or the same)
> propagate node2 node1
    node2: opens connection 2 to node1
    node2 ──▶ node1  PEER node2 incarnation 1 clock 12:00:00.005+0
    node2 ◀── node1  node1 incarnation 1 clock 12:00:00.005+0, arrivals 1
    node2 ──▶ node1  PROPAGATE SET color blue 12:00:00.005+0@2
    node2 ◀── node1  1 (won)
> show color
    color on node1: blue  (version 12:00:00.005+0@2)
    color on node2: blue  (version 12:00:00.005+0@2)
> conflicts node1
    node1 lists nothing
> conflicts node2
    node2 lists nothing

The nodes agree as before: the rule decides nothing. But node 1's client was told OK, and cannot find out what has
become of `red`.
