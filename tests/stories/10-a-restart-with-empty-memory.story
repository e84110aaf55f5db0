# A restart with empty memory

Claim: a node that starts with empty memory gets everything back from any peer. And what it confirmed before it lost its
memory no longer counts.

> cluster 2
> set node1 a 1
    node1: SET a 1: version 12:00:00.000+0@1
> set node1 b 1
    node1: SET b 1: version 12:00:00.000+1@1
> propagate node1 node2
    node1: opens connection 1 to node2
    node1 ──▶ node2  PEER node1 incarnation 1 clock 12:00:00.000+1
    node1 ◀── node2  node2 incarnation 1 clock 12:00:00.000+1, arrivals 0
    node1 ──▶ node2  PROPAGATE SET a 1 12:00:00.000+0@1
    node1 ◀── node2  1 (won)
    node1 ──▶ node2  PROPAGATE SET b 1 12:00:00.000+1@1
    node1 ◀── node2  1 (won)
> restart node2
    node2: starts again, its memory is gone

Its first round fetches everything. A node runs it before it serves clients.

> tick node2
    node2: tick begins
    node2: opens connection 2 to node1
    node2 ──▶ node1  PEER node2 incarnation 2 clock 0
    node2 ◀── node1  node1 incarnation 1 clock 12:00:00.000+1, arrivals 2
    node2 ──▶ node1  PEER node2 incarnation 2 clock 12:00:00.000+1
    node2 ◀── node1  node1 incarnation 1 clock 12:00:00.000+1, arrivals 2
    node2 ──▶ node1  DIGEST
    node2 ◀── node1  root 7d602b3c46ce3130
    node2 ──▶ node1  DIGEST ""
    node2 ◀── node1  16 digests
    node2 ──▶ node1  DIGEST 8, b
    node2 ◀── node1  2 times 16 digests
    node2 ──▶ node1  DIGEST 80, b8
    node2 ◀── node1  2 times 16 digests
    node2 ──▶ node1  DIGEST 805, b8c
    node2 ◀── node1  2 times 16 digests
    node2 ──▶ node1  LEAF 805a empty, b8c1 empty
    node2 ◀── node1  SET a 1 12:00:00.000+0@1, SET b 1 12:00:00.000+1@1
    node2 ──▶ node1  CONFIRM 2
    node2 ◀── node1  OK
    node2: round with node1 done: pulled 2, pushed 0
    node2: tick not complete: 0 settled, 0 forgotten, 0 wait
> show a b
    a on node1: 1  (version 12:00:00.000+0@1)
    a on node2: 1  (version 12:00:00.000+0@1)
    b on node1: 1  (version 12:00:00.000+1@1)
    b on node2: 1  (version 12:00:00.000+1@1)

Now node 2 confirms a delete, and then loses its memory again, before node 1 has settled the tombstone.

> del node1 a
    node1: DEL a: version 12:00:00.000+2@1
> quietly propagate node1 node2
> quietly tick node2
> restart node2
    node2: starts again, its memory is gone

Node 1 has noted what node 2 has confirmed. In its round it meets another incarnation. So the tick settles nothing, and
what node 2 has confirmed is 0 from now on.

> tick node1
    node1: tick begins
    node1: opens connection 3 to node2
    node1 ──▶ node2  PEER node1 incarnation 1 clock 12:00:00.000+2
    node1 ◀── node2  node2 incarnation 3 clock 12:00:00.000+2, arrivals 0
    node1 ──▶ node2  PEER node1 incarnation 1 clock 12:00:00.000+2
    node1 ◀── node2  node2 incarnation 3 clock 12:00:00.000+2, arrivals 0
    node1 ──▶ node2  DIGEST
    node1 ◀── node2  root 0000000000000000
    node1 ──▶ node2  DIGEST ""
    node1 ◀── node2  16 digests
    node1 ──▶ node2  DIGEST 8, b
    node1 ◀── node2  2 times 16 digests
    node1 ──▶ node2  DIGEST 80, b8
    node1 ◀── node2  2 times 16 digests
    node1 ──▶ node2  DIGEST 805, b8c
    node1 ◀── node2  2 times 16 digests
    node1 ──▶ node2  LEAF 805a 1 hash to 12:00:00.000+2, b8c1 1 hash to 12:00:00.000+1
    node1 ◀── node2  lacks 2
    node1 ──▶ node2  PROPAGATE DEL a 12:00:00.000+2@1
    node1 ◀── node2  1 (won)
    node1 ──▶ node2  PROPAGATE SET b 1 12:00:00.000+1@1
    node1 ◀── node2  1 (won)
    node1 ──▶ node2  CONFIRM 0
    node1 ◀── node2  OK
    node1: round with node2 done: pulled 0, pushed 2
    node1: tick not complete: 0 settled, 0 forgotten, 1 wait
> tombstones
    node1: 1 waiting, 0 settled, 0 forgotten
    node2: 1 waiting, 0 settled, 0 forgotten
> tick node2
    node2: tick begins
    node2: opens connection 4 to node1
    node2 ──▶ node1  PEER node2 incarnation 3 clock 12:00:00.000+2
    node2 ◀── node1  node1 incarnation 1 clock 12:00:00.000+3, arrivals 3
    node2 ──▶ node1  PEER node2 incarnation 3 clock 12:00:00.000+3
    node2 ◀── node1  node1 incarnation 1 clock 12:00:00.000+3, arrivals 3
    node2 ──▶ node1  DIGEST
    node2 ◀── node1  root 54e5a5d29f2fd2f8
    node2 ──▶ node1  CONFIRM 3
    node2 ◀── node1  OK
    node2: round with node1 done: pulled 0, pushed 0
    node2: tick complete: 0 settled, 0 forgotten, 1 wait
> quietly tick all 5
> tombstones
    node1: 0 waiting, 0 settled, 1 forgotten
    node2: 0 waiting, 0 settled, 1 forgotten
> show a b
    a on node1: nothing
    a on node2: nothing
    b on node1: 1  (version 12:00:00.000+1@1)
    b on node2: 1  (version 12:00:00.000+1@1)

An entry that only one node held is lost when that node loses its memory. No protocol brings it back; a log on disk
would.

> cut node1 node2
> set node2 c 1
    node2: SET c 1: version 12:00:00.000+15@2
> restart node2
    node2: starts again, its memory is gone
> mend node1 node2
> quietly tick all 1
> show c
    c on node1: nothing
    c on node2: nothing
