# Without propagation

What the rule is for: without it, peers receive a write only in the next round, up to 5 seconds later. Nothing is lost.

> cluster 2 without propagation
> set node1 greeting hello
    node1: SET greeting hello: version 12:00:00.000+0@1
> propagate node1 node2
> show greeting
    greeting on node1: hello  (version 12:00:00.000+0@1)
    greeting on node2: nothing
> tick node1
    node1: tick begins
    node1: opens connection 1 to node2
    node1 ──▶ node2  PEER node1 incarnation 1 clock 12:00:00.000+0
    node1 ◀── node2  node2 incarnation 1 clock 12:00:00.000+0, arrivals 0
    node1 ──▶ node2  PEER node1 incarnation 1 clock 12:00:00.000+0
    node1 ◀── node2  node2 incarnation 1 clock 12:00:00.000+0, arrivals 0
    node1 ──▶ node2  DIGEST
    node1 ◀── node2  root 0000000000000000
    node1 ──▶ node2  DIGEST ""
    node1 ◀── node2  16 digests
    node1 ──▶ node2  DIGEST e
    node1 ◀── node2  16 digests
    node1 ──▶ node2  DIGEST e0
    node1 ◀── node2  16 digests
    node1 ──▶ node2  DIGEST e0a
    node1 ◀── node2  16 digests
    node1 ──▶ node2  LEAF e0a3 1 hash to 12:00:00.000+0
    node1 ◀── node2  lacks 1
    node1 ──▶ node2  PROPAGATE SET greeting hello 12:00:00.000+0@1
    node1 ◀── node2  1 (won)
    node1 ──▶ node2  CONFIRM 0
    node1 ◀── node2  OK
    node1: round with node2 done: pulled 0, pushed 1
    node1: tick not complete: 0 settled, 0 forgotten, 0 wait
> show greeting
    greeting on node1: hello  (version 12:00:00.000+0@1)
    greeting on node2: hello  (version 12:00:00.000+0@1)
