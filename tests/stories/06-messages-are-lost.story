# Messages are lost, and repeated

Claim: any message may be lost, and any reply. The message is then sent again. Each can be repeated without harm.

The request is lost. The replicator keeps its batch, opens a new connection, and sends it again.

> cluster 2
> set node1 a 1
    node1: SET a 1: version 12:00:00.000+0@1
> next PROPAGATE node1 node2 lost
> propagate node1 node2
    node1: opens connection 1 to node2
    node1 ──▶ node2  PEER node1 incarnation 1 clock 12:00:00.000+0
    node1 ◀── node2  node2 incarnation 1 clock 12:00:00.000+0, arrivals 0
    node1 ──✗ node2  PROPAGATE SET a 1 12:00:00.000+0@1  (lost)
    node1: keeps what it has for node2: the request was lost
> propagate node1 node2
    node1: opens connection 2 to node2
    node1 ──▶ node2  PEER node1 incarnation 1 clock 12:00:00.000+0
    node1 ◀── node2  node2 incarnation 1 clock 12:00:00.000+0, arrivals 0
    node1 ──▶ node2  PROPAGATE SET a 1 12:00:00.000+0@1
    node1 ◀── node2  1 (won)

The request is carried out, but its reply is lost. The sender cannot know that. It sends the request again, and the
reply is 0: node 2 holds the same version already.

> set node1 a 2
    node1: SET a 2: version 12:00:00.000+1@1
> next PROPAGATE node1 node2 reply-lost
> propagate node1 node2
    node1 ──▶ node2  PROPAGATE SET a 2 12:00:00.000+1@1
    node1 ✗── node2  the reply is lost
    node1: keeps what it has for node2: the reply was lost
> propagate node1 node2
    node1: opens connection 3 to node2
    node1 ──▶ node2  PEER node1 incarnation 1 clock 12:00:00.000+1
    node1 ◀── node2  node2 incarnation 1 clock 12:00:00.000+1, arrivals 2
    node1 ──▶ node2  PROPAGATE SET a 2 12:00:00.000+1@1
    node1 ◀── node2  0 (lost, or the same)

In a round, too, any message may be lost. The round fails, and the next one starts from the root. What was merged until
then stays: each entry is right on its own.

> quietly cut node1 node2
> set node1 b 1
    node1: SET b 1: version 12:00:00.000+2@1
> set node2 c 1
    node2: SET c 1: version 12:00:00.000+2@2
> mend node1 node2
> next LEAF node1 node2 reply-lost
> tick node1
    node1: tick begins
    node1 ──▶ node2  PEER node1 incarnation 1 clock 12:00:00.000+2
    node1 ◀── node2  node2 incarnation 1 clock 12:00:00.000+2, arrivals 3
    node1 ──▶ node2  DIGEST
    node1 ◀── node2  root 566f3f4a1c72fe48
    node1 ──▶ node2  DIGEST ""
    node1 ◀── node2  16 digests
    node1 ──▶ node2  DIGEST 2, b
    node1 ◀── node2  2 times 16 digests
    node1 ──▶ node2  DIGEST 22, b8
    node1 ◀── node2  2 times 16 digests
    node1 ──▶ node2  DIGEST 221, b8c
    node1 ◀── node2  2 times 16 digests
    node1 ──▶ node2  LEAF 2213 empty, b8c1 1 hash to 12:00:00.000+2
    node1 ✗── node2  the reply is lost
    node1: round with node2 failed: the reply was lost
    node1: tick not complete: 0 settled, 0 forgotten, 0 wait
> tick node1
    node1: tick begins
    node1: opens connection 4 to node2
    node1 ──▶ node2  PEER node1 incarnation 1 clock 12:00:00.000+3
    node1 ◀── node2  node2 incarnation 1 clock 12:00:00.000+3, arrivals 3
    node1 ──▶ node2  PEER node1 incarnation 1 clock 12:00:00.000+3
    node1 ◀── node2  node2 incarnation 1 clock 12:00:00.000+3, arrivals 3
    node1 ──▶ node2  DIGEST
    node1 ◀── node2  root 566f3f4a1c72fe48
    node1 ──▶ node2  DIGEST ""
    node1 ◀── node2  16 digests
    node1 ──▶ node2  DIGEST 2, b
    node1 ◀── node2  2 times 16 digests
    node1 ──▶ node2  DIGEST 22, b8
    node1 ◀── node2  2 times 16 digests
    node1 ──▶ node2  DIGEST 221, b8c
    node1 ◀── node2  2 times 16 digests
    node1 ──▶ node2  LEAF 2213 empty, b8c1 1 hash to 12:00:00.000+2
    node1 ◀── node2  SET c 1 12:00:00.000+2@2; lacks 1
    node1 ──▶ node2  PROPAGATE SET b 1 12:00:00.000+2@1
    node1 ◀── node2  1 (won)
    node1 ──▶ node2  CONFIRM 3
    node1 ◀── node2  OK
    node1: round with node2 done: pulled 1, pushed 1
    node1: tick complete: 0 settled, 0 forgotten, 0 wait
> show b c
    b on node1: 1  (version 12:00:00.000+2@1)
    b on node2: 1  (version 12:00:00.000+2@1)
    c on node1: 1  (version 12:00:00.000+2@2)
    c on node2: 1  (version 12:00:00.000+2@2)
