#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# status.sh <build>/tests/job <build>/bin/muster-status: a job that waits is told about from outside, on one host and on
# several, with and without a watch; it goes on.
set -euo pipefail
# shellcheck source=../../scripts/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib/common.sh"
allow_root

program=$1 status=$2
output=$(mktemp)
launcher=
finish() {
    if [ -n "$launcher" ]; then
        kill "$launcher" 2>/dev/null || true
        wait "$launcher" || true
    fi
    rm -f "$output"
}
trap finish EXIT

has() { # text
    if ! grep -q -- "$1" "$output"; then
        printf 'missing: %s\n' "$1"
        cat "$output"
        exit 1
    fi
}

# told <ranks a host> <hosts> <variable>: asks until the ranks stand, or a minute is over
told() {
    local tries=0
    env MUSTER_HOST_RANKS="$1" "$3" mpirun --oversubscribe --bind-to none -np 3 "$program" stand >/dev/null 2>&1 &
    launcher=$!
    until "$status" "$launcher" >"$output" 2>&1 && grep -q 'wait.* for .* in muster_' "$output"; do
        tries=$((tries + 1))
        if [ "$tries" -gt 300 ] || ! kill -0 "$launcher" 2>/dev/null; then
            printf 'nothing was told of a job on %s hosts\n' "$2"
            cat "$output"
            exit 1
        fi
        sleep 0.2
    done
    has "3 ranks on $2 host"
    has 'objects on host'
    if grep -q 'have not answered' "$output"; then
        cat "$output"
        exit 1
    fi
    kill -0 "$launcher"
    kill "$launcher"
    wait "$launcher" || true
    launcher=
}

told 3 1 MUSTER_DEADLOCK=report
told 1 3 MUSTER_DEADLOCK=report
told 2 2 MUSTER_DEADLOCK=off

code=0
"$status" nobody >"$output" 2>&1 || code=$?
[ "$code" -eq 2 ]
has 'is no process number'
code=0
"$status" $$ >"$output" 2>&1 || code=$?
[ "$code" -eq 1 ]
has 'of no muster job'
echo 'status: told of 3 jobs, and refused 2 requests'
