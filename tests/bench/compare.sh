#!/usr/bin/env bash
# Compares kvstore with what its users would pick instead, on this machine and at the same time.
#
#   tests/bench/compare.sh            about ten minutes; writes tests/bench/results/compare.{md,svg,tsv}
#   tests/bench/compare.sh --quick    two or three: fewer cases, fewer requests; writes the same to target/compare/
#   tests/bench/compare.sh --disk     only part 4, about three minutes; writes tests/bench/results/disk.{md,tsv}
#
# ROUNDS=5 and REQUESTS=200000 (for each run at pipeline 1) take longer and are less noisy. Redis, Valkey and KeyDB take
# part where their servers are on the PATH, on ports of their own, without persistence except in part 4;
# redis-benchmark drives all.
# Needs Linux, for /proc.
#
# What is measured:
#  1. throughput and latency: all systems run at the same time, and one of them works. Each case runs in rounds, in each
#     round once on every system, in an order that is turned for the next. Keys are drawn from 100,000, which hold
#     values of the length in question, or are redis-benchmark's single key where it says so. The full product is taken
#     for 50 clients, pipelines of 1, 16, 64 and values of 3, 100, 1024 bytes; 1 and 1,000 clients only with pipeline 1
#     and 100 bytes.
#  2. two nodes, one system after the other, with a relay between the nodes that counts bytes and can cut the wire: a
#     pair at rest, after a cut, and when one node starts empty.
#  3. memory, one system after the other: how much the resident size grows.
#  4. a disk, beside Redis with an append-only file under the same policy: throughput as in part 1; then, one after the
#     other, a start with a million keys, what the disk costs in memory, how long a client waits while a snapshot is
#     written, and how large the files are after each key was overwritten ten times.
set -euo pipefail
export LC_ALL=C
cd "$(dirname "$0")/../.."

quick="" only_disk="" name=compare
case "$*" in
  "") ;;
  --quick) quick=yes ;;
  --disk) only_disk=yes name=disk ;;
  *) sed -n '2,10s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
rounds=${ROUNDS:-3}
requests=${REQUESTS:-$([ "$quick" ] && echo 15000 || echo 50000)}
idle_seconds=$([ "$quick" ] && echo 11 || echo 31)
out=$([ "$quick" ] && echo target/compare || echo tests/bench/results)
range=100000   # keys in part 1
keys=1000000   # keys in parts 2 and 3
started=$SECONDS

say() { printf '%4d s  %s\n' "$((SECONDS - started))" "$*" >&2; }
die() { say "$*"; exit 1; }
have() { command -v "$1" >/dev/null; }
now_us() { echo "${EPOCHREALTIME/./}"; }
divide() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.6f", a / b }'; }

# One line of the measurements: TABLE ROW SYSTEM VALUE.
record() { printf '%s\t%s\t%s\t%s\n' "$@" >>"$work/measurements"; }
rates="Requests a second"
latencies="Latency in ms: p50 / p99"
visible="SET on one node until a GET on the other shows it, ms"
pairs="Two nodes: what goes over the wire, and for how long"
rest="At rest, with 1 M keys"
memory="Resident memory, bytes"
every_second="Two nodes that sync every second: 50 clients, 100 bytes"
every_write="One node that syncs before every answer: 50 clients, 100 bytes"
disk="One node that syncs every second: 1 M keys of 16 + 100 bytes on one node"
disturbed="Requests a second, pipeline 1, 100 bytes, while something happens between the nodes"

# ---- processes: each has a name, and ends with this script -----------------------------------------------------------

work=$(mktemp -d)
declare -A pid=() port_of=() other_of=()

start() { # NAME COMMAND...
  local name=$1
  shift
  "$@" >"$work/$name.log" 2>&1 </dev/null &
  pid[$name]=$!
  disown # so that bash does not tell of each end
}

stop() { # SIGNAL NAME...: returns when they have ended; after 10 s they are killed
  local signal=$1 name
  shift
  for name; do kill -s "$signal" "${pid[$name]}" 2>/dev/null || true; done
  for name; do
    for _ in {1..100}; do
      kill -0 "${pid[$name]}" 2>/dev/null || break
      sleep 0.1
    done
    kill -s KILL "${pid[$name]}" 2>/dev/null || true
    unset "pid[$name]"
  done
}

