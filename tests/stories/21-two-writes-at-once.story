# Two writes at once

Claim: when two nodes write the same key and neither has seen the other's write, the node at which the two meet lists
the one that is lost. Each conflict is listed once.

Story 03 has shown which write survives. Here the question is what becomes of the other. Both clients were told OK, and
node 2's client did not know of the first write when it wrote the second.

> cluster 2
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
> show color
    color on node1: red  (version 12:00:00.000+0@1)
    color on node2: blue  (version 12:00:00.005+0@2)
> conflicts node2
    node2 lists:
    color: node 2's value "blue" (12:00:00.005, 4 bytes) survives, node 1's value "red" (12:00:00.000, 3 bytes) was lost
> conflicts node1
    node1 lists nothing

Node 2 holds `blue`, and `red` arrives. Neither write carries the other's version, so neither had seen the other. Node 2
keeps `blue`, because it is newer, and lists `red`. From now on, its entry carries what it has met: this `blue` has seen
`red`.

Node 1 still holds `red`. When `blue` arrives there, it says that it has seen `red`. So node 1 knows that the conflict
was noticed elsewhere, and lists nothing.

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

Rounds find nothing more. What was seen is not part of the digest: the nodes agree, although node 2 has learned more.

> quietly tick all 3
> conflicts node1
    node1 lists nothing
> conflicts node2
    node2 lists:
    color: node 2's value "blue" (12:00:00.005, 4 bytes) survives, node 1's value "red" (12:00:00.000, 3 bytes) was lost

If both write the same, nothing is lost, and nothing is listed.

> set node1 size large
    node1: SET size large: version 12:00:00.005+6@1
> set node2 size large
    node2: SET size large: version 12:00:00.005+7@2
> quietly propagate node1 node2
> quietly propagate node2 node1
> conflicts node2
    node2 lists:
    color: node 2's value "blue" (12:00:00.005, 4 bytes) survives, node 1's value "red" (12:00:00.000, 3 bytes) was lost

Messages can also cross: each node receives the other's write before it learns that the two have met there. Then both
list the same conflict. Key and lost version are the same, so a client that asks both nodes can tell.

> set node1 key a
    node1: SET key a: version 12:00:00.005+8@1
> pass 5ms
> set node2 key b
    node2: SET key b: version 12:00:00.010+0@2
> before PROPAGATE node1 node2 propagate node2 node1
> next PROPAGATE node1 node2 delayed
> propagate node1 node2
    (propagate node2 node1)
    node2 ──▶ node1  PROPAGATE SET key b 12:00:00.010+0@2
    node2 ◀── node1  1 (won)
    node1 ──… node2  PROPAGATE SET key a 12:00:00.005+8@1  (delayed)
    node1: keeps what it has for node2: no reply in time
> arrive node1 node2
    node1 ┈┈▶ node2  PROPAGATE SET key a 12:00:00.005+8@1  (late, on connection 1)
    node1 ✗┈┈ node2  0 (lost, or the same)  (the sender has given up)
> conflicts node1
    node1 lists:
    key: node 2's value "b" (12:00:00.010, 1 bytes) survives, node 1's value "a" (12:00:00.005, 1 bytes) was lost
> conflicts node2
    node2 lists:
    key: node 2's value "b" (12:00:00.010, 1 bytes) survives, node 1's value "a" (12:00:00.005, 1 bytes) was lost
    color: node 2's value "blue" (12:00:00.005, 4 bytes) survives, node 1's value "red" (12:00:00.000, 3 bytes) was lost
