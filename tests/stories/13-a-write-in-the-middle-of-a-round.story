# A write in the middle of a round

Claim: the stores may change while they are compared. A round never makes anything older, and the next round finds what
it misses.

Node 1 compares itself with node 2. It has read the digests, and has looked up what it holds in the leaf that differs
(nothing). Then a client writes on node 1 the very key that node 2 is about to send. And before the round ends, another
client writes on node 2.

> cluster 2
> cut node1 node2
> set node2 a 1
    node2: SET a 1: version 12:00:00.000+0@2
> mend node1 node2
> before LEAF node1 node2 set node1 a 2
> before CONFIRM node1 node2 set node2 b 1
> tick node1
    node1: tick begins
    node1: opens connection 1 to node2
    node1 ──▶ node2  PEER node1 incarnation 1 clock 0
    node1 ◀── node2  node2 incarnation 1 clock 12:00:00.000+0, arrivals 1
    node1 ──▶ node2  PEER node1 incarnation 1 clock 12:00:00.000+0
    node1 ◀── node2  node2 incarnation 1 clock 12:00:00.000+0, arrivals 1
    node1 ──▶ node2  DIGEST
    node1 ◀── node2  root 0f7dd4a85e09623f
    node1 ──▶ node2  DIGEST ""
    node1 ◀── node2  16 digests
    node1 ──▶ node2  DIGEST 8
    node1 ◀── node2  16 digests
    node1 ──▶ node2  DIGEST 80
    node1 ◀── node2  16 digests
    node1 ──▶ node2  DIGEST 805
    node1 ◀── node2  16 digests
    (set node1 a 2)
    node1: SET a 2: version 12:00:00.000+1@1
    node1 ──▶ node2  LEAF 805a empty
    node1 ◀── node2  SET a 1 12:00:00.000+0@2
    node1 ──▶ node2  PROPAGATE SET a 2 12:00:00.000+1@1
    node1 ◀── node2  1 (won)
    (set node2 b 1)
    node2: SET b 1: version 12:00:00.000+2@2
    node1 ──▶ node2  CONFIRM 1
    node1 ◀── node2  OK
    node1: round with node2 done: pulled 0, pushed 1
    node1: tick not complete: 0 settled, 0 forgotten, 0 wait
> show a b
    a on node1: 2  (version 12:00:00.000+1@1)
    a on node2: 2  (version 12:00:00.000+1@1)
    b on node1: nothing
    b on node2: 1  (version 12:00:00.000+2@2)

What node 2 sent came too late: node 1 already held something newer, and sent that in return. `b` is missing on node 1,
though node 1 has sent CONFIRM. But it confirmed only the number that node 2 had given at the beginning of the round,
before `b` arrived there. The next round finds `b`.

> tick node1
    node1: tick begins
    node1 ──▶ node2  PEER node1 incarnation 1 clock 12:00:00.000+2
    node1 ◀── node2  node2 incarnation 1 clock 12:00:00.000+2, arrivals 3
    node1 ──▶ node2  DIGEST
    node1 ◀── node2  root 3045a437abe29c89
    node1 ──▶ node2  DIGEST ""
    node1 ◀── node2  16 digests
    node1 ──▶ node2  DIGEST b
    node1 ◀── node2  16 digests
    node1 ──▶ node2  DIGEST b8
    node1 ◀── node2  16 digests
    node1 ──▶ node2  DIGEST b8c
    node1 ◀── node2  16 digests
    node1 ──▶ node2  LEAF b8c1 empty
    node1 ◀── node2  SET b 1 12:00:00.000+2@2
    node1 ──▶ node2  CONFIRM 3
    node1 ◀── node2  OK
    node1: round with node2 done: pulled 1, pushed 0
    node1: tick complete: 0 settled, 0 forgotten, 0 wait
> show a b
    a on node1: 2  (version 12:00:00.000+1@1)
    a on node2: 2  (version 12:00:00.000+1@1)
    b on node1: 1  (version 12:00:00.000+2@2)
    b on node2: 1  (version 12:00:00.000+2@2)
