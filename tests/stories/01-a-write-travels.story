# A write travels

Claim: a node applies a write, answers it, and sends it to every peer at once.

A client writes on node 1. Node 1 acknowledges the write before any peer knows of it. Until the message arrives, only
node 1 holds the value. That is the price of answering at once, and of taking writes while no peer can be reached.

> cluster 2
> set node1 greeting hello
    node1: SET greeting hello: version 12:00:00.000+0@1
> show greeting
    greeting on node1: hello  (version 12:00:00.000+0@1)
    greeting on node2: nothing

The version is the time of day at which it was written, a counter for writes within the same millisecond, and
the number of the node that took the write. Then the replicator of node 1 sends it. The first message on every
connection is PEER. It carries the node's name, its incarnation (a number drawn anew when a node starts without its
memory), and the last time that its clock has shown. The reply says the same of the other side, and how many entries
have arrived there so far: its `arrivals`. Story 09 shows what that number is for.

> propagate node1 node2
    node1: opens connection 1 to node2
    node1 ──▶ node2  PEER node1 incarnation 1 clock 12:00:00.000+0
    node1 ◀── node2  node2 incarnation 1 clock 12:00:00.000+0, arrivals 0
    node1 ──▶ node2  PROPAGATE SET greeting hello 12:00:00.000+0@1
    node1 ◀── node2  1 (won)
> show greeting
    greeting on node1: hello  (version 12:00:00.000+0@1)
    greeting on node2: hello  (version 12:00:00.000+0@1)

The reply 1 means that the entry was newer than what node 2 held. Sent a second time, it changes nothing, and the reply
is 0. So a sender that does not know whether a message has arrived just sends it again.

> set node1 greeting hello
    node1: SET greeting hello: version 12:00:00.000+1@1
> next PROPAGATE node1 node2 twice
> propagate node1 node2
    node1 ══▶ node2  PROPAGATE SET greeting hello 12:00:00.000+1@1  (arrives twice)
    node1 ◀── node2  0 (lost, or the same)

Deletes travel in the same way. A delete leaves a tombstone, so that it can be compared with other writes of that key.

> del node1 greeting
    node1: DEL greeting: version 12:00:00.000+2@1
> propagate node1 node2
    node1 ──▶ node2  PROPAGATE DEL greeting 12:00:00.000+2@1
    node1 ◀── node2  1 (won)
> show greeting
    greeting on node1: a tombstone  (version 12:00:00.000+2@1)
    greeting on node2: a tombstone  (version 12:00:00.000+2@1)
