# A delete against a write

Claim: a delete is a write like any other. If it removes a value that it had not seen, or is undone by a write that had
not seen it, that is a conflict. A delete that every node has held is none any more.

> cluster 2
> set node1 cart book
    node1: SET cart book: version 12:00:00.000+0@1
> quietly propagate node1 node2
> quietly tick all 2

Node 1's client adds something to the cart, node 2's client deletes the cart. The delete is later.

> cut node1 node2
> set node1 cart pen
    node1: SET cart pen: version 12:00:00.000+4@1
> pass 5ms
> del node2 cart
    node2: DEL cart: version 12:00:00.005+0@2
> mend node1 node2
> quietly tick node1
> show cart
    cart on node1: a tombstone  (version 12:00:00.005+0@2)
    cart on node2: a tombstone  (version 12:00:00.005+0@2)
> conflicts node1
    node1 lists:
    cart: node 2's delete (12:00:00.005) survives, node 1's value "pen" (12:00:00.000, 3 bytes) was lost
> conflicts node2
    node2 lists nothing

The other way round, the write is later, and undoes the delete.

> set node1 list milk
    node1: SET list milk: version 12:00:00.005+2@1
> quietly propagate node1 node2
> cut node1 node2
> del node1 list
    node1: DEL list: version 12:00:00.005+3@1
> pass 5ms
> set node2 list bread
    node2: SET list bread: version 12:00:00.010+0@2
> mend node1 node2
> quietly tick node1
> show list
    list on node1: bread  (version 12:00:00.010+0@2)
    list on node2: bread  (version 12:00:00.010+0@2)
> conflicts node1
    node1 lists:
    list: node 2's value "bread" (12:00:00.010, 5 bytes) survives, node 1's delete (12:00:00.005) was lost
    cart: node 2's delete (12:00:00.005) survives, node 1's value "pen" (12:00:00.000, 3 bytes) was lost
> conflicts node2
    node2 lists nothing

Now node 2's delete settles on both nodes, and node 1 forgets it first. What node 1 writes next carries nothing: the
node does not know any more that there was a delete. Node 2 still holds the tombstone. But that is marked as seen by
all, so nothing is listed.

> cluster 2
> set node1 cart book
    node1: SET cart book: version 12:00:00.000+0@1
> quietly propagate node1 node2
> del node2 cart
    node2: DEL cart: version 12:00:00.000+1@2
> quietly propagate node2 node1
> quietly tick node2
> quietly tick node1
> quietly tick node2
> quietly tick node1
> quietly tick node1
> quietly tick node1
> tombstones
    node1: 0 waiting, 0 settled, 1 forgotten
    node2: 0 waiting, 1 settled, 0 forgotten
> set node1 cart pen
    node1: SET cart pen: version 12:00:00.000+8@1
> propagate node1 node2
    node1 ──▶ node2  PROPAGATE SET cart pen 12:00:00.000+8@1
    node1 ◀── node2  1 (won)
> conflicts node2
    node2 lists nothing

The mark is on the disk, too. Here node 2 is killed after it has settled the delete, and starts again with the
tombstone. That waits once more to be settled, but it is still marked.

> cluster 2 with disks
> set node1 cart book
    node1: SET cart book: version 12:00:00.000+0@1
> quietly propagate node1 node2
> del node2 cart
    node2: DEL cart: version 12:00:00.000+1@2
> quietly propagate node2 node1
> quietly tick node2
> quietly tick node1
> quietly tick node2
> quietly tick node1
> quietly tick node1
> quietly tick node1
> tombstones
    node1: 0 waiting, 0 settled, 1 forgotten
    node2: 0 waiting, 1 settled, 0 forgotten
> kill node2
    node2: is killed, and starts again
> tombstones
    node1: 0 waiting, 0 settled, 1 forgotten
    node2: 1 waiting, 0 settled, 0 forgotten
> set node1 cart pen
    node1: SET cart pen: version 12:00:00.000+8@1
> propagate node1 node2
    node1: keeps what it has for node2: the connection broke
> propagate node1 node2
    node1: opens connection 3 to node2
    node1 ──▶ node2  PEER node1 incarnation 1 clock 12:00:00.000+8, confirmation 3, heard 2 of 2.1
    node1 ◀── node2  node2 incarnation 2 clock 12:00:00.000+8, confirmation 2, heard 3 of 1.1, arrivals 2
    node1 ──▶ node2  PROPAGATE SET cart pen 12:00:00.000+8@1
    node1 ◀── node2  1 (won)
> conflicts node2
    node2 lists nothing

The mark does not hide a loss. Node 2 has settled its delete. Node 1 loses its memory, its clock is an hour behind, and
it cannot reach node 2. Its client knows nothing of the delete, and what it writes is older than that. The delete wins,
and the write is listed.

> cluster 2
> set node2 cart book
    node2: SET cart book: version 12:00:00.000+0@2
> quietly propagate node2 node1
> del node2 cart
    node2: DEL cart: version 12:00:00.000+1@2
> quietly propagate node2 node1
> quietly tick node1
> quietly tick node2
> tombstones
    node1: 1 waiting, 0 settled, 0 forgotten
    node2: 0 waiting, 1 settled, 0 forgotten
> cut node1 node2
> clock node1 -1h
> restart node1
    node1: starts again, its memory is gone
> set node1 cart pen
    node1: SET cart pen: version 11:00:00.000+0@1
> mend node1 node2
> quietly tick node1
> show cart
    cart on node1: a tombstone  (version 12:00:00.000+1@2)
    cart on node2: a tombstone  (version 12:00:00.000+1@2)
> conflicts node1
    node1 lists:
    cart: node 2's delete (12:00:00.000) survives, node 1's value "pen" (11:00:00.000, 3 bytes) was lost
> conflicts node2
    node2 lists nothing
