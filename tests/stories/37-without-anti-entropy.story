# Without anti-entropy

What the rule is for: without it, what propagation has lost stays lost.

Node 2 starts with empty memory. Node 1 does not send what node 2 has missed: its queue holds only keys that were
written since.

> cluster 2 without anti-entropy
> set node1 a 1
    node1: SET a 1: version 12:00:00.000+0@1
> propagate node1 node2
    node1: opens connection 1 to node2
    node1 ──▶ node2  PEER node1 incarnation 1 clock 12:00:00.000+0
    node1 ◀── node2  node2 incarnation 1 clock 12:00:00.000+0, arrivals 0
    node1 ──▶ node2  PROPAGATE SET a 1 12:00:00.000+0@1
    node1 ◀── node2  1 (won)
> restart node2
    node2: starts again, its memory is gone
> set node1 b 1
    node1: SET b 1: version 12:00:00.000+1@1
> propagate node1 node2
    node1: keeps what it has for node2: the connection broke
> propagate node1 node2
    node1: opens connection 2 to node2
    node1 ──▶ node2  PEER node1 incarnation 1 clock 12:00:00.000+1
    node1 ◀── node2  node2 incarnation 2 clock 12:00:00.000+1, arrivals 0
    node1 ──▶ node2  PROPAGATE SET b 1 12:00:00.000+1@1
    node1 ◀── node2  1 (won)
> tick node1
> tick node2
> show a b
    a on node1: 1  (version 12:00:00.000+0@1)
    a on node2: nothing
    b on node1: 1  (version 12:00:00.000+1@1)
    b on node2: 1  (version 12:00:00.000+1@1)
> digests
    node1: root 7d602b3c46ce3130
    node2: root aacd50844e845eec
