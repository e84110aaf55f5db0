# A peer is down

Claim: while a peer cannot be reached, the others go on. When it is back, they send what waits in its queue. The next
anti-entropy round finds what had no room in the queue.

> cluster 2
> cut node1 node2
> set node1 a 1
    node1: SET a 1: version 12:00:00.000+0@1
> set node1 b 2
    node1: SET b 2: version 12:00:00.000+1@1
> propagate node1 node2
    node1: keeps what it has for node2: no connection

The replicator keeps its batch and retries, after 50 ms at first, later after up to 5 s. Queue and batch hold keys, not
values. So once the network is back, node 1 sends the value of that moment, and never the 1.

> set node1 a 3
    node1: SET a 3: version 12:00:00.000+2@1
> mend node1 node2
> propagate node1 node2
    node1: opens connection 1 to node2
    node1 ──▶ node2  PEER node1 incarnation 1 clock 12:00:00.000+2
    node1 ◀── node2  node2 incarnation 1 clock 12:00:00.000+2, arrivals 0
    node1 ──▶ node2  PROPAGATE SET a 3 12:00:00.000+2@1
    node1 ◀── node2  1 (won)
    node1 ──▶ node2  PROPAGATE SET b 2 12:00:00.000+1@1
    node1 ◀── node2  1 (won)
> propagate node1 node2
    node1 ──▶ node2  PROPAGATE SET a 3 12:00:00.000+2@1
    node1 ◀── node2  0 (lost, or the same)
> show a b
    a on node1: 3  (version 12:00:00.000+2@1)
    a on node2: 3  (version 12:00:00.000+2@1)
    b on node1: 2  (version 12:00:00.000+1@1)
    b on node2: 2  (version 12:00:00.000+1@1)

`a` was written twice, so its key was queued twice. The second time the reply is 0: node 2 holds that version already.

A queue is bounded (8 keys in these stories). A key that does not fit is not queued; the write is acknowledged all the
same.

> cut node1 node2
> quietly set node1 k1 x
> quietly set node1 k2 x
> quietly set node1 k3 x
> quietly set node1 k4 x
> quietly set node1 k5 x
> quietly set node1 k6 x
> quietly set node1 k7 x
> quietly set node1 k8 x
> set node1 k9 x
    node1: SET k9 x: version 12:00:00.000+11@1
    node1: the queue for node2 is full, this key does not wait there
> mend node1 node2
> quietly propagate node1 node2
> quietly propagate node1 node2
> show k8 k9
    k8 on node1: x  (version 12:00:00.000+10@1)
    k8 on node2: x  (version 12:00:00.000+10@1)
    k9 on node1: x  (version 12:00:00.000+11@1)
    k9 on node2: nothing

Every 5 seconds each node runs a tick: a round with each peer, in which both sides become equal. The round compares
digests from the root of a tree down to the leaves that differ (story 07). There it names its entries by their hashes,
with LEAF, and sends the one that node 2 lacks.

> tick node1
    node1: tick begins
    node1 ──▶ node2  PEER node1 incarnation 1 clock 12:00:00.000+11
    node1 ◀── node2  node2 incarnation 1 clock 12:00:00.000+11, arrivals 10
    node1 ──▶ node2  DIGEST
    node1 ◀── node2  root 6602057287625710
    node1 ──▶ node2  DIGEST ""
    node1 ◀── node2  16 digests
    node1 ──▶ node2  DIGEST 9
    node1 ◀── node2  16 digests
    node1 ──▶ node2  DIGEST 98
    node1 ◀── node2  16 digests
    node1 ──▶ node2  DIGEST 985
    node1 ◀── node2  16 digests
    node1 ──▶ node2  LEAF 985c 1 hash to 12:00:00.000+11
    node1 ◀── node2  lacks 1
    node1 ──▶ node2  PROPAGATE SET k9 x 12:00:00.000+11@1
    node1 ◀── node2  1 (won)
    node1 ──▶ node2  CONFIRM 10
    node1 ◀── node2  OK
    node1: round with node2 done: pulled 0, pushed 1
    node1: tick complete: 0 settled, 0 forgotten, 0 wait
> show k9
    k9 on node1: x  (version 12:00:00.000+11@1)
    k9 on node2: x  (version 12:00:00.000+11@1)
> digests
    node1: root 519e3afcf13fc419
    node2: root 519e3afcf13fc419
