# Without the stamp bump

What the rule is for: without it, a write can be acknowledged and yet lose to what it should replace.

The clock of node 1 is an hour ahead, too far to move the clock of node 2. A client on node 2 replaces a value that came
from node 1.

> cluster 2 without stamp-bump
> clock node1 +1h
> set node1 color red
    node1: SET color red: version 13:00:00.000+0@1
> propagate node1 node2
    node1: opens connection 1 to node2
    node1 ──▶ node2  PEER node1 incarnation 1 clock 13:00:00.000+0
    node1 ◀── node2  node2 incarnation 1 clock 0, arrivals 0
    node1 ──▶ node2  PROPAGATE SET color red 13:00:00.000+0@1
    node1 ◀── node2  1 (won)
> set node2 color blue
    node2: SET color blue: but what stood there is newer, and stays
> show color
    color on node1: red  (version 13:00:00.000+0@1)
    color on node2: red  (version 13:00:00.000+0@1)

The client was told OK, and reads `red`. For an hour, no client can change this key on node 2.
