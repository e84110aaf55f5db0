# A chain of writes on three nodes

Claim: a write has seen all that its predecessors had seen, also what its node has never held. And only what it had not
seen is listed.

Node 1 writes `one`. Node 2 receives it, and writes `two`. Node 3 receives only that, and writes `three`.

> cluster 3
> set node1 n one
    node1: SET n one: version 12:00:00.000+0@1
> quietly propagate node1 node2
> set node2 n two
    node2: SET n two: version 12:00:00.000+1@2
> quietly propagate node2 node3
> set node3 n three
    node3: SET n three: version 12:00:00.000+2@3
> show n
    n on node1: one  (version 12:00:00.000+0@1)
    n on node2: two  (version 12:00:00.000+1@2)
    n on node3: three  (version 12:00:00.000+2@3)

`three` carries two versions: that of `two`, which it has replaced, and that of `one`, which `two` had replaced. Node 1
still holds `one`. It would be wrong to list that as lost.

> propagate node3 node1
    node3: opens connection 3 to node1
    node3 ──▶ node1  PEER node3 incarnation 1 clock 12:00:00.000+2
    node3 ◀── node1  node1 incarnation 1 clock 12:00:00.000+2, arrivals 1
    node3 ──▶ node1  PROPAGATE SET n three 12:00:00.000+2@3
    node3 ◀── node1  1 (won)
> conflicts node1
    node1 lists nothing
> quietly tick all 3
> conflicts node1
    node1 lists nothing
> conflicts node2
    node2 lists nothing
> conflicts node3
    node3 lists nothing

The same chain, but node 1 writes once more before `three` arrives. No other node has seen that write.

> cluster 3
> set node1 n one
    node1: SET n one: version 12:00:00.000+0@1
> quietly propagate node1 node2
> set node2 n two
    node2: SET n two: version 12:00:00.000+1@2
> quietly propagate node2 node3
> set node1 n other
    node1: SET n other: version 12:00:00.000+1@1
> pass 5ms
> set node3 n three
    node3: SET n three: version 12:00:00.005+0@3
> propagate node3 node1
    node3: opens connection 3 to node1
    node3 ──▶ node1  PEER node3 incarnation 1 clock 12:00:00.005+0
    node3 ◀── node1  node1 incarnation 1 clock 12:00:00.005+0, arrivals 2
    node3 ──▶ node1  PROPAGATE SET n three 12:00:00.005+0@3
    node3 ◀── node1  1 (won)
> conflicts node1
    node1 lists:
    n: node 3's value "three" (12:00:00.005, 5 bytes) survives, node 1's value "other" (12:00:00.000, 5 bytes) was lost

`three` had seen node 1's writes up to `one`. `other` is later. Node 1 lists it, and now its copy of `three` knows of
it. The copy on node 3 does not, which does no harm. If `other` arrives there late, node 3 lists the same conflict, too.

> quietly tick all 3
> conflicts node1
    node1 lists:
    n: node 3's value "three" (12:00:00.005, 5 bytes) survives, node 1's value "other" (12:00:00.000, 5 bytes) was lost
> conflicts node2
    node2 lists nothing
> conflicts node3
    node3 lists nothing
