#!/usr/bin/env bash
# How much CPU time two builds of node1 take for a GET and a SET: tests/bench/cpu.sh OLD NEW [PIPELINE [RUNS]]
#
# Requests a second depend on what else runs on the machine, and differ by tens of percents between two runs. The CPU
# time of the node for each command differs by some. Both nodes run side by side and are asked in turn; shown is the
# median of the ratios of each two runs. Needs redis-benchmark.
set -euo pipefail
(($# >= 2)) || { sed -n '2,6s/^# //p' "$0"; exit 2; }
programs=("$1" "$2") pipeline=${3:-64} runs=${4:-15} ports=(5061 5062) pids=()
trap 'kill "${pids[@]}" 2>/dev/null' EXIT

bench() { redis-benchmark -p "$1" -c 4 -P "$pipeline" -r 100000 -d 20 -q -n "$3" -t "$2" >/dev/null; }
# In ticks, of which a second has $hertz.
ticks() { sed 's/.*) //' "/proc/$1/stat" | awk '{ print $12 + $13 }'; }
hertz=$(getconf CLK_TCK)

for i in 0 1; do
  "${programs[i]}" --listen "127.0.0.1:${ports[i]}" --alone >/dev/null 2>&1 &
  pids+=($!)
  until redis-cli -p "${ports[i]}" PING 2>/dev/null | grep -q PONG; do sleep 0.1; done
  bench "${ports[i]}" set 600000
done

median() { sort -g | awk '{ value[NR] = $1 } END { print value[int((NR + 1) / 2)] }'; }

for command in get set; do
  commands=$((pipeline * 30000 + 70000)) results=
  for ((run = 0; run < runs; run++)); do
    order=(0 1) took=()
    ((run % 2)) && order=(1 0)
    for i in "${order[@]}"; do
      before=$(ticks "${pids[i]}")
      bench "${ports[i]}" "$command" $commands
      took[i]=$(($(ticks "${pids[i]}") - before))
    done
    results+="$(awk -v old="${took[0]}" -v new="${took[1]}" -v ns="$((1000000000 / hertz))" -v n=$commands \
      'BEGIN { print new / old, old * ns / n, new * ns / n }')"$'\n'
  done
  column() { printf %s "$results" | cut -d' ' -f"$1" | median; }
  printf '%s: new / old %.3f, of %.0f ns\n' "$command" "$(column 1)" "$(column 2)"
done
