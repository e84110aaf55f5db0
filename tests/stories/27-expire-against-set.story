# EXPIRE against SET on two nodes

Claim: EXPIRE is a write of the same value, so of EXPIRE and SET at once the later one wins, whole: a value never gets
the deadline that was meant for another.

> cluster 2
> set node1 user alice
    node1: SET user alice: version 12:00:00.000+0@1
> quietly propagate node1 node2

The nodes are cut off from each other. On node 1 a client gives the value a deadline. On node 2 another client writes a
new value, a moment later.

> cut node1 node2
> expire node1 user 5s
    node1: EXPIRE user: until 12:00:05.000, version 12:00:00.000+1@1
> pass 10ms
> set node2 user bob
    node2: SET user bob: version 12:00:00.010+0@2
> mend node1 node2
> quietly tick node1
> show user
    user on node1: bob  (version 12:00:00.010+0@2)
    user on node2: bob  (version 12:00:00.010+0@2)

The SET is later. It has no deadline, and lives on. What is lost is the EXPIRE, and that is listed.

> conflicts node1
    node1 lists:
    user: node 2's value "bob" (12:00:00.010, 3 bytes) survives, node 1's value "alice" (12:00:00.000, 5 bytes) was lost
> pass 10s
> sweep node1
    node1: sweeps: 0 keys have expired
> show user
    user on node1: bob  (version 12:00:00.010+0@2)
    user on node2: bob  (version 12:00:00.010+0@2)

The other way round, EXPIRE is the later one. It has written the value that it had seen: the new one is lost, and the
old one expires.

> cut node1 node2
> set node2 user carol
    node2: SET user carol: version 12:00:10.010+0@2
> pass 10ms
> expire node1 user 5s
    node1: EXPIRE user: until 12:00:15.020, version 12:00:10.020+0@1
> mend node1 node2
> quietly tick node1
> show user
    user on node1: bob  (version 12:00:10.020+0@1, until 12:00:15.020)
    user on node2: bob  (version 12:00:10.020+0@1, until 12:00:15.020)
> conflicts node2
    node2 lists:
    user: node 1's value "bob" (12:00:10.020, 3 bytes) survives, node 2's value "carol" (12:00:10.010, 5 bytes) was lost
> pass 6s
> sweep node1
    node1: sweeps: 1 key has expired
> sweep node2
    node2: sweeps: 1 key has expired
> show user
    user on node1: a tombstone  (version 12:00:10.020+0@1)
    user on node2: a tombstone  (version 12:00:10.020+0@1)

When the two meet only after the deadline, a value that has expired is lost. That is no loss, and nothing is listed.

> cluster 2
> cut node1 node2
> set node1 user alice for 5s
    node1: SET user alice until 12:00:05.000: version 12:00:00.000+0@1
> pass 10ms
> set node2 user bob
    node2: SET user bob: version 12:00:00.010+0@2
> pass 6s
> sweep node1
    node1: sweeps: 1 key has expired
> show user
    user on node1: a tombstone  (version 12:00:00.000+0@1)
    user on node2: bob  (version 12:00:00.010+0@2)
> mend node1 node2
> quietly tick node1
> show user
    user on node1: bob  (version 12:00:00.010+0@2)
    user on node2: bob  (version 12:00:00.010+0@2)
> conflicts node1
    node1 lists nothing
> conflicts node2
    node2 lists nothing

But if it is the later one, it has overruled the other, as a delete would have.

> cluster 2
> cut node1 node2
> set node2 user bob
    node2: SET user bob: version 12:00:00.000+0@2
> pass 10ms
> set node1 user alice for 5s
    node1: SET user alice until 12:00:05.010: version 12:00:00.010+0@1
> pass 6s
> sweep node1
    node1: sweeps: 1 key has expired
> mend node1 node2
> quietly tick node1
> show user
    user on node1: a tombstone  (version 12:00:00.010+0@1)
    user on node2: a tombstone  (version 12:00:00.010+0@1)
> conflicts node2
    node2 lists:
    user: node 1's delete (12:00:00.010) survives, node 2's value "bob" (12:00:00.000, 3 bytes) was lost
