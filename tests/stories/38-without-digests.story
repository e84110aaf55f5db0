# Without digests

What the rule is for: without it, each round names all entries, as the simplest full exchange would.

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
    node1 ──▶ node2  LEAF 00 38 hashes to 12:00:00.000+0, 01 28 hashes to 12:00:00.000+0, … 209 in all  (70896 bytes)
    node1 ◀── node2  no difference  (26 bytes)
    node1 ──▶ node2  LEAF d1 39 hashes to 12:00:00.000+0, d2 46 hashes to 12:00:00.000+0, … 47 in all  (15279 bytes)
    node1 ◀── node2  no difference  (25 bytes)
    node1 ──▶ node2  CONFIRM 10000  (28 bytes)
    node1 ◀── node2  OK  (5 bytes)
    node1: round with node2 done: pulled 0, pushed 0
    node1: tick not complete: 0 settled, 0 forgotten, 0 wait
> traffic
    5 requests, 86565 bytes both ways, 0 entries listed or sent
> tick node1
    node1: tick begins
    node1 ──▶ node2  PEER node1 incarnation 1 clock 12:00:00.000+0  (76 bytes)
    node1 ◀── node2  node2 incarnation 1 clock 12:00:00.000+0, arrivals 10000  (77 bytes)
    node1 ──▶ node2  LEAF 00 38 hashes to 12:00:00.000+0, 01 28 hashes to 12:00:00.000+0, … 209 in all  (70896 bytes)
    node1 ◀── node2  no difference  (26 bytes)
    node1 ──▶ node2  LEAF d1 39 hashes to 12:00:00.000+0, d2 46 hashes to 12:00:00.000+0, … 47 in all  (15279 bytes)
    node1 ◀── node2  no difference  (25 bytes)
    node1 ──▶ node2  CONFIRM 10000  (28 bytes)
    node1 ◀── node2  OK  (5 bytes)
    node1: round with node2 done: pulled 0, pushed 0
    node1: tick complete: 0 settled, 0 forgotten, 0 wait
> traffic
    4 requests, 86412 bytes both ways, 0 entries listed or sent
