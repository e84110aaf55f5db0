# Both count

Claim: increments add up, whichever nodes take them and however often a message arrives.

Each node counts in a *share* of its own, which no other node changes. The value is the sum. A message carries the whole
share, not the step: so it may arrive twice.

> cluster 2
> count node1 visits +1
    node1: INCRBY visits 1: 1
> propagate node1 node2
    node1: opens connection 1 to node2
    node1 ──▶ node2  PEER node1 incarnation 1 clock 12:00:00.000+0
    node1 ◀── node2  node2 incarnation 1 clock 12:00:00.000+0, arrivals 0
    node1 ──▶ node2  PROPAGATE COUNT visits, +1
    node1 ◀── node2  1 (won)
> cut node1 node2
> count node1 visits +2
    node1: INCRBY visits 2: 3
> count node2 visits +10
    node2: INCRBY visits 10: 11
> show visits
    visits on node1: 3  (COUNT visits, +3)
    visits on node2: 11  (COUNT visits, +1, +10)

Both were told their own sum. Last write wins would throw one of the two away.

> mend node1 node2
> next PROPAGATE node1 node2 twice
> propagate node1 node2
    node1 ══▶ node2  PROPAGATE COUNT visits, +3  (arrives twice)
    node1 ◀── node2  0 (lost, or the same)
> propagate node2 node1
    node2: opens connection 2 to node1
    node2 ──▶ node1  PEER node2 incarnation 1 clock 12:00:00.000+1
    node2 ◀── node1  node1 incarnation 1 clock 12:00:00.000+1, arrivals 2
    node2 ──▶ node1  PROPAGATE COUNT visits, +3, +10
    node2 ◀── node1  1 (won)
> show visits
    visits on node1: 13  (COUNT visits, +3, +10)
    visits on node2: 13  (COUNT visits, +3, +10)
> conflicts node1
    node1 lists nothing

Nothing was overruled, so there is no conflict to list. A round finds nothing to do:

> tick node1
    node1: tick begins
    node1 ──▶ node2  PEER node1 incarnation 1 clock 12:00:00.000+1
    node1 ◀── node2  node2 incarnation 1 clock 12:00:00.000+1, arrivals 3
    node1 ──▶ node2  DIGEST
    node1 ◀── node2  root 38f222b27de3f3cb
    node1 ──▶ node2  CONFIRM 3
    node1 ◀── node2  OK
    node1: round with node2 done: pulled 0, pushed 0
    node1: tick complete: 0 settled, 0 forgotten, 0 wait
