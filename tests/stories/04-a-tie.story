# A tie

Claim: two writes of the same instant are ordered too, in the same way on every node, without a message.

Both clocks show the same millisecond, and each node takes its first write. Then the number of the node decides.

> cluster 2
> freeze
> set node1 color red
    node1: SET color red: version 12:00:00.000+0@1
> set node2 color blue
    node2: SET color blue: version 12:00:00.000+0@2
> propagate node1 node2
    node1: opens connection 1 to node2
    node1 ──▶ node2  PEER node1 incarnation 1 clock 12:00:00.000+0
    node1 ◀── node2  node2 incarnation 1 clock 12:00:00.000+0, arrivals 1
    node1 ──▶ node2  PROPAGATE SET color red 12:00:00.000+0@1
    node1 ◀── node2  0 (lost, or the same)
> propagate node2 node1
    node2: opens connection 2 to node1
    node2 ──▶ node1  PEER node2 incarnation 1 clock 12:00:00.000+0
    node2 ◀── node1  node1 incarnation 1 clock 12:00:00.000+0, arrivals 1
    node2 ──▶ node1  PROPAGATE SET color blue 12:00:00.000+0@2
    node2 ◀── node1  1 (won)
> show color
    color on node1: blue  (version 12:00:00.000+0@2)
    color on node2: blue  (version 12:00:00.000+0@2)

Two contents under exactly the same version can only come from a fault. Node 1 loses its memory, and its clock is put
back (a virtual machine is restored from a snapshot). Then it takes another write before it has heard from any peer.

> cluster 2
> freeze
> set node1 color red
    node1: SET color red: version 12:00:00.000+0@1
> propagate node1 node2
    node1: opens connection 1 to node2
    node1 ──▶ node2  PEER node1 incarnation 1 clock 12:00:00.000+0
    node1 ◀── node2  node2 incarnation 1 clock 12:00:00.000+0, arrivals 0
    node1 ──▶ node2  PROPAGATE SET color red 12:00:00.000+0@1
    node1 ◀── node2  1 (won)
> cut node1 node2
> restart node1
    node1: starts again, its memory is gone
> set node1 color blue
    node1: SET color blue: version 12:00:00.000+0@1
> show color
    color on node1: blue  (version 12:00:00.000+0@1)
    color on node2: red  (version 12:00:00.000+0@1)

The versions are equal. Then a tombstone wins over a value, and the greater bytes over the smaller: `red` over `blue`.
In the round, node 1 notices that the hashes differ although the versions are equal. Such an entry is sent both ways,
and each side decides by the same rule.

> mend node1 node2
> tick node1
    node1: tick begins
    node1: opens connection 2 to node2
    node1 ──▶ node2  PEER node1 incarnation 2 clock 12:00:00.000+0
    node1 ◀── node2  node2 incarnation 1 clock 12:00:00.000+0, arrivals 1
    node1 ──▶ node2  PEER node1 incarnation 2 clock 12:00:00.000+0
    node1 ◀── node2  node2 incarnation 1 clock 12:00:00.000+0, arrivals 1
    node1 ──▶ node2  DIGEST
    node1 ◀── node2  root 7069508098238855
    node1 ──▶ node2  DIGEST ""
    node1 ◀── node2  16 digests
    node1 ──▶ node2  DIGEST 3
    node1 ◀── node2  16 digests
    node1 ──▶ node2  DIGEST 33
    node1 ◀── node2  16 digests
    node1 ──▶ node2  DIGEST 33c
    node1 ◀── node2  16 digests
    node1 ──▶ node2  LEAF 33c6 1 hash to 12:00:00.000+0
    node1 ◀── node2  has color 12:00:00.000+0@1; lacks 1
    node1 ──▶ node2  FETCH color
    node1 ◀── node2  SET color red 12:00:00.000+0@1
    node1 ──▶ node2  PROPAGATE SET color red 12:00:00.000+0@1
    node1 ◀── node2  0 (lost, or the same)
    node1 ──▶ node2  CONFIRM 1
    node1 ◀── node2  OK
    node1: round with node2 done: pulled 1, pushed 0
    node1: tick not complete: 0 settled, 0 forgotten, 0 wait
> show color
    color on node1: red  (version 12:00:00.000+0@1)
    color on node2: red  (version 12:00:00.000+0@1)
> digests
    node1: root 7069508098238855
    node2: root 7069508098238855
