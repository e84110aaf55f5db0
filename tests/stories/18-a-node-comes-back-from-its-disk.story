# A node comes back from its disk

Claim: what a client was told is done is there again after the process was killed. After a power cut, what was synced is
there. And then the node fetches only what it has missed.

> cluster 2 with disks
> set node1 a 1
    node1: SET a 1: version 12:00:00.000+0@1
> propagate node1
    node1: opens connection 1 to node2
    node1 ──▶ node2  PEER node1 incarnation 1 clock 12:00:00.000+0
    node1 ◀── node2  node2 incarnation 1 clock 12:00:00.000+0, arrivals 0
    node1 ──▶ node2  PROPAGATE SET a 1 12:00:00.000+0@1
    node1 ◀── node2  1 (won)

A write is in the log before it is answered, so a kill does not take it back. Neither does it take back what a peer has
sent, once that is answered.

> kill node1
    node1: is killed, and starts again
> kill node2
    node2: is killed, and starts again
> show a
    a on node1: 1  (version 12:00:00.000+0@1)
    a on node2: 1  (version 12:00:00.000+0@1)

A power cut is harder. The disk thread syncs every second; what was written since may be lost.

> sync node1
    node1: syncs its disk
> sync node2
    node2: syncs its disk
> set node1 a 2
    node1: SET a 2: version 12:00:00.000+1@1
> power-cut node1
    node1: loses its power, and starts again
> show a
    a on node1: 1  (version 12:00:00.000+0@1)
    a on node2: 1  (version 12:00:00.000+0@1)

Nobody else has seen that write, so it is gone. (With `--sync always` the client would have waited until it is durable.)
What is lost in this way a peer may still have: then a round brings it back.

> set node1 b 1
    node1: SET b 1: version 12:00:00.000+1@1
> quietly propagate node1
> power-cut node1
    node1: loses its power, and starts again
> show b
    b on node1: nothing
    b on node2: nothing

The node is another incarnation: it has confirmed nothing, and asks its peers before it serves clients. But its memory
is not empty, so the round moves one entry, not all.

> tick node1
    node1: tick begins
    node1: opens connection 3 to node2
    node1 ──▶ node2  PEER node1 incarnation 4 clock 12:00:00.000+0, confirmation 1
    node1 ◀── node2  REFUSED node2 is new, and still asks its peers whether they know the disk of node1
    node1: round with node2 failed: refused: node2 is new, and still asks its peers whether they know the disk of node1
    node1: tick not complete: 0 settled, 0 forgotten, 0 wait
> show a b
    a on node1: 1  (version 12:00:00.000+0@1)
    a on node2: 1  (version 12:00:00.000+0@1)
    b on node1: nothing
    b on node2: nothing

A snapshot replaces the log. A node starts from both.

> save node1
    node1: begins a snapshot
    node1: has written a snapshot
> set node1 c 1
    node1: SET c 1: version 12:00:00.000+2@1
> kill node1
    node1: is killed, and starts again
> show a b c
    a on node1: 1  (version 12:00:00.000+0@1)
    a on node2: 1  (version 12:00:00.000+0@1)
    b on node1: nothing
    b on node2: nothing
    c on node1: 1  (version 12:00:00.000+2@1)
    c on node2: nothing
