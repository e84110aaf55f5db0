# A delete is forgotten

Claim: a node forgets a tombstone when it knows that every peer holds it, and that no message under way can bring back
anything older.

> cluster 2
> set node1 cart book
    node1: SET cart book: version 12:00:00.000+0@1
> del node1 cart
    node1: DEL cart: version 12:00:00.000+1@1
> propagate node1 node2
    node1: opens connection 1 to node2
    node1 ──▶ node2  PEER node1 incarnation 1 clock 12:00:00.000+1
    node1 ◀── node2  node2 incarnation 1 clock 12:00:00.000+1, arrivals 0
    node1 ──▶ node2  PROPAGATE DEL cart 12:00:00.000+1@1
    node1 ◀── node2  1 (won)
> tombstones
    node1: 1 waiting, 0 settled, 0 forgotten
    node2: 1 waiting, 0 settled, 0 forgotten

Two entries have arrived on node 1 so far: the value and the delete. When a peer sends PEER, node 1 replies with that
number, its `arrivals`. At the end of its round, the peer holds everything that node 1 held at that moment. It says so
with CONFIRM 2. Here node 2 runs the round:

> tick node2
    node2: tick begins
    node2: opens connection 2 to node1
    node2 ──▶ node1  PEER node2 incarnation 1 clock 12:00:00.000+1
    node2 ◀── node1  node1 incarnation 1 clock 12:00:00.000+1, arrivals 2
    node2 ──▶ node1  PEER node2 incarnation 1 clock 12:00:00.000+1
    node2 ◀── node1  node1 incarnation 1 clock 12:00:00.000+1, arrivals 2
    node2 ──▶ node1  DIGEST
    node2 ◀── node1  root 920d52cc8c341b9b
    node2 ──▶ node1  CONFIRM 2
    node2 ◀── node1  OK
    node2: round with node1 done: pulled 0, pushed 0
    node2: tick complete: 0 settled, 0 forgotten, 1 wait

Node 2 itself does not know yet what node 1 holds: no peer has confirmed anything to it. But node 1 knows what node 2
holds. It notes the number at the start of its next tick. Then it runs its own round with every peer, to see that each
is alive and has not lost its memory since. All rounds succeed: the tombstone is *settled*.

> tick node1
    node1: tick begins
    node1 ──▶ node2  PEER node1 incarnation 1 clock 12:00:00.000+1
    node1 ◀── node2  node2 incarnation 1 clock 12:00:00.000+2, arrivals 1
    node1 ──▶ node2  DIGEST
    node1 ◀── node2  root 920d52cc8c341b9b
    node1 ──▶ node2  CONFIRM 1
    node1 ◀── node2  OK
    node1: round with node2 done: pulled 0, pushed 0
    node1: tick complete: 1 settled, 0 forgotten, 0 wait
> tombstones
    node1: 0 waiting, 1 settled, 0 forgotten
    node2: 1 waiting, 0 settled, 0 forgotten

A settled tombstone no longer counts in the digests and is not listed. The node still keeps it: if something older
arrives, the tombstone wins. It is forgotten after three more complete ticks in which no peer lists it.

> tick node2
    node2: tick begins
    node2 ──▶ node1  PEER node2 incarnation 1 clock 12:00:00.000+2
    node2 ◀── node1  node1 incarnation 1 clock 12:00:00.000+3, arrivals 2
    node2 ──▶ node1  DIGEST
    node2 ◀── node1  root 0000000000000000
    node2 ──▶ node1  DIGEST ""
    node2 ◀── node1  16 digests
    node2 ──▶ node1  DIGEST f
    node2 ◀── node1  16 digests
    node2 ──▶ node1  DIGEST f5
    node2 ◀── node1  16 digests
    node2 ──▶ node1  DIGEST f56
    node2 ◀── node1  16 digests
    node2 ──▶ node1  LEAF f564 1 hash to 12:00:00.000+1
    node2 ◀── node1  lacks 1
    node2 ──▶ node1  PROPAGATE DEL cart 12:00:00.000+1@1
    node2 ◀── node1  0 (lost, or the same)
    node2 ──▶ node1  CONFIRM 2
    node2 ◀── node1  OK
    node2: round with node1 done: pulled 0, pushed 0
    node2: tick complete: 1 settled, 0 forgotten, 0 wait
> tick node1
    node1: tick begins
    node1 ──▶ node2  PEER node1 incarnation 1 clock 12:00:00.000+3
    node1 ◀── node2  node2 incarnation 1 clock 12:00:00.000+4, arrivals 1
    node1 ──▶ node2  DIGEST
    node1 ◀── node2  root 0000000000000000
    node1 ──▶ node2  CONFIRM 1
    node1 ◀── node2  OK
    node1: round with node2 done: pulled 0, pushed 0
    node1: tick complete: 0 settled, 0 forgotten, 0 wait
> quietly tick node2
> tick node1
    node1: tick begins
    node1 ──▶ node2  PEER node1 incarnation 1 clock 12:00:00.000+5
    node1 ◀── node2  node2 incarnation 1 clock 12:00:00.000+6, arrivals 1
    node1 ──▶ node2  DIGEST
    node1 ◀── node2  root 0000000000000000
    node1 ──▶ node2  CONFIRM 1
    node1 ◀── node2  OK
    node1: round with node2 done: pulled 0, pushed 0
    node1: tick complete: 0 settled, 0 forgotten, 0 wait
> tombstones
    node1: 0 waiting, 1 settled, 0 forgotten
    node2: 0 waiting, 1 settled, 0 forgotten
> tick node1
    node1: tick begins
    node1 ──▶ node2  PEER node1 incarnation 1 clock 12:00:00.000+7
    node1 ◀── node2  node2 incarnation 1 clock 12:00:00.000+7, arrivals 1
    node1 ──▶ node2  DIGEST
    node1 ◀── node2  root 0000000000000000
    node1 ──▶ node2  CONFIRM 1
    node1 ◀── node2  OK
    node1: round with node2 done: pulled 0, pushed 0
    node1: tick complete: 0 settled, 1 forgotten, 0 wait
> tombstones
    node1: 0 waiting, 0 settled, 1 forgotten
    node2: 0 waiting, 1 settled, 0 forgotten
> quietly tick node2
> quietly tick node2
> tombstones
    node1: 0 waiting, 0 settled, 1 forgotten
    node2: 0 waiting, 0 settled, 1 forgotten

The value is gone, and so is the tombstone. A peer that is away delays this: it confirms nothing, and every tombstone
since then waits. It delays only the forgetting. The deletes themselves work at once.

> set node1 cart book
    node1: SET cart book: version 12:00:00.000+10@1
> quietly propagate node1 node2
> cut node1 node2
> del node1 cart
    node1: DEL cart: version 12:00:00.000+11@1
> quietly tick node1
> quietly tick node1
> tombstones
    node1: 1 waiting, 0 settled, 1 forgotten
    node2: 0 waiting, 0 settled, 1 forgotten
> mend node1 node2
> quietly tick all 6
> tombstones
    node1: 0 waiting, 0 settled, 2 forgotten
    node2: 0 waiting, 0 settled, 2 forgotten
