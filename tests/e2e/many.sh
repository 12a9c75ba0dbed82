#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# many.sh <many> <mpi_hosts> <simulate> <experiment>: 16 hosts of 4 ranks. A rank needs about as much memory as on one
# host, and an operation no more messages than between two.
set -euo pipefail
# shellcheck source=../../scripts/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib/common.sh"
allow_root

program=$1 suite=$2 simulate=$3 experiment=$4
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export MUSTER_HOST_RANKS=4 MUSTER_PEER_LIMIT_MS=30000 # 64 ranks on few cores
rounds=1000                                           # of each host, in the program

fail() {
    printf '%s\n' "$*"
    cat "$folder/out"
    exit 1
}

over() { # ranks command...
    timeout 170 mpirun --oversubscribe --bind-to none -np "$1" "${@:2}" >"$folder/out" 2>&1 ||
        fail "$2 on $1 ranks"
}

memory() { # of a rank, in KiB, when the program ran on that many ranks
    MUSTER_COUNTERS=$folder/counters.json over "$1" "$program"
    grep -q '^wrong: 0$' "$folder/out" || fail "wrong on $1 ranks"
    sed -n 's/^memory: \([0-9]*\) KiB$/\1/p' "$folder/out"
}

at_most() { # what limit found
    printf '%s: %s (at most %s)\n' "$1" "$3" "$2"
    [ "$3" -le "$2" ] || fail "$1: $3"
}

# What the queues and the lock of rank 0's host cost in messages, for each of a hundred operations of other hosts.
costs() { # hosts
    awk -v others="$(($1 - 1))" -v rounds="$rounds" '
        match($0, /"kind": "[a-z]*"/) {
            kind = substr($0, RSTART + 9, RLENGTH - 10)
            split($0, parts, "\"messages\": ")
            messages[kind] += parts[2] + 0
            split($0, parts, "\"tasks\": ")
            tasks += parts[2] + 0
        }
        END {
            printf "%d %d %d %d\n", 100 * messages["lock"] / (others * rounds),
                100 * messages["queue"] / (2 * others * rounds), 100 * messages["pool"] / tasks, tasks
        }' "$folder/counters.json"
}

one=$(memory 4)
for hosts in 2 16; do
    many=$(memory $((4 * hosts)))
    read -r lock queue task tasks < <(costs "$hosts")
    printf '%d hosts: %d KiB a rank (on one host %d)\n' "$hosts" "$many" "$one"
    [ "$many" -lt $((one + 64 * hosts)) ] || fail "a rank has $many KiB on $hosts hosts, $one on one"
    [ "$tasks" -ge 20000 ] || fail "only $tasks tasks were counted"
    [ "$queue" -gt 0 ] || fail 'no messages of the queues were counted'
    at_most "messages for 100 rounds of the lock" 310 "$lock"
    at_most "messages for 100 puts and gets" 210 "$queue"
    at_most "messages for 1000 tasks" 100 "$((10 * task + 1))"
done

over 64 "$suite"
over 4 "$simulate" "$experiment" --out "$folder/one" --quiet
over 64 "$simulate" "$experiment" --out "$folder/many" --quiet
cmp "$folder/one/results.csv" "$folder/many/results.csv" || fail 'simulate: other bytes'