finish() {
  [ ${#pid[@]} = 0 ] || stop TERM "${!pid[@]}"
  rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM HUP

until_true() { # SECONDS COMMAND...
  local deadline=$((SECONDS + $1))
  shift
  until "$@"; do
    [ "$SECONDS" -lt "$deadline" ] || return 1
    sleep 0.05
  done
}

answers() { timeout 2 redis-cli -p "$1" PING 2>/dev/null | grep -qE 'PONG|OK'; }

# ---- the systems -----------------------------------------------------------------------------------------------------

# A system's name says how many nodes it has, and where it keeps its data: "…, 1s" and "…, always" have a disk.
has_two_nodes() { [[ $1 = *replica* || $1 = *pair* ]]; }

start_node() { # SYSTEM NODE PORT WAY: node 1 or 2 of a system; WAY is the port where it finds the other one
  local system=$1 node=$2 port=$3 way=$4 dir="$work/$1 $2"
  # Empty: a Redis that finds the file of an earlier synchronization begins with that. Not so for a node that starts
  # again with its disk.
  [ "${keep_files:-}" ] || rm -rf "$dir"
  mkdir -p "$dir"
  local options=(--bind 127.0.0.1 --port "$port" --save "" --appendonly no --dir "$dir" --maxclients 15000
    --repl-diskless-sync yes --repl-diskless-sync-delay 0)
  [[ $system != *backlog ]] || options+=(--repl-backlog-size 64mb)
  [[ $system != KeyDB\ pair ]] || options+=(--active-replica yes --replicaof 127.0.0.1 "$way")
  [[ $system = KeyDB* || $node = 1 ]] || options+=(--replicaof 127.0.0.1 "$way")
  local sync=()
  case $system in
    *", 1s") options+=(--appendonly yes --appendfsync everysec) sync=(--data "$dir/data" --sync 1s) ;;
    *", always") options+=(--appendonly yes --appendfsync always) sync=(--data "$dir/data" --sync always) ;;
  esac
  case $system in
    Redis*) start "$system $node" redis-server "${options[@]}" ;;
    Valkey*) start "$system $node" valkey-server "${options[@]}" ;;
    KeyDB*) start "$system $node" keydb-server "${options[@]}" ;;
    "kvstore pair"*) start "$system $node" "$bin/node$node" --listen "127.0.0.1:$port" --peer "127.0.0.1:$way" \
      --max-connections 15000 "${sync[@]}" ;;
    "kvstore, "*) start "$system $node" "$bin/node1" --listen "127.0.0.1:$port" --alone --max-connections 15000 \
      "${sync[@]}" ;;
    kvstore) start "$system $node" "$bin/kvstore" --nodes 1 --port "$port" --max-connections 15000 ;;
    floor) start "$system $node" "$tool" floor "$port" ;;
  esac
  until_true 30 answers "$port" || die "$system, node $node, does not answer: $(tail -3 "$work/$system $node.log")"
}

start_system() { # SYSTEM
  local free
  mapfile -t free < <("$tool" ports 2)
  port_of[$1]=${free[0]}
  other_of[$1]=${free[1]}
  start_node "$1" 1 "${free[0]}" "${free[1]}"
  if has_two_nodes "$1"; then start_node "$1" 2 "${free[1]}" "${free[0]}"; fi
}

# Waits until node 2 holds all that node 1 does: until a mark arrives that is written last. kvstore may have dropped the
# mark from a full queue, so it is asked for a round (not by redis-cli, for which SYNC has another meaning).
marks=0
settle() { # SYSTEM
  has_two_nodes "$1" || return 0
  local mark=(999999999999 1 $((++marks)) 0)
  "$tool" load "${port_of[$1]}" "${mark[@]}"
  [[ $1 != kvstore* ]] || "$tool" ask "${port_of[$1]}" SYNC
  "$tool" arrived "${other_of[$1]}" "${mark[@]}" 60 || say "$1: node 2 lags behind"
}

# ---- part 1: throughput and latency ----------------------------------------------------------------------------------

benchmark() { # PORT OPERATION CLIENTS PIPELINE BYTES KEYS REQUESTS: prints requests a second, p50 and p99
  local chosen=()
  [ "$6" = 1 ] || chosen=(-r "$6")
  # Columns of --csv: test, requests a second, latency in ms: average, least, p50, p95, p99, most.
  timeout 120 redis-benchmark -p "$1" -t "$2" -c "$3" -P "$4" -d "$5" -n "$7" "${chosen[@]}" --csv 2>/dev/null |
    tr -d '"' | awk -F, 'END { if (NF != 8) exit 1; print $2, $5, $7 }'
}

