# Without digests

What the rule is for: without it, a round lists all keys each time, as the simplest full exchange would.

Compare story 07. Nothing differs here:

> cluster 2 without digests
> fill 10000
> bytes
> tick node1
    node1: tick begins
    node1: opens connection 1 to node2
    node1 ──▶ node2  PEER node1 incarnation 1 clock 0  (76 bytes)
    node1 ◀── node2  node2 incarnation 1 clock 0, arrivals 10000  (77 bytes)
    node1 ──▶ node2  PEER node1 incarnation 1 clock 0  (76 bytes)
    node1 ◀── node2  node2 incarnation 1 clock 0, arrivals 10000  (77 bytes)
    node1 ──▶ node2  LEAF 00, 01, 02, 03, … 256 in all  (2064 bytes)
    node1 ◀── node2  key-000000000778 12:00:00.000+0@9, key-000000003427 12:00:00.000+0@9, key-000000007058 12:00:00.000+0@9, key-000000008434 12:00:00.000+0@9, … 8187 in all  (302935 bytes)
    node1 ──▶ node2  LEAF d1, d2, d3, d4, … 47 in all  (391 bytes)
    node1 ◀── node2  key-000000000599 12:00:00.000+0@9, key-000000000786 12:00:00.000+0@9, key-000000000868 12:00:00.000+0@9, key-000000002352 12:00:00.000+0@9, … 1813 in all  (67096 bytes)
    node1 ──▶ node2  CONFIRM 10000  (28 bytes)
    node1 ◀── node2  OK  (5 bytes)
    node1: round with node2 done: pulled 0, pushed 0
    node1: tick complete: 0 settled, 0 forgotten, 0 wait
> traffic
    5 requests, 372825 bytes both ways, 10000 entries listed or sent
> tick node1
    node1: tick begins
    node1 ──▶ node2  PEER node1 incarnation 1 clock 12:00:00.000+0  (76 bytes)
    node1 ◀── node2  node2 incarnation 1 clock 12:00:00.000+0, arrivals 10000  (77 bytes)
    node1 ──▶ node2  LEAF 00, 01, 02, 03, … 256 in all  (2064 bytes)
    node1 ◀── node2  key-000000000778 12:00:00.000+0@9, key-000000003427 12:00:00.000+0@9, key-000000007058 12:00:00.000+0@9, key-000000008434 12:00:00.000+0@9, … 8187 in all  (302935 bytes)
    node1 ──▶ node2  LEAF d1, d2, d3, d4, … 47 in all  (391 bytes)
    node1 ◀── node2  key-000000000599 12:00:00.000+0@9, key-000000000786 12:00:00.000+0@9, key-000000000868 12:00:00.000+0@9, key-000000002352 12:00:00.000+0@9, … 1813 in all  (67096 bytes)
    node1 ──▶ node2  CONFIRM 10000  (28 bytes)
    node1 ◀── node2  OK  (5 bytes)
    node1: round with node2 done: pulled 0, pushed 0
    node1: tick complete: 0 settled, 0 forgotten, 0 wait
> traffic
    4 requests, 372672 bytes both ways, 10000 entries listed or sent
