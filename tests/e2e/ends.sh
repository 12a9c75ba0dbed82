#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# ends.sh <build>/tests/around: whatever ends takes with it what it has started, unless that has made itself a session of
# its own.
set -euo pipefail
# shellcheck source=../../scripts/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib/common.sh"
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
allow_root

program=$1
output=$(mktemp)
mark=ends-$$ # in the environment of all that is started here
trap 'end_all; rm -f "$output"' EXIT
many=(env "MUSTER_TEST_MARK=$mark" mpirun --oversubscribe --bind-to none -np 2 "$program")

# started <seconds>: processes "sleep <seconds>" of ours
started() {
    local p name
    for p in /proc/[0-9]*; do
        if read -r name <"$p/comm" && [ "$name" = sleep ] &&
            [ "$(tr '\0' ' ' <"$p/cmdline")" = "sleep $1 " ] && grep -qz "MUSTER_TEST_MARK=$mark" "$p/environ"; then
            printf '%s\n' "${p#/proc/}"
        fi
    done 2>/dev/null # some end meanwhile
}

end_all() {
    # shellcheck disable=SC2046 # several
    kill -9 $(started 3125; started 3126) 2>/dev/null || true
}

gone() { # what
    for _ in $(seq 50); do
        [ -n "$(started 3125)" ] || break
        sleep 0.1
    done
    if [ -n "$(started 3125)" ] || [ -z "$(started 3126)" ]; then
        printf '%s: still there: %s; in a session of its own: %s\n' "$1" "$(started 3125)" "$(started 3126)"
        cat "$output"
        exit 1
    fi
    end_all
}

timeout -k 1 20 "${many[@]}" leave >"$output" 2>&1
says 1 '^map: TIMEOUT$'
says 1 '^ranks 2$'
gone 'a process that ended, a task over its limit'

# killed from outside: the process, its nursery, its rank, mpirun
for who in 0 1 2 3; do
    "${many[@]}" stay >"$output" 2>&1 &
    pid=$!
    for _ in $(seq 100); do
        grep -q ready "$output" && [ -n "$(started 3126)" ] && break
        sleep 0.1
    done
    victim=$(sed -n 's/^ready //p' "$output")
    for ((i = 0; i < who; i++)); do
        victim=$(sed 's/.*) //' "/proc/$victim/stat" | cut -d' ' -f2)
    done
    kill -9 "$victim"
    wait "$pid" 2>/dev/null || true
    gone "number $who above the process killed"
done
printf 'what processes start ends with them\n'