run_case() { # NAME CLIENTS PIPELINE BYTES KEYS REQUESTS: in rounds, SET and GET on all systems
  say "$1"
  local name=$1 round operation system order rate p50 p99
  shift
  for ((round = 1; round <= rounds; round++)); do
    order=("${systems[@]}")
    if ((round % 2 == 0)); then mapfile -t order < <(printf '%s\n' "${systems[@]}" | tac); fi
    for operation in SET GET; do
      for system in "${order[@]}"; do
        read -r rate p50 p99 < <(benchmark "${port_of[$system]}" "$operation" "$@") ||
          die "redis-benchmark failed with $system"
        record "$rates" "$operation, $name" "$system" "$rate"
        record "$latencies" "$operation, $name" "$system" "$p50/$p99"
        if [ "$operation" = SET ]; then settle "$system"; fi
      done
    done
  done
}

measure_visibility() {
  say "SET until visible on the other node, 1,000 writes"
  local round system p50 p99
  for ((round = 1; round <= rounds; round++)); do
    for system in "${systems[@]}"; do
      has_two_nodes "$system" || continue
      read -r p50 p99 _ < <(timeout 60 "$tool" visible "${port_of[$system]}" "${other_of[$system]}" 1000) ||
        die "$system is too slow"
      record "$visible" "SET until visible, p50" "$system" "$p50"
      record "$visible" "SET until visible, p99" "$system" "$p99"
    done
  done
}

part_1() {
  local system bytes pipeline
  local -A more=([1]=1 [16]=8 [64]=16) # requests at this pipeline, so that each run takes about as long
  for system in "${systems[@]}"; do start_system "$system"; done
  measure_visibility
  for bytes in $([ "$quick" ] && echo 100 || echo 3 100 1024); do
    for system in "${systems[@]}"; do
      [ "$system" = floor ] || "$tool" load "${port_of[$system]}" 0 $range "$bytes" 1
      settle "$system"
    done
    for pipeline in 1 16 64; do
      run_case "pipeline $pipeline, $bytes bytes" 50 $pipeline "$bytes" $range $((requests * more[$pipeline]))
    done
    if [ "$bytes" = 100 ]; then
      run_case "1 client, 100 bytes" 1 1 100 $range $((requests / 4))
      run_case "1,000 clients, 100 bytes" 1000 1 100 $range "$requests"
    fi
  done
  for pipeline in 1 $([ "$quick" ] || echo 16) 64; do
    run_case "one key, pipeline $pipeline, 3 bytes" 50 "$pipeline" 3 1 $((requests * more[$pipeline]))
  done
  stop TERM "${!pid[@]}"
}

# ---- part 2: two nodes and a wire ------------------------------------------------------------------------------------

relay() { # COMMAND: sets $carried and $first_us: bytes since the last `heal`, and when the first was
  echo "$1" >&"$to_relay"
  read -r -t 10 carried first_us <&"$from_relay" || die "the relay does not answer"
}

is_carrying() { relay bytes && [ "$carried" != 0 ]; }

# Waits until the wire is quiet: what a pair says at rest is less than this.
wait_for_silence() {
  local before=-2000
  for _ in {1..100}; do
    relay bytes
    [ $((carried - before)) -ge 2000 ] || return 0
    before=$carried
    sleep 0.3
  done
  say "the wire does not become quiet"
}

