# The cost of agreement

Claim: a round costs about as much as the nodes differ, and hardly more if they hold more.

Two nodes hold the same keys of 16 bytes each; some of them are newer on node 2. Node 1 runs one round. The table counts
requests (each has one reply) and the bytes both ways together, without those of the values.

> cost 10000
         keys differing  requests       bytes
        10000         0         3         216
        10000         1         8         986
        10000        10         8        5315
        10000       100         8       36974
        10000      1000        11      247026
        10000     10000        44     1346716
> cost 1000000
         keys differing  requests       bytes
      1000000         0         3         220
      1000000         1         8        1151
      1000000        10         8        6438
      1000000       100         8       49013
      1000000      1000        11      367301
      1000000     10000        44     2474605

- Nothing differs: three requests, and about the same bytes for any number of keys (only a counter in them has more
  digits).
- A few keys differ: four levels of the tree for each of them, 16 digests a level. Their paths have nothing in common.
- Many keys differ: their paths share the upper levels. Most bytes are the entries that are sent, and the hashes of
  their neighbours.
- All 10,000 of 10,000 keys differ: the digests cost more than they save.

For comparison, the simplest full exchange, which names every entry by its hash each time, whatever differs:

> cost 10000 without digests
         keys differing  requests       bytes
        10000         0         4       86412
        10000     10000         6      539755
> cost 1000000 without digests
         keys differing  requests       bytes
      1000000         0       130     8011710
      1000000     10000       130     8462226
