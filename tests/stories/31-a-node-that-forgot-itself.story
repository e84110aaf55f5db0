# A node that forgot itself

Claim: a node that has lost its memory does not go on with its old share. So nothing that it had counted before is taken
back.

> cluster 2
> quietly count node1 visits +5
> quietly propagate node1 node2
> restart node1
    node1: starts again, its memory is gone
> count node1 visits +1
    node1: INCRBY visits 1: 1

It has not heard of node 2 yet, so it says 1. If it had gone on with its old share, that would show 1 now, and later
than 5: node 2 would take it for the newer copy, and five visits would be gone. Its new life has a share of its own.

> propagate node1 node2
    node1: opens connection 2 to node2
    node1 ──▶ node2  PEER node1 incarnation 2 clock 12:00:00.000+0
    node1 ◀── node2  node2 incarnation 1 clock 12:00:00.000+0, arrivals 1
    node1 ──▶ node2  PROPAGATE COUNT visits, +1
    node1 ◀── node2  1 (won)
> tick node1
    node1: tick begins
    node1 ──▶ node2  PEER node1 incarnation 2 clock 12:00:00.000+0
    node1 ◀── node2  node2 incarnation 1 clock 12:00:00.000+0, arrivals 2
    node1 ──▶ node2  DIGEST
    node1 ◀── node2  root 97b1334479619687
    node1 ──▶ node2  DIGEST ""
    node1 ◀── node2  16 digests
    node1 ──▶ node2  DIGEST 2
    node1 ◀── node2  16 digests
    node1 ──▶ node2  DIGEST 22
    node1 ◀── node2  16 digests
    node1 ──▶ node2  DIGEST 223
    node1 ◀── node2  16 digests
    node1 ──▶ node2  LEAF 2230 1 hash to 12:00:00.000+0
    node1 ◀── node2  has visits never; lacks 1
    node1 ──▶ node2  FETCH visits
    node1 ◀── node2  COUNT visits, +5, +1
    node1 ──▶ node2  PROPAGATE COUNT visits, +5, +1
    node1 ◀── node2  0 (lost, or the same)
    node1 ──▶ node2  CONFIRM 2
    node1 ◀── node2  OK
    node1: round with node2 done: pulled 1, pushed 0
    node1: tick complete: 0 settled, 0 forgotten, 0 wait
> show visits
    visits on node1: 6  (COUNT visits, +5, +1)
    visits on node2: 6  (COUNT visits, +5, +1)
