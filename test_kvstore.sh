#!/usr/bin/env bash
#
# Builds kvstore, starts its nodes, and checks what the project promises:
#
#   1. basic operations      SET, GET, DEL
#   2. anti-entropy          a node that was away catches up: one that was paused, and one that was killed
#   3. conflict resolution   of two writes to one key, the later one wins on both nodes; what was lost is listed
#   4. bidirectional sync    a write to either node reaches the other; a key that expires is gone on both
#   5. durability            nodes with a data directory hold everything after both were killed at once
#
# It is also an example of how to talk to the store from a shell. A command is a line, and so is its answer:
#
#   $ printf 'SET city Paris\nGET city\nQUIT\n' | nc 127.0.0.1 5008
#   OK
#   Paris
#   OK
#
# Needs Rust, bash, and the ports 5008, 5009 and 5010. Uses nc where it is installed, and bash alone otherwise or with
# KVSTORE_TEST_NC=0.
#
# The script passes its arguments to each node. So `./test_kvstore.sh --without tombstones` shows what that rule is for:
# some checks fail.

set -u
cd "$(dirname "${BASH_SOURCE[0]}")" || exit

options=("$@") # of every node
patience=15    # how many seconds the nodes have to agree: two intervals of anti-entropy and some
checks=0       # how many were made so far
failures=0     # how many of these failed
pids=()        # the process of each node that runs, by the node's number
logs=          # the directory with the nodes' logs, once there is one

# ---- Talking to the nodes --------------------------------------------------------------------------------------------

