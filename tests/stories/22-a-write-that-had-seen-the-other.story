# A write that had seen the other

Claim: a write that replaces what its client could see is no conflict, whatever the nodes, the clocks and the messages
do.

> cluster 2
> set node1 color red
    node1: SET color red: version 12:00:00.000+0@1
> quietly propagate node1 node2

Node 2 holds `red` when its client writes `blue`. The new entry carries the version that it has replaced.

> set node2 color blue
    node2: SET color blue: version 12:00:00.000+1@2
> propagate node2 node1
    node2: opens connection 2 to node1
    node2 ──▶ node1  PEER node2 incarnation 1 clock 12:00:00.000+1
    node2 ◀── node1  node1 incarnation 1 clock 12:00:00.000+1, arrivals 1
    node2 ──▶ node1  PROPAGATE SET color blue 12:00:00.000+1@2
    node2 ◀── node1  1 (won)
> show color
    color on node1: blue  (version 12:00:00.000+1@2)
    color on node2: blue  (version 12:00:00.000+1@2)
> conflicts node1
    node1 lists nothing
> conflicts node2
    node2 lists nothing

The time of the writes says nothing about that. Here `green` is a minute later than `blue`, but node 1 has replaced
`blue` after it had arrived there.

> pass 1m
> set node1 color green
    node1: SET color green: version 12:01:00.000+0@1
> quietly propagate node1 node2
> conflicts node2
    node2 lists nothing

The other way round: the next two writes are a millisecond apart, and neither had seen the other.

> cut node1 node2
> set node1 color teal
    node1: SET color teal: version 12:01:00.000+1@1
> pass 1ms
> set node2 color lime
    node2: SET color lime: version 12:01:00.001+0@2
> mend node1 node2
> quietly tick node1
> show color
    color on node1: lime  (version 12:01:00.001+0@2)
    color on node2: lime  (version 12:01:00.001+0@2)
> conflicts node1
    node1 lists:
    color: node 2's value "lime" (12:01:00.001, 4 bytes) survives, node 1's value "teal" (12:01:00.000, 4 bytes) was lost
> conflicts node2
    node2 lists nothing

What is written upon the survivor has seen both. So `gray`, which node 1's client writes next, is no conflict with
either.

> set node1 color gray
    node1: SET color gray: version 12:01:00.001+2@1
> quietly propagate node1 node2
> quietly tick all 2
> show color
    color on node1: gray  (version 12:01:00.001+2@1)
    color on node2: gray  (version 12:01:00.001+2@1)
> conflicts node1
    node1 lists:
    color: node 2's value "lime" (12:01:00.001, 4 bytes) survives, node 1's value "teal" (12:01:00.000, 4 bytes) was lost
> conflicts node2
    node2 lists nothing
