# Three nodes, one is cut off

Claim: any number of nodes agree pair by pair. A node that is cut off goes on alone, and is equal to the others after
one round with any of them.

A node does not forward what it received from a peer: the node that takes a write sends it to all peers itself.

> cluster 3
> cut node1 node3
> cut node2 node3
> set node1 a 1
    node1: SET a 1: version 12:00:00.000+0@1
> pass 1ms
> set node2 b 2
    node2: SET b 2: version 12:00:00.001+0@2
> pass 1ms
> set node3 a 3
    node3: SET a 3: version 12:00:00.002+0@3
> propagate node1
    node1: opens connection 1 to node2
    node1 ──▶ node2  PEER node1 incarnation 1 clock 12:00:00.000+0
    node1 ◀── node2  node2 incarnation 1 clock 12:00:00.001+0, arrivals 1
    node1 ──▶ node2  PROPAGATE SET a 1 12:00:00.000+0@1
    node1 ◀── node2  1 (won)
    node1: keeps what it has for node3: no connection
> propagate node2
    node2: opens connection 2 to node1
    node2 ──▶ node1  PEER node2 incarnation 1 clock 12:00:00.001+0
    node2 ◀── node1  node1 incarnation 1 clock 12:00:00.001+0, arrivals 1
    node2 ──▶ node1  PROPAGATE SET b 2 12:00:00.001+0@2
    node2 ◀── node1  1 (won)
    node2: keeps what it has for node3: no connection
> show a b
    a on node1: 1  (version 12:00:00.000+0@1)
    a on node2: 1  (version 12:00:00.000+0@1)
    a on node3: 3  (version 12:00:00.002+0@3)
    b on node1: 2  (version 12:00:00.001+0@2)
    b on node2: 2  (version 12:00:00.001+0@2)
    b on node3: nothing

Node 2 can reach node 3 again; node 1 still cannot. One round with node 2 is enough for node 3. Node 1 gets the writes
of node 3 from node 2.

> mend node2 node3
> tick node3
    node3: tick begins
    node3: round with node1 failed: no connection
    node3: opens connection 3 to node2
    node3 ──▶ node2  PEER node3 incarnation 1 clock 12:00:00.002+0
    node3 ◀── node2  node2 incarnation 1 clock 12:00:00.002+0, arrivals 2
    node3 ──▶ node2  PEER node3 incarnation 1 clock 12:00:00.002+0
    node3 ◀── node2  node2 incarnation 1 clock 12:00:00.002+0, arrivals 2
    node3 ──▶ node2  DIGEST
    node3 ◀── node2  root 34e1fb6c40dd79b8
    node3 ──▶ node2  DIGEST ""
    node3 ◀── node2  16 digests
    node3 ──▶ node2  DIGEST 8, b
    node3 ◀── node2  2 times 16 digests
    node3 ──▶ node2  DIGEST 80, b8
    node3 ◀── node2  2 times 16 digests
    node3 ──▶ node2  DIGEST 805, b8c
    node3 ◀── node2  2 times 16 digests
    node3 ──▶ node2  LEAF 805a 1 hash to 12:00:00.002+0, b8c1 empty
    node3 ◀── node2  SET b 2 12:00:00.001+0@2; has a 12:00:00.000+0@1; lacks 1
    node3 ──▶ node2  PROPAGATE SET a 3 12:00:00.002+0@3
    node3 ◀── node2  1 (won)
    node3 ──▶ node2  CONFIRM 2
    node3 ◀── node2  OK
    node3: round with node2 done: pulled 1, pushed 1
    node3: tick not complete: 0 settled, 0 forgotten, 0 wait
> tick node1
    node1: tick begins
    node1 ──▶ node2  PEER node1 incarnation 1 clock 12:00:00.001+0
    node1 ◀── node2  node2 incarnation 1 clock 12:00:00.002+0, arrivals 3
    node1 ──▶ node2  DIGEST
    node1 ◀── node2  root f5890be13e771017
    node1 ──▶ node2  DIGEST ""
    node1 ◀── node2  16 digests
    node1 ──▶ node2  DIGEST 8
    node1 ◀── node2  16 digests
    node1 ──▶ node2  DIGEST 80
    node1 ◀── node2  16 digests
    node1 ──▶ node2  DIGEST 805
    node1 ◀── node2  16 digests
    node1 ──▶ node2  LEAF 805a 1 hash to 12:00:00.000+0
    node1 ◀── node2  SET a 3 12:00:00.002+0@3; lacks 1
    node1 ──▶ node2  CONFIRM 3
    node1 ◀── node2  OK
    node1: round with node2 done: pulled 1, pushed 0
    node1: round with node3 failed: no connection
    node1: tick not complete: 0 settled, 0 forgotten, 0 wait
> show a b
    a on node1: 3  (version 12:00:00.002+0@3)
    a on node2: 3  (version 12:00:00.002+0@3)
    a on node3: 3  (version 12:00:00.002+0@3)
    b on node1: 2  (version 12:00:00.001+0@2)
    b on node2: 2  (version 12:00:00.001+0@2)
    b on node3: 2  (version 12:00:00.001+0@2)
> digests
    node1: root f5890be13e771017
    node2: root f5890be13e771017
    node3: root f5890be13e771017

A delete is settled only when *all* peers have confirmed it. While node 1 and node 3 cannot reach each other, it waits
on both of them. Node 2 reaches both, and may settle it.

> del node1 a
    node1: DEL a: version 12:00:00.002+2@1
> quietly tick all 4
> tombstones
    node1: 1 waiting, 0 settled, 0 forgotten
    node2: 0 waiting, 1 settled, 0 forgotten
    node3: 1 waiting, 0 settled, 0 forgotten
> mend node1 node3
> quietly tick all 6
> tombstones
    node1: 0 waiting, 0 settled, 1 forgotten
    node2: 0 waiting, 0 settled, 1 forgotten
    node3: 0 waiting, 0 settled, 1 forgotten
> show a b
    a on node1: nothing
    a on node2: nothing
    a on node3: nothing
    b on node1: 2  (version 12:00:00.001+0@2)
    b on node2: 2  (version 12:00:00.001+0@2)
    b on node3: 2  (version 12:00:00.001+0@2)
