#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# last.sh <build>/tests/job: of a rank or child that dies its last events are told, once, however it died; of one that
# was ended as it was asked for, none.
set -euo pipefail
# shellcheck source=../../scripts/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib/common.sh"
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
allow_root

program=$1
output=$(mktemp)
trap 'rm -f "$output"' EXIT

runs() { # [ranks=<n>] variables... -- what
    local variables=() ranks=2
    while [ "$1" != -- ]; do
        case $1 in
        ranks=*) ranks=${1#ranks=} ;;
        *) variables+=("$1") ;;
        esac
        shift
    done
    env "${variables[@]}" timeout -k 5 60 mpirun --oversubscribe --bind-to none -np "$ranks" "$program" "$2" >"$output" 2>&1 || true
}

for hosts in 0 1; do
    runs MUSTER_HOST_RANKS=$hosts -- lose
    says 1 "the last events of child 'lost', ended by signal 9 (SIGKILL)"
    says 1 "the last events of child 'lost', ended by signal 11 (SIGSEGV)"
    says 2 "ago, thread [0-9]*: waited for queue .* 'theirs', for 0.[0-9]* s, in muster_queue_get at job.c:"
    says 1 'signal 11; the last call before it was made'
    says 0 "events of child 'asked'"
    says 3 '^signal '

    runs MUSTER_HOST_RANKS=$hosts -- fall
    says 1 'the last events of rank 0, which is gone'
    says 1 "waited for queue .* 'mine', for 0.[0-9]* s, in muster_queue_get at job.c:"

    runs ranks=1 MUSTER_HOST_RANKS=$hosts -- crash # else the other rank may have the item
    says 1 'the last events of'
    says 1 'signal 11; the last call before it was made, in muster_pool_map at job.c:'
done
printf 'the dead say what they did\n'
