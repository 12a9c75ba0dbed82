#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# signals.sh <build>/tests/job: stop signals end a job that started itself: waits say so, the exit code tells which, and nothing stays
# behind (conformance 10, 55).
set -euo pipefail
# shellcheck source=../../scripts/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib/common.sh"
allow_root

program=$1
out=$(mktemp)
pid=
trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null || true; rm -f "$out"' EXIT

fail() {
    printf '%s\n--- printed\n' "$*"
    cat "$out"
    exit 1
}

# Processes of this very program (by path) that live, but for zombies.
left() {
    local p state
    for p in /proc/[0-9]*; do
        [ "$(readlink "$p/exe" 2>/dev/null)" = "$program" ] || continue
        state=$(sed 's/.*) //; s/ .*//' "$p/stat" 2>/dev/null || true)
        [ "$state" = Z ] || printf '%s ' "${p#/proc/}"
    done
}

# apart <child>: it is in a group of its own, so that what reaches the rank's is not for it; and it ignores nothing that
# it would hand on to what it starts: SIGINT (2), SIGUSR1 (10), SIGTERM (15)
apart() {
    local mask
    [ -r "/proc/$1/status" ] || fail "child $1 is not there"
    mask=0x$(sed -n 's/^SigIgn:[[:space:]]*//p' "/proc/$1/status")
    (((mask >> 1 | mask >> 9 | mask >> 14) & 1)) && fail "child $1 ignores $mask"
    [ "$(sed 's/.*) //' "/proc/$1/stat" | cut -d' ' -f3)" -eq "$1" ] || fail "child $1 is in another's group"
}

# ends <code> <signal name> <signal number>
ends() {
    local code=0
    MUSTER_RANKS=2 "$program" wait >"$out" 2>&1 &
    pid=$!
    for _ in $(seq 300); do
        grep -q ready "$out" && break
        sleep 0.1
    done
    grep -q ready "$out" || fail "$2: the job never got ready"
    apart "$(sed -n 's/^ready //p' "$out")"
    kill -"$2" "$pid"
    wait "$pid" || code=$?
    pid=
    [ "$code" -eq "$1" ] || fail "$2: exit code $code, expected $1"
    grep -q '^map: INTERRUPTED$' "$out" || fail "$2: the map did not say so"
    grep -Eq '^kept: (some|nothing)$' "$out" || fail "$2: the map did not keep what was finished"
    ! grep '^item ' "$out" || fail "$2: results and states differ"
    grep -q '^join: INTERRUPTED$' "$out" || fail "$2: the join did not say so"
    for _ in $(seq 40); do
        [ -z "$(left)" ] && return
        sleep 0.1
    done
    fail "$2: still there: $(left)"
}

ends 130 INT
ends 143 TERM
ends 75 USR1

# killed without a chance: ranks and children go with it
MUSTER_RANKS=2 "$program" wait >"$out" 2>&1 &
pid=$!
for _ in $(seq 300); do
    grep -q ready "$out" && break
    sleep 0.1
done
kill -KILL "$pid"
wait "$pid" 2>/dev/null || true
pid=
for _ in $(seq 50); do
    [ -z "$(left)" ] && break
    sleep 0.1
done
[ -z "$(left)" ] || fail "KILL: still there: $(left)"

code=0
MUSTER_RANKS=2 "$program" fail >"$out" 2>&1 || code=$?
[ "$code" -eq 9 ] || fail "the program's own code 9 became $code"
code=0
timeout 30 mpirun --oversubscribe --bind-to none -np 2 "$program" leave >"$out" 2>&1 || code=$?
[ "$code" -eq 5 ] || fail "exit(5) without muster_finalize became $code"
grep -q 'without muster_finalize' "$out" || fail 'nobody was told of the missing muster_finalize'
printf 'stop signals: codes 130, 143, 75; nothing left behind\n'
