# The cost of agreement

Claim: a round costs about as much as the nodes differ, and hardly more if they hold more.

Two nodes hold the same keys of 16 bytes each; some of them are newer on node 2. Node 1 takes one round.
Counted are requests (each has one reply) and the bytes of both ways together, without those of the values.

> cost 10000
         keys differing  requests       bytes
        10000         0         3         216
        10000         1         9        1028
        10000        10         9        5747
        10000       100         9       40177
        10000      1000        15      278292
        10000     10000        81     1648427
> cost 1000000
         keys differing  requests       bytes
      1000000         0         3         220
      1000000         1         9        1588
      1000000        10         9       11228
      1000000       100         9       96755
      1000000      1000        15      843031
      1000000     10000        81     6845673

Nothing differs: three requests, and always the same bytes. A few keys differ: four levels of the tree for
each of them, 16 digests a level, while their ways down have nothing in common. Many differ: their ways down
are the same at first, and the keys and versions themselves count most. Where all 10,000 of 10,000 differ,
there is nothing to be saved, and the digests cost more than the keys that they would have saved.

Beside it the simplest full exchange, which lists all keys with their versions each time, whatever differs:

> cost 10000 without digests
         keys differing  requests       bytes
        10000         0         4      372672
        10000     10000         7      974128
> cost 1000000 without digests
         keys differing  requests       bytes
      1000000         0       130    37136073
      1000000     10000       258    37739788
