# Both write the same key

Claim: when two nodes write the same key, the greater version wins on both, in whatever order the messages arrive.

> cluster 2
> set node1 color red
    node1: SET color red: version 12:00:00.000+0@1
> pass 5ms
> set node2 color blue
    node2: SET color blue: version 12:00:00.005+0@2
> show color
    color on node1: red  (version 12:00:00.000+0@1)
    color on node2: blue  (version 12:00:00.005+0@2)

Each node sends its own write. Node 1 applies what arrives, because it is newer. Node 2 does not: its own write is
newer.

> propagate node2 node1
    node2: opens connection 1 to node1
    node2 ──▶ node1  PEER node2 incarnation 1 clock 12:00:00.005+0
    node2 ◀── node1  node1 incarnation 1 clock 12:00:00.005+0, arrivals 1
    node2 ──▶ node1  PROPAGATE SET color blue 12:00:00.005+0@2
    node2 ◀── node1  1 (won)
> propagate node1 node2
    node1: opens connection 2 to node2
    node1 ──▶ node2  PEER node1 incarnation 1 clock 12:00:00.005+0
    node1 ◀── node2  node2 incarnation 1 clock 12:00:00.005+0, arrivals 1
    node1 ──▶ node2  PROPAGATE SET color blue 12:00:00.005+0@2
    node1 ◀── node2  0 (lost, or the same)
> show color
    color on node1: blue  (version 12:00:00.005+0@2)
    color on node2: blue  (version 12:00:00.005+0@2)
> digests
    node1: root bddfdaf0498b1dd3
    node2: root bddfdaf0498b1dd3

`red` is lost: a last-write-wins register keeps one of two concurrent writes. The queue of node 1 held the key, not the
value. So node 1 sent what it had just received, and `red` never left it.

The other order of messages has the same outcome.

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
> propagate node2 node1
    node2: opens connection 2 to node1
    node2 ──▶ node1  PEER node2 incarnation 1 clock 12:00:00.005+0
    node2 ◀── node1  node1 incarnation 1 clock 12:00:00.005+0, arrivals 1
    node2 ──▶ node1  PROPAGATE SET color blue 12:00:00.005+0@2
    node2 ◀── node1  1 (won)
> show color
    color on node1: blue  (version 12:00:00.005+0@2)
    color on node2: blue  (version 12:00:00.005+0@2)