# ask NODE COMMAND...: sends the commands, or the lines of its input if there are none; prints the answers.
# QUIT makes the node end the connection, for which nc waits. The answer to QUIT, the last line, is dropped.
ask() {
  local port=$((5007 + $1))
  shift
  {
    if (($# > 0)); then printf '%s\n' "$@"; else cat; fi
    echo QUIT
  } | exchange "$port" 2>/dev/null | sed '$d'
}

# exchange PORT: sends its input to a port of this machine; prints the answer until the other side ends the connection.
if [[ ${KVSTORE_TEST_NC:-1} != 0 ]] && command -v nc >/dev/null; then
  exchange() { nc -w 5 127.0.0.1 "$1"; }
else
  exchange() (
    exec 3<>"/dev/tcp/127.0.0.1/$1" || exit
    cat >&3
    while IFS= read -r -t 5 line <&3; do printf '%s\n' "$line"; done
  )
fi

# ask_each NODE COUNT COMMAND: sends the command COUNT times over one connection, with 1, 2, 3, ... for its @.
ask_each() { each "$2" "$3" | ask "$1"; }

each() {
  local n
  for ((n = 1; n <= $1; n++)); do echo "${2//@/$n}"; done
}

# both COMMAND: asks nodes 1 and 2; prints the answer they agree on, or what each says.
both() {
  local first second
  first=$(ask 1 "$1")
  second=$(ask 2 "$1")
  if [[ $first == "$second" ]]; then echo "$first"; else echo "$first on node 1, $second on node 2"; fi
}

# both_each COUNT COMMAND: as ask_each, of nodes 1 and 2; prints the answers they agree on, or those of each.
both_each() {
  local first second
  first=$(ask_each 1 "$1" "$2")
  second=$(ask_each 2 "$1" "$2")
  if [[ $first == "$second" ]]; then echo "$first"; else echo "$first on node 1, $second on node 2"; fi
}

# is_saved NODE: prints "yes" if the node has written a snapshot since it started.
is_saved() { if [[ $(ask "$1" LASTSAVE) == 0 ]]; then echo no; else echo yes; fi; }

# lost KEY: prints what the nodes say was lost of a key, without times. Several nodes may say the same.
lost() {
  local node
  for node in "${!pids[@]}"; do ask "$node" "CONFLICTS KEY $1"; done |
    sed '/^END$/d; s/^[^ ]* //; s/ ([^)]*)//g' | sort -u
}

# digests: prints "equal" if nodes 1 and 2 hold the same. DIGEST is a hash of all that a node holds.
digests() {
  local answer
  answer=$(both DIGEST)
  if [[ $answer =~ ^[0-9a-f]+$ ]]; then echo equal; else echo "$answer"; fi
}

# ---- Starting and stopping nodes -------------------------------------------------------------------------------------

# start NODE PROGRAM OPTION...: starts a node and waits until it answers.
start() {
  local node=$1 log=$logs/node$1.log deadline=$((SECONDS + patience))
  shift
  "$@" ${options[@]+"${options[@]}"} >>"$log" 2>&1 &
  pids[node]=$!
  until [[ $(ask "$node" PING) == PONG ]]; do
    kill -0 "${pids[node]}" 2>/dev/null || die "node $node does not start: $(sed -n 's/^error: //p' "$log" | tail -n 1)"
    ((SECONDS < deadline)) || die "node $node does not answer within $patience seconds"
    sleep 0.05
  done
}

# crash NODE...: kills nodes, all at once. What they held in memory is gone.
crash() {
  local node
  for node in "$@"; do kill -9 "${pids[node]}" 2>/dev/null; done
  for node in "$@"; do
    wait "${pids[node]}" 2>/dev/null
    unset "pids[node]"
  done
}

# pause NODE, resume NODE: stops a node's process and lets it go on. It keeps its memory, like a node that is cut off.
pause() { kill -STOP "${pids[$1]}"; }
resume() { kill -CONT "${pids[$1]}"; }

is_taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# ---- Checking --------------------------------------------------------------------------------------------------------

# expect WORDS ANSWER COMMAND...: runs the command, which must print the answer; reports it in these words.
expect() {
  local words=$1 expected=$2
  shift 2
  judge "$words" "$expected" "$("$@")"
}

# expect_soon WORDS ANSWER COMMAND...: the same, but retries the command until the answer is right or patience is over.
expect_soon() {
  local words=$1 expected=$2 answer deadline=$((SECONDS + patience))
  shift 2
  until answer=$("$@"); [[ $answer == "$expected" ]] || ((SECONDS >= deadline)); do sleep 0.05; done
  judge "$words" "$expected" "$answer"
}

judge() {
  local words=$1 expected=$2 answer=$3
  ((checks += 1))
  if [[ $answer == "$expected" ]]; then
    echo "  ✓ $words"
  else
    ((failures += 1))
    echo "  ✗ $words"
    diff <(echo "$expected") <(echo "$answer") | sed -n 's/^< /      expected: /p' | head -n 3
    diff <(echo "$expected") <(echo "$answer") | sed -n 's/^> /      but got:  /p' | head -n 3
  fi
}

title() { printf '\n%s\n' "$*"; }

die() {
  echo "error: $*" >&2
  exit 1
}

# However this script ends, the nodes that it started end with it.
finish() {
  local status=$?
  crash "${!pids[@]}"
  if ((status == 0)); then rm -rf "$logs"; elif [[ -n $logs ]]; then echo "The nodes' logs are in $logs"; fi
}
trap finish EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# ---- The programs ----------------------------------------------------------------------------------------------------

for port in 5008 5009 5010; do
  ! is_taken $port || die "port $port is taken: stop the program that listens there (another kvstore?) and try again"
done

cargo build --release --locked || die "the build failed"
for program in node1 node2; do
  ln -sf "${CARGO_TARGET_DIR:-target}/release/$program" $program || die "cannot link ./$program"
done

logs=$(mktemp -d "${TMPDIR:-/tmp}/kvstore.XXXXXX") || die "cannot make a directory for the nodes' logs"
SECONDS=0
start 1 ./node1
start 2 ./node2

# ---- 1 ---------------------------------------------------------------------------------------------------------------

title "Basic operations"

expect "SET stores a value"                "OK"            ask 1 "SET city Paris"
expect "GET finds it"                      "Paris"         ask 1 "GET city"
expect "SET replaces it"                   $'OK\nRome'     ask 1 "SET city Rome" "GET city"
expect "SET keeps the spaces in a value"   $'OK\na  b c'   ask 1 "SET text a  b c" "GET text"
expect "DEL deletes it"                    "OK"            ask 1 "DEL city"
expect "GET does not find it any more"     "Key not found" ask 1 "GET city"

# ---- 2 ---------------------------------------------------------------------------------------------------------------

title "Anti-entropy: node 1 is written to while node 2 is paused, and while it is down"

ask_each 1 50 "SET kept:@ early @" >/dev/null
ask_each 1 50 "SET gone:@ early @" >/dev/null
expect_soon "before the fault, node 2 holds what node 1 holds" \
  "equal" digests

# Deletes are checked on a node that has kept its memory: it still holds every value that was deleted. A node that was
# killed starts empty, so it lacks a deleted key in any case.
pause 2
expect "node 2 is paused: on node 1, 50 keys are replaced" \
  "$(each 50 OK)" ask_each 1 50 "SET kept:@ later @"
expect "and 50 keys are deleted" \
  "$(each 50 OK)" ask_each 1 50 "DEL gone:@"
resume 2
expect_soon "node 2 goes on, and soon has the replaced values" \
  "$(each 50 "later @")" ask_each 2 50 "GET kept:@"
expect_soon "the DIGESTs of both nodes are equal" \
  "equal" digests
expect "the deleted keys have not come back on node 1" \
  "$(each 50 "Key not found")" ask_each 1 50 "GET gone:@"
expect "and are gone from node 2, which still held them" \
  "$(each 50 "Key not found")" ask_each 2 50 "GET gone:@"

crash 2
expect "node 2 is killed: on node 1, 1,000 keys are set" \
  "$(each 1000 OK)" ask_each 1 1000 "SET new:@ late @"

# A node that starts runs a round with each peer before it answers clients, so these checks need no retries.
start 2 ./node2
expect "node 2 starts again, and has the 1,000 keys with its first answer" \
  "$(each 1000 "late @")" ask_each 2 1000 "GET new:@"
expect "it has the older keys again, which it had lost with its memory" \
  "$(each 50 "later @")" ask_each 2 50 "GET kept:@"
# A settled delete leaves the digest of each node in a tick of its own, so the digests may differ for a moment.
expect_soon "the DIGESTs of both nodes are equal" \
  "equal" digests

# ---- 3 ---------------------------------------------------------------------------------------------------------------

title "Conflict resolution: both nodes write the same key, the later write wins"

# Between two writes, so that it is certain which one is later.
a_moment() { sleep 0.02; }

ask 1 "SET sky blue" >/dev/null
a_moment
ask 2 "SET sky grey" >/dev/null
expect_soon "node 2 wrote later: both have its value" \
  "grey" both "GET sky"

ask 2 "SET sea calm" >/dev/null
a_moment
ask 1 "SET sea rough" >/dev/null
expect_soon "node 1 wrote later: both have its value" \
  "rough" both "GET sea"

# The same while the nodes cannot reach each other. A shell cannot cut a cable, so both nodes start anew with node 3 as
# their only peer, and node 3 does not run yet. Once it starts, their entries pass through it, as if a cut were healed.
# A round every second, not every five, saves some waiting.
crash 1 2
start 1 ./node1 --peer 127.0.0.1:5010 --interval 1s
start 2 ./node2 --peer 127.0.0.1:5010 --interval 1s

ask 1 "SET sky blue"               >/dev/null
ask 2 "SET sea calm" "SET sun up"  >/dev/null
a_moment
ask 2 "SET sky grey"               >/dev/null
ask 1 "SET sea rough" "DEL sun"    >/dev/null
expect "while cut off, node 1 serves what it was told" \
  $'blue\nrough\nKey not found' ask 1 "GET sky" "GET sea" "GET sun"
expect "while cut off, node 2 serves what it was told" \
  $'grey\ncalm\nup' ask 2 "GET sky" "GET sea" "GET sun"

start 3 ./node1 --node 3 --listen 127.0.0.1:5010 --peer 127.0.0.1:5008 --peer 127.0.0.1:5009 --interval 1s
expect_soon "after the cut, both have the later value of node 2" \
  "grey" both "GET sky"
expect_soon "both have the later value of node 1" \
  "rough" both "GET sea"
expect_soon "both have the later delete of node 1" \
  "Key not found" both "GET sun"
expect_soon "the DIGESTs of both nodes are equal" \
  "equal" digests

# Neither node had seen what the other was told, and so something was lost. The nodes on which the writes met list it.
expect_soon "CONFLICTS shows the value of node 1 that was lost" \
  "sky: node 2's value \"grey\" survives, node 1's value \"blue\" was lost" lost sky
expect_soon "and the values of node 2, one of them by a delete" \
  "sea: node 1's value \"rough\" survives, node 2's value \"calm\" was lost
sun: node 1's delete survives, node 2's value \"up\" was lost" eval "lost sea; lost sun"

ask 1 "SET moon new" >/dev/null
expect_soon "node 2 has seen what node 1 was told" \
  "new" both "GET moon"
ask 2 "SET moon full" >/dev/null
expect_soon "and replaces it on both" \
  "full" both "GET moon"
expect "which is no conflict" \
  "" lost moon

# ---- 4 ---------------------------------------------------------------------------------------------------------------

title "Bidirectional sync: each node is written to, each ends with both"

crash 1 2 3
start 1 ./node1
start 2 ./node2

ask_each 1 100 "SET one:@ from node 1" >/dev/null
ask_each 2 100 "SET two:@ from node 2" >/dev/null
expect_soon "node 2 has what node 1 was told" \
  "$(each 100 "from node 1")" ask_each 2 100 "GET one:@"
expect_soon "node 1 has what node 2 was told" \
  "$(each 100 "from node 2")" ask_each 1 100 "GET two:@"

ask 1 "DEL two:1" >/dev/null
ask 2 "DEL one:1" >/dev/null
expect_soon "a key can be deleted where it was not written" \
  "198" both "DBSIZE"
expect_soon "the DIGESTs of both nodes are equal" \
  "equal" digests

expect "SETEX and EXPIRE give keys a deadline on node 1" \
  "$(printf 'OK\nOK\n1')" ask 1 "SETEX short 2 lived" "SET shorter lived" "EXPIRE shorter 1"
expect_soon "after that, neither node has them" \
  "198" both "DBSIZE"

# ---- 5 ---------------------------------------------------------------------------------------------------------------

title "Durability: with --data, both nodes are killed at once and start again"

crash 1 2
start 1 ./node1 --data "$logs/data1"
start 2 ./node2 --data "$logs/data2"

ask_each 1 500 "SET one:@ early @" >/dev/null
ask_each 2 500 "SET two:@ early @" >/dev/null
expect_soon "before the fault, both hold all keys" \
  "1000" both "DBSIZE"

# The last of these are answered when the nodes are killed, not yet synced, and perhaps not with the other node.
expect "500 keys are replaced on node 1" \
  "$(each 500 OK)" ask_each 1 500 "SET one:@ later @"
expect "100 keys are deleted on node 2" \
  "$(each 100 OK)" ask_each 2 100 "DEL two:@"
crash 1 2
start 1 ./node1 --data "$logs/data1"
start 2 ./node2 --data "$logs/data2"
expect_soon "both nodes were killed and start again: the replaced values are on both" \
  "$(each 500 "later @")" both_each 500 "GET one:@"
expect_soon "the deleted keys have not come back" \
  "$(each 100 "Key not found")" both_each 100 "GET two:@"
expect_soon "and nothing else is missing" \
  "900" both "DBSIZE"
expect_soon "the DIGESTs of both nodes are equal" \
  "equal" digests
expect "node 1 can be asked for a snapshot" \
  "Background saving started" ask 1 BGSAVE
expect_soon "and soon has one" \
  "yes" is_saved 1

# A node alone has nobody who could fill it: this comes from its own disk.
crash 1 2
start 2 ./node2 --data "$logs/data2"
expect "node 2 starts alone, from its own disk" \
  "$(each 500 "later @")" ask_each 2 500 "GET one:@"
expect "without the deleted keys" \
  "900" ask 2 "DBSIZE"

# ----------------------------------------------------------------------------------------------------------------------

if ((failures == 0)); then
  title "All $checks checks passed in $SECONDS s."
else
  title "$failures of $checks checks failed."
  exit 1
fi