resident() { echo $((1024 * $(awk '/^VmRSS/ { print $2 }' "/proc/${pid[$1]}/status"))); }
cpu_ns() { cat "/proc/${pid[$1]}"/task/*/schedstat | awk '{ sum += $1 } END { printf "%d", sum }'; }
rounds_of() { redis-cli -p "$1" INFO peers | tr -d '\r' | awk -F: '$1 == "rounds" { print $2 }'; }

# SYSTEM: with the relay between its nodes. Sets $one and $two, their ports, and $to_one, the relay's way to the first.
start_pair() {
  local free to_two
  mapfile -t free < <("$tool" ports 4)
  one=${free[0]} two=${free[1]} to_one=${free[2]} to_two=${free[3]}
  rm -f "$work/relay.in" "$work/relay.out"
  mkfifo "$work/relay.in" "$work/relay.out"
  "$tool" relay "$to_one:$one" "$to_two:$two" <"$work/relay.in" >"$work/relay.out" 2>"$work/relay.log" &
  pid[relay]=$!
  exec {to_relay}>"$work/relay.in" {from_relay}<"$work/relay.out"
  relay heal
  start_node "$1" 1 "$one" "$to_two"
  start_node "$1" 2 "$two" "$to_one"
}

start_filled_pair() { # SYSTEM
  start_pair "$1"
  "$tool" load "$one" 0 $keys 100 1
  "$tool" arrived "$two" 0 $keys 100 1 120 || die "$1: not everything has arrived"
  wait_for_silence
}

stop_pair() {
  stop TERM "${!pid[@]}"
  exec {to_relay}>&- {from_relay}<&-
}

measure_rest() { # SYSTEM
  local cpu count=0
  [[ $1 != kvstore* ]] || count=$(($(rounds_of "$one") + $(rounds_of "$two")))
  relay heal
  cpu=$(cpu_ns "$1 1")
  sleep "$idle_seconds"
  record "$rest" "CPU of node 1, % of a core" "$1" \
    "$(divide $(($(cpu_ns "$1 1") - cpu)) $((idle_seconds * 10000000)))"
  relay bytes
  record "$rest" "bytes a second between the nodes" "$1" "$(divide "$carried" "$idle_seconds")"
  [[ $1 != kvstore* ]] || record "$rest" "bytes a round" "$1" \
    "$(divide "$carried" $(($(rounds_of "$one") + $(rounds_of "$two") - count)))"
}

# Waits until node 2 holds what is named, and records how long it took and what it cost. The clock starts with the first
# byte that the relay carries, so the pauses between the nodes' retries do not count.
record_arrival() { # SYSTEM WHAT FIRST COUNT BYTES SEED
  local end
  "$tool" arrived "$two" "${@:3}" 120 || { say "$1: $2: not everything has arrived"; return; }
  end=$(now_us)
  relay bytes
  record "$pairs" "$2, s" "$1" "$(divide $((end - first_us)) 1000000)"
  wait_for_silence
  record "$pairs" "$2, bytes" "$1" "$carried"
}

measure_cuts() { # SYSTEM
  local changed
  local -A seed=([1]=2 [1000]=3 [100000]=4)
  for changed in 1 1000 100000; do
    relay cut
    "$tool" load "$one" 0 $changed 100 "${seed[$changed]}"
    relay heal
    record_arrival "$1" "after a cut, $changed of 1 M changed" 0 $changed 100 "${seed[$changed]}"
  done
}

measure_fill() { # SYSTEM
  stop KILL "$1 2"
  relay heal
  start_node "$1" 2 "$two" "$to_one"
  record_arrival "$1" "filling an empty node with 1 M keys" $range $((keys - range)) 100 1
}

measure_disturbance() { # SYSTEM
  local round
  for ((round = 1; round <= rounds; round++)); do
    wait_for_silence
    run_both "$1" "undisturbed"
    relay cut
    run_both "$1" "the wire is cut"
    "$tool" load "$one" 0 $range 100 "1$round"
    relay heal
    until_true 20 is_carrying || say "$1: nothing is carried after the cut"
    run_both "$1" "100,000 changes are carried over"
  done
}

run_both() { # SYSTEM WHAT
  local operation rate
  for operation in SET GET; do
    read -r rate _ < <(benchmark "$one" $operation 50 1 100 $range "$requests") || die "redis-benchmark failed with $1"
    record "$disturbed" "$operation, $2" "$1" "$rate"
  done
}

part_2() {
  local system
  for system in "${systems[@]}"; do
    has_two_nodes "$system" || continue
    say "$system: filling two nodes"
    start_filled_pair "$system"
    say "$system: at rest"
    measure_rest "$system"
    say "$system: cuts"
    measure_cuts "$system"
    say "$system: filling an empty node"
    measure_fill "$system"
    say "$system: work while the other node is away, and comes back"
    measure_disturbance "$system"
    stop_pair
    # Redis keeps 1 MB of what it has sent, for a replica that comes back, unless it is told to keep more.
    if [ "$system" = "Redis + replica" ]; then
      say "$system: cuts, with a larger backlog"
      start_filled_pair "Redis, 64 MB backlog"
      measure_cuts "Redis, 64 MB backlog"
      stop_pair
    fi
  done
}

# ---- part 3: memory --------------------------------------------------------------------------------------------------

measure_bytes_per_key() { # SYSTEM BYTES: on fresh nodes
  local before_1 before_2=0
  start_system "$1"
  before_1=$(resident "$1 1")
  if has_two_nodes "$1"; then before_2=$(resident "$1 2"); fi
  "$tool" load "${port_of[$1]}" 0 $keys "$2" 1
  settle "$1"
  record "$memory" "a key of 16 and a value of $2" "$1" "$(divide $(($(resident "$1 1") - before_1)) $keys)"
  if has_two_nodes "$1"; then
    local grown_2=$(($(resident "$1 2") - before_2))
    record "$memory" "a key of 16 and a value of $2, other node" "$1" "$(divide $grown_2 $keys)"
  fi
  stop TERM "${!pid[@]}"
}

measure_idle_clients() { # SYSTEM: on a fresh node, since one that has worked has memory to spare
  local before more total=0
  start_system "$1"
  before=$(resident "$1 1")
  for more in 1000 9000; do
    total=$((total + more))
    if [ "$(ulimit -n)" -lt $((total + 100)) ]; then say "no $total clients: ulimit -n is too low"; break; fi
    start "$total clients" "$tool" idle "${port_of[$1]}" $more
    until_true 30 grep -qs ready "$work/$total clients.log" || { say "$1 does not take $total clients"; break; }
    record "$memory" "$total idle clients, all together" "$1" $(($(resident "$1 1") - before))
  done
  stop TERM "${!pid[@]}"
}

part_3() {
  local system bytes
  for bytes in 10 100; do
    say "bytes for a key with a value of $bytes"
    for system in "${systems[@]}"; do
      [ "$system" = floor ] || measure_bytes_per_key "$system" $bytes
    done
  done
  say "idle clients"
  for system in "${systems[@]}"; do
    has_two_nodes "$system" || measure_idle_clients "$system"
  done
}

# ---- part 4: a disk --------------------------------------------------------------------------------------------------

run_durable() { # TABLE OPERATION PIPELINE REQUESTS SYSTEM...
  local table=$1 operation=$2 pipeline=$3 count=$4 round system order rate p50 p99
  shift 4
  say "with a disk: $operation, pipeline $pipeline"
  for ((round = 1; round <= rounds + 2; round++)); do
    order=("$@")
    if ((round % 2 == 0)); then mapfile -t order < <(printf '%s\n' "$@" | tac); fi
    for system in "${order[@]}"; do
      read -r rate p50 p99 < <(benchmark "${port_of[$system]}" "$operation" 50 "$pipeline" 100 $range "$count") ||
        die "redis-benchmark failed with $system"
      record "$table" "$operation a second, pipeline $pipeline" "$system" "$rate"
      record "$table" "$operation, pipeline $pipeline, ms, p50 / p99" "$system" "$p50/$p99"
    done
  done
}

measure_durable_throughput() {
  local system
  local pairs=("Redis + replica, 1s" "kvstore pair" "kvstore pair, 1s")
  local singles=("Redis, always" "kvstore, always" "kvstore")
  have redis-server || pairs=("kvstore pair" "kvstore pair, 1s") singles=("kvstore, always" "kvstore")
  for system in "${pairs[@]}"; do start_system "$system"; done
  run_durable "$every_second" SET 1 "$requests" "${pairs[@]}"
  run_durable "$every_second" SET 16 $((requests * 8)) "${pairs[@]}"
  run_durable "$every_second" SET 64 $((requests * 16)) "${pairs[@]}"
  run_durable "$every_second" GET 1 "$requests" "${pairs[@]}"
  run_durable "$every_second" GET 64 $((requests * 16)) "${pairs[@]}"
  stop TERM "${!pid[@]}"
  for system in "${singles[@]}"; do start_system "$system"; done
  run_durable "$every_write" SET 1 "$requests" "${singles[@]}"
  run_durable "$every_write" SET 16 $((requests * 8)) "${singles[@]}"
  stop TERM "${!pid[@]}"
}

is_loaded() { # PORT KEYS
  [ "$(redis-cli -p "$1" DBSIZE 2>/dev/null)" = "$2" ]
}

is_saved() { ! redis-cli -p "$1" INFO persistence | grep -qE '(bgsave|rewrite)_in_progress:1'; }

measure_start() { # SYSTEM: which holds a million keys; stops it as after a crash, and starts it again
  local begun
  stop KILL "$1 1"
  begun=$(now_us)
  keep_files=yes start_node "$1" 1 "${port_of[$1]}" 0
  until_true 60 is_loaded "${port_of[$1]}" $keys || die "$1 has lost keys"
  record "$disk" "$2" "$1" "$(divide $(($(now_us) - begun)) 1000000)"
}

measure_disk() { # SYSTEM, and the same without a disk
  local port before round p50 p999
  start_system "$1"
  port=${port_of[$1]}
  before=$(resident "$1 1")
  "$tool" load "$port" 0 $keys 100 1
  sleep 2 # until what was written last is synced
  record "$disk" "memory, MB" "$1" "$(divide $(($(resident "$1 1") - before)) 1000000)"
  [[ $1 = *,* ]] || { stop TERM "${!pid[@]}"; return 0; }
  measure_start "$1" "start from the log, s"
  for ((round = 1; round <= rounds; round++)); do
    redis-cli -p "$port" "$([[ $1 = Redis* ]] && echo BGREWRITEAOF || echo BGSAVE)" >/dev/null
    read -r p50 p999 < <("$tool" paused "$port" 1) || die "$1 does not answer"
    record "$disk" "SET while a snapshot is written, p99.9, ms" "$1" "$p999"
    until_true 60 is_saved "$port" || die "$1 does not end its snapshot"
  done
  measure_start "$1" "start from the snapshot, s"
  for round in {2..11}; do "$tool" load "$port" 0 $keys 100 "$round"; done
  until_true 60 is_saved "$port" || die "$1 does not end its snapshot"
  sleep 3
  until_true 60 is_saved "$port" || die "$1 does not end its snapshot"
  record "$disk" "files after ten overwrites, MB" "$1" \
    "$(divide "$(du -sb "$work/$1 1" | cut -f 1)" 1000000)"
  stop TERM "${!pid[@]}"
}

part_4() {
  measure_durable_throughput
  local system
  for system in "Redis, 1s" "kvstore, 1s" kvstore; do
    [[ $system != Redis* ]] || have redis-server || continue
    say "$system: a million keys, their files, and a start"
    measure_disk "$system"
  done
}

# ---- all together ----------------------------------------------------------------------------------------------------

have redis-benchmark || die "redis-benchmark is needed: apt-get install redis-tools"
say "building"
cargo build --release --quiet --locked --bins --example bench_tool
target=$(cargo metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
bin=$target/release
tool=$bin/examples/bench_tool
ulimit -n "$(ulimit -Hn)"

systems=()
if have redis-server; then systems+=(Redis "Redis + replica"); fi
if have valkey-server; then systems+=(Valkey "Valkey + replica"); fi
if have keydb-server; then systems+=(KeyDB "KeyDB pair"); fi
if have memcached; then say "memcached is left out: redis-benchmark does not speak its protocol"; fi
have redis-server || say "redis-server is not installed: no comparison with Redis (apt-get install redis-server)"
systems+=(kvstore "kvstore pair" floor)
load_before=$(cut -d ' ' -f 1 /proc/loadavg)

if [ ! "$only_disk" ]; then
  part_1
  part_2
  part_3
fi
part_4

mkdir -p "$out"
cp "$work/measurements" "$out/$name.tsv"
{
  echo "## kvstore and others"
  echo
  echo "Medians of $rounds rounds; in parentheses the ratio to the first column. 50 clients unless it says otherwise,"
  echo "$requests requests in each run at pipeline 1 and more at 16 and 64."
  echo "Made by \`tests/bench/compare.sh${quick:+ --quick}${only_disk:+ --disk}\`, which says how."
  echo "The floor is a server with a thread for each connection that only counts commands and answers OK."
  echo "What has no rounds was measured once: times from the first byte on the wire, bytes in both directions."
  echo
  echo "$(nproc) cores of $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1), Linux $(uname -r),"
  echo "both nodes and the clients on it. The load before the run was $load_before; what is above 0.1 or so came from"
  echo "other programs, and is noise in these numbers."
  for server in redis-server valkey-server keydb-server; do
    if have $server; then echo "$server $($server --version | grep -oE 'v=[0-9.]+' | cut -c 3-)."; fi
  done
  echo
  "$tool" report "$out/$name.tsv"
} >"$out/$name.md"
[ "$only_disk" ] || "$tool" plot "$out/compare.tsv" \
  "GET, pipeline 1, 100 bytes" "GET, pipeline 16, 100 bytes" "GET, pipeline 64, 100 bytes" \
  "SET, pipeline 1, 100 bytes" "SET, pipeline 16, 100 bytes" "SET, pipeline 64, 100 bytes" \
  "SET until visible, p50" "filling an empty node with 1 M keys, s" \
  "after a cut, 100000 of 1 M changed, bytes" "a key of 16 and a value of 10" \
  "a key of 16 and a value of 100" "10000 idle clients, all together" >"$out/compare.svg"
cat "$out/$name.md"
say "written to $out/$name.*"
