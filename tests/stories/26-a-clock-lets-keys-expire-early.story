# A clock that is ahead lets keys expire early

Claim: a node whose clock is ahead lets values expire early for all nodes, by as much as it is ahead. A node whose clock
is behind lets nothing live longer.

A deadline is compared with the clock of each node. Node 2's clock is 30 seconds ahead of node 1's. A client of node 1
writes a value that is to live for a minute.

> cluster 2
> clock node2 +30s
> set node1 session alice for 1m
    node1: SET session alice until 12:01:00.000: version 12:00:00.000+0@1
> quietly propagate node1 node2
> pass 31s
> show session
    session on node1: alice  (version 12:00:00.000+0@1, until 12:01:00.000)
    session on node2: alice  (version 12:00:00.000+0@1, until 12:01:00.000, which is over)

For node 2 the minute is over. Its sweep makes a tombstone, and the next round carries it to node 1, whose clients could
still read the value.

> sweep node2
    node2: sweeps: 1 key has expired
> sweep node1
    node1: sweeps: 0 keys have expired
> quietly tick node1
> show session
    session on node1: a tombstone  (version 12:00:00.000+0@1)
    session on node2: a tombstone  (version 12:00:00.000+0@1)

There is no better answer without clocks that agree: node 1 cannot know which of the two is right. And the nodes need
not agree on the instant. Once a tombstone stands anywhere, all hold it in the end.

What node 2 writes itself lives too long by node 1's clock, by the same half minute. But node 2, which has given the
deadline, is right by its own clock.

> set node2 session bob for 1m
    node2: SET session bob until 12:02:01.000: version 12:01:01.000+0@2
> quietly propagate node2 node1
> pass 61s
> show session
    session on node1: bob  (version 12:01:01.000+0@2, until 12:02:01.000)
    session on node2: bob  (version 12:01:01.000+0@2, until 12:02:01.000, which is over)
> sweep node2
    node2: sweeps: 1 key has expired
> quietly tick node1
> show session
    session on node1: a tombstone  (version 12:01:01.000+0@2)
    session on node2: a tombstone  (version 12:01:01.000+0@2)

A clock that is put back changes nothing: the tombstone is there. Nor does an empty node with a clock that is behind:
the tombstone is in what it loads.

> clock node1 -1h
> show session
    session on node1: a tombstone  (version 12:01:01.000+0@2)
    session on node2: a tombstone  (version 12:01:01.000+0@2)
> restart node1
    node1: starts again, its memory is gone
> quietly tick node1
> show session
    session on node1: a tombstone  (version 12:01:01.000+0@2)
    session on node2: a tombstone  (version 12:01:01.000+0@2)
