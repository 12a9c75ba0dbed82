#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# still.sh <build>/tests/job: a job that stands still says so once, with who waits for what; and then it goes on waiting,
# its waits end, or it ends with exit code 70, as it is told.
set -euo pipefail
# shellcheck source=../../scripts/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib/common.sh"
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
allow_root

program=$1
output=$(mktemp)
trap 'rm -f "$output"' EXIT
tried=0

# runs <exit code> <variables...> -- <what>: on 3 ranks
runs() {
    local wanted=$1 code=0 variables=()
    shift
    while [ "$1" != -- ]; do
        variables+=("$1")
        shift
    done
    env MUSTER_DEADLOCK_MS=500 "${variables[@]}" timeout -k 5 "${limit:-60}" mpirun --oversubscribe --bind-to none -np 3 \
        "$program" "$2" >"$output" 2>&1 || code=$?
    if [ "$code" -ne "$wanted" ]; then
        printf '%s: exit code %d, not %d\n' "$*" "$code" "$wanted"
        cat "$output"
        exit 1
    fi
    tried=$((tried + 1))
}

for hosts in 0 1; do
    runs 0 MUSTER_HOST_RANKS=$hosts MUSTER_LOCK_ORDER=1 -- neat
    says 0 'could deadlock'
    runs 0 MUSTER_HOST_RANKS=$hosts -- order
    says 0 'could deadlock'
    runs 0 MUSTER_HOST_RANKS=$hosts MUSTER_LOCK_ORDER=1 -- order
    says 2 'could deadlock: rank [0-9] asked for .* in muster_lock_acquire at job.c:.* while it held .*, taken in muster_lock_acquire at job.c:'

    runs 0 MUSTER_HOST_RANKS=$hosts -- stand
    says 1 'deadlock: the job stands still'
    says 1 "rank 0 waits for queue .* 'nothing'.* in muster_queue_get at job.c:"
    says 1 'ranks 1, 2 are idle'
    says 1 'get: DEADLOCK: queue .* muster_queue_get at job.c:'

    runs 70 MUSTER_HOST_RANKS=$hosts MUSTER_DEADLOCK=exit -- stand
    says 1 'deadlock: the job stands still'
    says 0 'get:'

    runs 70 MUSTER_HOST_RANKS=$hosts MUSTER_DEADLOCK=exit -- cross
    says 1 'deadlock: 2 wait for each other'

    runs 0 MUSTER_HOST_RANKS=$hosts -- cross
    says 1 'deadlock: 2 wait for each other'
    says 1 "circle: .* waits in muster_lock_acquire at job.c:[0-9]* for lock .*'\(red\|blue\)'.*, which \(left\|right\) of rank"
    says 1 "rank 0 is elsewhere"

    limit=5 runs 124 MUSTER_HOST_RANKS=$hosts MUSTER_DEADLOCK=report -- stand
    says 1 'deadlock: the job stands still'
    limit=4 runs 124 MUSTER_HOST_RANKS=$hosts MUSTER_DEADLOCK=off -- stand
    says 0 'deadlock'
done
printf '%d runs said and did what they were to\n' $tried
