# A restart with the clock behind

Claim: a delete never undoes a write that a node acknowledges after it has started again, even if that node's clock is
behind and its peers have settled the delete.

A settled tombstone is not listed. So a node that starts with an empty memory would never hear of that delete.
Usually this does no harm: what it writes next is later than the delete. But if its clock is behind, its next write of
the key is *older* than the delete. The node would acknowledge the write, and a moment later the delete would
overrule it, although the delete was made first.

Therefore a new incarnation takes settling back: when a node learns that a member has started again, every settled
tombstone that it still holds returns to its digests and lists.

> cluster 2

The clock of node 2 is 90 seconds behind, too far for the timestamps of node 1 to move it.

> clock node2 -90s
> quietly set node1 k early
> quietly propagate node1 node2
> quietly del node1 k
> quietly propagate node1 node2
> quietly tick node2
> quietly tick node1
> tick node1
    node1: tick begins
    node1 ──▶ node2  PEER node1 incarnation 1 clock 12:00:00.000+2
    node1 ◀── node2  node2 incarnation 1 clock 11:58:30.000+0, arrivals 2
    node1 ──▶ node2  DIGEST
    node1 ◀── node2  root 4352a24861cbd452
    node1 ──▶ node2  DIGEST ""
    node1 ◀── node2  16 digests
    node1 ──▶ node2  DIGEST b
    node1 ◀── node2  16 digests
    node1 ──▶ node2  DIGEST b3
    node1 ◀── node2  16 digests
    node1 ──▶ node2  DIGEST b33
    node1 ◀── node2  16 digests
    node1 ──▶ node2  LEAF b33b empty
    node1 ◀── node2  DEL k 12:00:00.000+1@1
    node1 ──▶ node2  CONFIRM 2
    node1 ◀── node2  OK
    node1: round with node2 done: pulled 0, pushed 0
    node1: tick complete: 0 settled, 0 forgotten, 0 wait
> tombstones
    node1: 0 waiting, 1 settled, 0 forgotten
    node2: 1 waiting, 0 settled, 0 forgotten

Node 1 has settled the delete: it knows that node 2 holds it. Now node 2 loses its memory.

> restart node2
    node2: starts again, its memory is gone
> tick node2
    node2: tick begins
    node2: opens connection 3 to node1
    node2 ──▶ node1  PEER node2 incarnation 2 clock 0
    node2 ◀── node1  node1 incarnation 1 clock 12:00:00.000+3, arrivals 2
    node2 ──▶ node1  PEER node2 incarnation 2 clock 0
    node2 ◀── node1  node1 incarnation 1 clock 12:00:00.000+3, arrivals 2
    node2 ──▶ node1  DIGEST
    node2 ◀── node1  root 4352a24861cbd452
    node2 ──▶ node1  DIGEST ""
    node2 ◀── node1  16 digests
    node2 ──▶ node1  DIGEST b
    node2 ◀── node1  16 digests
    node2 ──▶ node1  DIGEST b3
    node2 ◀── node1  16 digests
    node2 ──▶ node1  DIGEST b33
    node2 ◀── node1  16 digests
    node2 ──▶ node1  LEAF b33b empty
    node2 ◀── node1  DEL k 12:00:00.000+1@1
    node2 ──▶ node1  CONFIRM 2
    node2 ◀── node1  OK
    node2: round with node1 done: pulled 1, pushed 0
    node2: tick not complete: 0 settled, 0 forgotten, 1 wait

The first PEER of the new incarnation has made node 1 list the delete again, so node 2 has loaded it. A client writes
the key on node 2. The write is stamped past the delete, whatever the clock shows, and wins everywhere.

> set node2 k late
    node2: SET k late: version 12:00:00.000+2@2
> propagate node2 node1
    node2 ──▶ node1  PROPAGATE SET k late 12:00:00.000+2@2
    node2 ◀── node1  1 (won)
> show k
    k on node1: late  (version 12:00:00.000+2@2)
    k on node2: late  (version 12:00:00.000+2@2)

The write has replaced the tombstone on both nodes.

> quietly tick all 4
> tombstones
    node1: 0 waiting, 0 settled, 0 forgotten
    node2: 0 waiting, 0 settled, 0 forgotten
