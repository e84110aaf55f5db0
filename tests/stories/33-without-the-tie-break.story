# Without the tie-break

What the rule is for: without it, each node keeps the first of two contents under one version, and the nodes differ for
ever.

Compare the second half of story 04.

> cluster 2 without tie-break
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
    node1 ──▶ node2  PROPAGATE SET color blue 12:00:00.000+0@1
    node1 ◀── node2  0 (lost, or the same)
    node1 ──▶ node2  CONFIRM 1
    node1 ◀── node2  OK
    node1: round with node2 done: pulled 0, pushed 0
    node1: tick not complete: 0 settled, 0 forgotten, 0 wait
> quietly tick node2
> tick node1
    node1: tick begins
    node1 ──▶ node2  PEER node1 incarnation 2 clock 12:00:00.000+1
    node1 ◀── node2  node2 incarnation 1 clock 12:00:00.000+2, arrivals 1
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
    node1 ──▶ node2  PROPAGATE SET color blue 12:00:00.000+0@1
    node1 ◀── node2  0 (lost, or the same)
    node1 ──▶ node2  CONFIRM 1
    node1 ◀── node2  OK
    node1: round with node2 done: pulled 0, pushed 0
    node1: tick complete: 0 settled, 0 forgotten, 0 wait
> show color
    color on node1: blue  (version 12:00:00.000+0@1)
    color on node2: red  (version 12:00:00.000+0@1)
> digests
    node1: root 8ebcacd4f688cdfa
    node2: root 7069508098238855

Each round finds the difference, sends both contents, and changes nothing.
