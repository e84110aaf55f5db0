# A clock that is an hour off

Claim: a write wins over every write that its node had seen before, whatever the wall clocks show.

Node 1 is half a minute ahead. Node 2 receives its write, and a client overwrites it there. By the wall clock of node 2
this would be an older write than the one it replaces. But the clock of node 2 has moved past everything that it has
received: that is what makes it a hybrid logical clock. The counter after the `+` shows that the wall clock is behind.

> cluster 2
> clock node1 +30s
> set node1 color red
    node1: SET color red: version 12:00:30.000+0@1
> propagate node1 node2
    node1: opens connection 1 to node2
    node1 ──▶ node2  PEER node1 incarnation 1 clock 12:00:30.000+0
    node1 ◀── node2  node2 incarnation 1 clock 12:00:30.000+0, arrivals 0
    node1 ──▶ node2  PROPAGATE SET color red 12:00:30.000+0@1
    node1 ◀── node2  1 (won)
> set node2 color blue
    node2: SET color blue: version 12:00:30.000+1@2
> propagate node2 node1
    node2: opens connection 2 to node1
    node2 ──▶ node1  PEER node2 incarnation 1 clock 12:00:30.000+1
    node2 ◀── node1  node1 incarnation 1 clock 12:00:30.000+1, arrivals 1
    node2 ──▶ node1  PROPAGATE SET color blue 12:00:30.000+1@2
    node2 ◀── node1  1 (won)
> show color
    color on node1: blue  (version 12:00:30.000+1@2)
    color on node2: blue  (version 12:00:30.000+1@2)

Now node 1 is an hour ahead. Node 2 stores its entries, but they do not move its clock. Otherwise one wrong clock would
take the whole cluster an hour into the future. The limit is one minute.

> clock node1 +1h
> set node1 color green
    node1: SET color green: version 13:00:30.000+0@1
> propagate node1 node2
    node1 ──▶ node2  PROPAGATE SET color green 13:00:30.000+0@1
    node1 ◀── node2  1 (won)
> set node2 shape round
    node2: SET shape round: version 12:00:30.000+2@2

`shape` was written after `color`, but has the earlier version. Between different keys, this order is all that is lost.
For the same key, a write always gets at least the version that it replaces plus one. So it wins even here.

> set node2 color yellow
    node2: SET color yellow: version 13:00:30.000+1@2
> propagate node2 node1
    node2 ──▶ node1  PROPAGATE SET color yellow 13:00:30.000+1@2
    node2 ◀── node1  1 (won)
    node2 ──▶ node1  PROPAGATE SET shape round 12:00:30.000+2@2
    node2 ◀── node1  1 (won)
> show color
    color on node1: yellow  (version 13:00:30.000+1@2)
    color on node2: yellow  (version 13:00:30.000+1@2)

A node whose clock is behind loses no writes either, as long as it has received what it overwrites.

> clock node2 -1h
> set node2 color black
    node2: SET color black: version 13:00:30.000+2@2
> propagate node2 node1
    node2 ──▶ node1  PROPAGATE SET color black 13:00:30.000+2@2
    node2 ◀── node1  1 (won)
> show color
    color on node1: black  (version 13:00:30.000+2@2)
    color on node2: black  (version 13:00:30.000+2@2)

A write may lose to a write that its node has not seen. Two writes are *concurrent* when neither node had seen the other
write. The clocks order them too, and clocks can be wrong. Here node 1 writes first, and wins because its clock is
ahead.

This store cannot see that the two are concurrent: for it, one is just later than the other. A store can see it if it
keeps a *version vector* with each entry (Parker et al., 1983). The vector says what the writer had seen of each node.
Riak does so, and keeps both values until a client has merged them.

> set node1 size small
    node1: SET size small: version 13:00:30.000+3@1
> pass 10s
> set node2 size large
    node2: SET size large: version 12:00:30.000+5@2
> propagate node1 node2
    node1 ──▶ node2  PROPAGATE SET size small 13:00:30.000+3@1
    node1 ◀── node2  1 (won)
> propagate node2 node1
    node2 ──▶ node1  PROPAGATE SET size small 13:00:30.000+3@1
    node2 ◀── node1  0 (lost, or the same)
> show size
    size on node1: small  (version 13:00:30.000+3@1)
    size on node2: small  (version 13:00:30.000+3@1)
