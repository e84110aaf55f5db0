# A write travels

Claim: a write is applied where it is made, and sent to every peer at once.

A client writes on node 1. It is acknowledged before any peer knows of it: until the message arrives, only
node 1 holds the value. That is the price of answering at once, and of taking writes while no peer can be
reached.

> cluster 2
> set node1 greeting hello
    node1: SET greeting hello: version 12:00:00.000+0@1
> show greeting
    greeting on node1: hello  (version 12:00:00.000+0@1)
    greeting on node2: nothing

The version is the time of day at which it was written, a counter for writes within the same millisecond, and
the number of the node that took the write. Then the replicator of node 1 goes to work. The first message on
every connection is PEER: who speaks, in which incarnation (drawn anew when a node starts without its memory),
and the last time its clock has shown. The answer says the same of the other side, and how many entries have
arrived there so far: its `arrivals`. What that is good for, story 09 tells.

> propagate node1 node2
    node1: opens connection 1 to node2
    node1 ──▶ node2  PEER node1 incarnation 1 clock 12:00:00.000+0
    node1 ◀── node2  node2 incarnation 1 clock 12:00:00.000+0, arrivals 0
    node1 ──▶ node2  PROPAGATE SET greeting hello 12:00:00.000+0@1
    node1 ◀── node2  1 (won)
> show greeting
    greeting on node1: hello  (version 12:00:00.000+0@1)
    greeting on node2: hello  (version 12:00:00.000+0@1)

The answer 1 means that the entry was newer than what stood there. Sent a second time it changes nothing, and
the answer is 0. So a sender that does not know whether a message has arrived just sends it again.

> set node1 greeting hello
    node1: SET greeting hello: version 12:00:00.000+1@1
> next PROPAGATE node1 node2 twice
> propagate node1 node2
    node1 ══▶ node2  PROPAGATE SET greeting hello 12:00:00.000+1@1  (arrives twice)
    node1 ◀── node2  0 (lost, or the same)

Deletes travel in the same way. A delete leaves a tombstone, so that it can be compared with other writes of
that key.

> del node1 greeting
    node1: DEL greeting: version 12:00:00.000+2@1
> propagate node1 node2
    node1 ──▶ node2  PROPAGATE DEL greeting 12:00:00.000+2@1
    node1 ◀── node2  1 (won)
> show greeting
    greeting on node1: a tombstone  (version 12:00:00.000+2@1)
    greeting on node2: a tombstone  (version 12:00:00.000+2@1)
