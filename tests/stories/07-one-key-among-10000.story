# How one differing key is found among 10,000

Claim: two nodes that hold the same see it by comparing one number. To find one differing key among 10,000, they
exchange about a kilobyte, though all keys and versions together take some 300 kilobytes.

Both nodes hold the same 10,000 keys. The digest of a node is the sum of the hashes of its entries: equal digests mean
equal stores. A round between equal nodes has three requests: PEER, DIGEST, CONFIRM. Here it needs a fourth, the PEER
that opens the connection.

> cluster 2
> fill 10000
> bytes
> digests
    node1: root 86d74032b05decbf
    node2: root 86d74032b05decbf
> tick node1
    node1: tick begins
    node1: opens connection 1 to node2
    node1 ──▶ node2  PEER node1 incarnation 1 clock 0  (76 bytes)
    node1 ◀── node2  node2 incarnation 1 clock 0, arrivals 10000  (77 bytes)
    node1 ──▶ node2  PEER node1 incarnation 1 clock 0  (76 bytes)
    node1 ◀── node2  node2 incarnation 1 clock 0, arrivals 10000  (77 bytes)
    node1 ──▶ node2  DIGEST  (16 bytes)
    node1 ◀── node2  root 86d74032b05decbf  (14 bytes)
    node1 ──▶ node2  CONFIRM 10000  (28 bytes)
    node1 ◀── node2  OK  (5 bytes)
    node1: round with node2 done: pulled 0, pushed 0
    node1: tick not complete: 0 settled, 0 forgotten, 0 wait
> traffic
    4 requests, 369 bytes both ways, 0 entries listed or sent

Now node 2 takes a newer value for one key, and node 1 does not hear of it.

> cut node1 node2
> pass 1s
> set node2 key-000000004242 new
    node2: SET key-000000004242 new: version 12:00:01.000+0@2
> mend node1 node2

There are digests for parts of the store, too, in a tree. The root stands for all keys. Its 16 children stand for the
keys whose hash begins with the hex digit 0, 1, … f, their children for two digits, down to 65,536 leaves of four
digits. Node 1 asks for the 16 children of the root and compares them with its own. Then it asks for the children of the
one that differs, and so on. With LEAF, node 1 says which entries it holds in the leaf: the hash of each, eight bytes
long, and how new they are. Node 2 replies with what is newer, in full, and with the number of hashes that it does not
know. Here that is one, the hash of the old value.

> tick node1
    node1: tick begins
    node1 ──▶ node2  PEER node1 incarnation 1 clock 12:00:00.000+0  (76 bytes)
    node1 ◀── node2  node2 incarnation 1 clock 12:00:01.000+0, arrivals 10001  (77 bytes)
    node1 ──▶ node2  DIGEST  (16 bytes)
    node1 ◀── node2  root 4b957d16424059dd  (14 bytes)
    node1 ──▶ node2  DIGEST ""  (22 bytes)
    node1 ◀── node2  16 digests  (140 bytes)
    node1 ──▶ node2  DIGEST f  (23 bytes)
    node1 ◀── node2  16 digests  (140 bytes)
    node1 ──▶ node2  DIGEST f4  (24 bytes)
    node1 ◀── node2  16 digests  (140 bytes)
    node1 ──▶ node2  DIGEST f4c  (25 bytes)
    node1 ◀── node2  16 digests  (140 bytes)
    node1 ──▶ node2  LEAF f4c9 1 hash to 12:00:00.000+0  (47 bytes)
    node1 ◀── node2  SET key-000000004242 new 12:00:01.000+0@2; lacks 1  (82 bytes)
    node1 ──▶ node2  CONFIRM 10001  (28 bytes)
    node1 ◀── node2  OK  (5 bytes)
    node1: round with node2 done: pulled 1, pushed 0
    node1: tick complete: 0 settled, 0 forgotten, 0 wait
> traffic
    8 requests, 999 bytes both ways, 1 entries listed or sent

You can do the same by hand with a running node: `DIGEST` shows the root, `DIGEST a3` the children of a3.
