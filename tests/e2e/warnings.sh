#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# What will hurt is said at start, with what to do, and the program runs all the same.
set -euo pipefail
# shellcheck source=../../scripts/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib/common.sh"

program=$1
output=$(mktemp)
trap 'rm -f "$output"' EXIT
launch=(timeout 60 mpirun --oversubscribe --bind-to none -np 2 "$program")
tried=0

runs_and_says() { # text command...
    local text=$1
    shift
    if ! "$@" >"$output" 2>&1 || ! grep -q 'Squared numbers' "$output" || ! grep -q "$text" "$output"; then
        printf 'not said, or not run: %s\n' "$text"
        cat "$output"
        exit 1
    fi
    tried=$((tried + 1))
}

if [ "$(nproc)" -gt 1 ]; then
    first=$(taskset -cp $$ | sed 's/.*: //; s/[-,].*//')
    runs_and_says '2 ranks share 1 of this host.s [0-9]* cores' taskset -c "$first" "${launch[@]}"
    "${launch[@]}" >"$output" 2>&1
    if grep -q 'ranks share' "$output"; then
        printf 'said without reason:\n'
        cat "$output"
        exit 1
    fi
fi

# shellcheck disable=SC2016
limited='ulimit -v 600000 && exec "$@"'
runs_and_says 'is cut to [0-9]* MiB: ulimit -v' bash -c "$limited" - "${launch[@]}"

if [ "$tried" -lt 2 ]; then
    printf 'skipped: one core\n'
    exit 77
fi
