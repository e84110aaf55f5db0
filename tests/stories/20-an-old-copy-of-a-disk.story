# An old copy of a disk

Claim: an old copy of a disk does not bring back what was deleted since it was taken.

Such a copy does not know of deletes that all nodes have forgotten. What was deleted would look like a write that the
others have missed, and spread to all of them.

> cluster 2 with disks
> quietly set node1 cart book
> quietly propagate node1
> quietly tick all 2
> backup node2
    node2: copy 1 of its disk is taken

A day later the book is deleted, and the delete is forgotten.

> del node1 cart
    node1: DEL cart: version 12:00:00.000+4@1
> quietly propagate node1
> quietly tick all 6
> tombstones
    node1: 0 waiting, 0 settled, 1 forgotten
    node2: 0 waiting, 0 settled, 1 forgotten

The disk of node 2 breaks. Its operator has a copy.

> put-back node2
    node2: starts again with an old copy of its disk
> show cart
    cart on node1: nothing
    cart on node2: book  (version 12:00:00.000+0@1)

In its greeting node 2 shows the last confirmation on its disk. Node 1 has heard a later one, so this disk lacks
something that its node has confirmed. Node 1 merges nothing of it, and says why. Node 2 ends. Its operator moves the
directory away, and the node starts empty.

> tick node2
    node2: tick begins
    node2: opens connection 3 to node1
    node2 ──▶ node1  PEER node2 incarnation 2 clock 12:00:00.000+0, confirmation 2, heard 2 of 1.1
    node2 ◀── node1  OLDCOPY the disk of node2 is an old copy: it knows of 2 confirmations, node1 has heard 5
    node2: round with node1 failed: the disk of node2 is an old copy: it knows of 2 confirmations, node1 has heard 5
    node2: ends: its disk is an old copy
    node2: starts again, its memory and its disk are gone
> show cart
    cart on node1: nothing
    cart on node2: nothing

It is a new node now, with a new store. In its first tick it only asks its peers what they have heard of other stores:
one of those could be an old copy, too. From the second tick on they fill it.

> set node1 milk 1
    node1: SET milk 1: version 12:00:00.000+16@1
> tick node2
    node2: tick begins
    node2: opens connection 4 to node1
    node2 ──▶ node1  PEER node2 incarnation 3 clock 0
    node2 ◀── node1  node1 incarnation 1 clock 12:00:00.000+16, confirmation 5, heard 5 of 2.1, arrivals 3
    node2: round with node1 failed: node2 is new, and still asks its peers whether they know the disk of node1
    node2: tick not complete: 0 settled, 0 forgotten, 0 wait
> show cart milk
    cart on node1: nothing
    cart on node2: nothing
    milk on node1: 1  (version 12:00:00.000+16@1)
    milk on node2: nothing

> quietly tick node2
> show cart milk
    cart on node1: nothing
    cart on node2: nothing
    milk on node1: 1  (version 12:00:00.000+16@1)
    milk on node2: 1  (version 12:00:00.000+16@1)

A copy that is as new as the last confirmation is no old copy, however old it is. Nothing was confirmed since, so nobody
counts on anything that it lacks.

> quietly tick all 1
> backup node2
    node2: copy 2 of its disk is taken
> put-back node2
    node2: starts again with an old copy of its disk
> tick node2
    node2: tick begins
    node2: opens connection 6 to node1
    node2 ──▶ node1  PEER node2 incarnation 4 clock 12:00:00.000+16, confirmation 2, heard 5 of 2.1
    node2 ◀── node1  node1 incarnation 1 clock 12:00:00.000+17, confirmation 5, heard 5 of 2.1, 2 of 2.3, arrivals 3
    node2 ──▶ node1  PEER node2 incarnation 4 clock 12:00:00.000+17, confirmation 2
    node2 ◀── node1  node1 incarnation 1 clock 12:00:00.000+17, confirmation 5, arrivals 3
    node2 ──▶ node1  DIGEST
    node2 ◀── node1  root e6851fb438d2f9ba
    node2 ──▶ node1  CONFIRM 3, confirmation 3
    node2 ◀── node1  OK
    node2: round with node1 done: pulled 0, pushed 0
    node2: tick not complete: 0 settled, 0 forgotten, 0 wait
> show milk
    milk on node1: 1  (version 12:00:00.000+16@1)
    milk on node2: 1  (version 12:00:00.000+16@1)
