# A key expires

Claim: a value that is past its deadline is absent at once, on each node by its own clock. It then becomes a tombstone
of its own version, and nobody brings it back.

A deadline is a moment, not a duration. It is a part of what was written, so it travels with the value.

> cluster 2
> set node1 session alice for 5s
    node1: SET session alice until 12:00:05.000: version 12:00:00.000+0@1
> propagate node1 node2
    node1: opens connection 1 to node2
    node1 ──▶ node2  PEER node1 incarnation 1 clock 12:00:00.000+0
    node1 ◀── node2  node2 incarnation 1 clock 12:00:00.000+0, arrivals 0
    node1 ──▶ node2  PROPAGATE SET session alice 12:00:00.000+0@1 until 12:00:05.000
    node1 ◀── node2  1 (won)
> show session
    session on node1: alice  (version 12:00:00.000+0@1, until 12:00:05.000)
    session on node2: alice  (version 12:00:00.000+0@1, until 12:00:05.000)

Four seconds later a client says EXPIRE on node 2. That is a write like any other: the same value under a new version,
with another deadline.

> pass 4s
> expire node2 session 5s
    node2: EXPIRE session: until 12:00:09.000, version 12:00:04.000+0@2
> quietly propagate node2 node1
> show session
    session on node1: alice  (version 12:00:04.000+0@2, until 12:00:09.000)
    session on node2: alice  (version 12:00:04.000+0@2, until 12:00:09.000)

The deadline passes. Clients read nothing any more, though the value still lies there: nobody has to notice the moment.

> pass 6s
> show session
    session on node1: alice  (version 12:00:04.000+0@2, until 12:00:09.000, which is over)
    session on node2: alice  (version 12:00:04.000+0@2, until 12:00:09.000, which is over)

Each node sweeps every second. Node 1 does it first. It stamps nothing: the tombstone has the version of the value.

> sweep node1
    node1: sweeps: 1 key has expired
> show session
    session on node1: a tombstone  (version 12:00:04.000+0@2)
    session on node2: alice  (version 12:00:04.000+0@2, until 12:00:09.000, which is over)

Node 1 sends nothing because of that. A round would compare the two, and of one version a tombstone wins over a value.
So a node that sweeps late brings nothing back.

> tick node2
    node2: tick begins
    node2 ──▶ node1  PEER node2 incarnation 1 clock 12:00:04.000+0
    node2 ◀── node1  node1 incarnation 1 clock 12:00:04.000+0, arrivals 3
    node2 ──▶ node1  DIGEST
    node2 ◀── node1  root cbc3d637e18bb2d1
    node2 ──▶ node1  DIGEST ""
    node2 ◀── node1  16 digests
    node2 ──▶ node1  DIGEST 9
    node2 ◀── node1  16 digests
    node2 ──▶ node1  DIGEST 97
    node2 ◀── node1  16 digests
    node2 ──▶ node1  DIGEST 971
    node2 ◀── node1  16 digests
    node2 ──▶ node1  LEAF 971d 1 hash to 12:00:04.000+0
    node2 ◀── node1  has session 12:00:04.000+0@2; lacks 1
    node2 ──▶ node1  FETCH session
    node2 ◀── node1  DEL session 12:00:04.000+0@2
    node2 ──▶ node1  PROPAGATE DEL session 12:00:04.000+0@2
    node2 ◀── node1  0 (lost, or the same)
    node2 ──▶ node1  CONFIRM 3
    node2 ◀── node1  OK
    node2: round with node1 done: pulled 1, pushed 0
    node2: tick complete: 0 settled, 0 forgotten, 1 wait
> show session
    session on node1: a tombstone  (version 12:00:04.000+0@2)
    session on node2: a tombstone  (version 12:00:04.000+0@2)
> sweep node2
    node2: sweeps: 0 keys have expired

From here on it is a tombstone like any other: it settles, and is forgotten.

> quietly tick all 6
> show session
    session on node1: nothing
    session on node2: nothing
> tombstones
    node1: 0 waiting, 0 settled, 1 forgotten
    node2: 0 waiting, 0 settled, 1 forgotten
> conflicts node1
    node1 lists nothing

A write that comes after the expiry stands: it is later than the tombstone that it replaces.

> set node1 session bob for 5s
    node1: SET session bob until 12:00:15.000: version 12:00:10.000+12@1
> quietly propagate node1 node2
> pass 6s
> sweep node2
    node2: sweeps: 1 key has expired
> set node2 session carol
    node2: SET session carol: version 12:00:16.000+0@2
> propagate node2 node1
    node2 ──▶ node1  PROPAGATE SET session carol 12:00:16.000+0@2
    node2 ◀── node1  1 (won)
> show session
    session on node1: carol  (version 12:00:16.000+0@2)
    session on node2: carol  (version 12:00:16.000+0@2)
> sweep node1
    node1: sweeps: 0 keys have expired
> show session
    session on node1: carol  (version 12:00:16.000+0@2)
    session on node2: carol  (version 12:00:16.000+0@2)

PERSIST takes a deadline away. It comes too late for what has expired, swept or not.

> set node1 session dave for 5s
    node1: SET session dave until 12:00:21.000: version 12:00:16.000+1@1
> persist node1 session
    node1: PERSIST session: version 12:00:16.000+2@1
> expire node1 session 1s
    node1: EXPIRE session: until 12:00:17.000, version 12:00:16.000+3@1
> pass 2s
> persist node1 session
    node1: PERSIST session: there is no value
