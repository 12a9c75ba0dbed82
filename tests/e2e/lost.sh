#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# lost.sh <build>: one of three hosts dies, or is cut off: the others learn, and the job goes on or ends with a clear text.
set -euo pipefail
# shellcheck source=../../scripts/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib/common.sh"
allow_root

program=$1/tests/lost
hosts=$root/scripts/hosts
export HOSTS_SET=mlost MUSTER_PEER_LIMIT_MS=4000 # the default
"$hosts" try
out=$(mktemp)
trap '"$hosts" down; rm -f "$out"' EXIT

fail() {
    printf '%s\n--- printed\n' "$*"
    cat "$out"
    exit 1
}

# begin <mpirun option>...: the program, with $arguments, as $pid, until its map runs
arguments=()
begin() {
    timeout -k 5 60 "$hosts" mpirun "$@" -np 6 "$program" "${arguments[@]}" >"$out" 2>&1 &
    pid=$!
    for _ in $(seq 300); do
        if grep -q ready "$out"; then
            sleep 1 # into the map, of about 4 s
            return
        fi
        sleep 0.1
    done
    fail 'it never got ready'
}

said() { # text
    grep -q "$1" "$out" || fail "it did not say '$1'"
}

# All of its processes there die; Open MPI is told to go on.
dies() {
    begin --enable-recovery
    for rank in $(ip netns pids "$HOSTS_SET-h3"); do
        [ "$(readlink "/proc/$rank/exe")" != "$program" ] || kill -9 "$rank"
    done
    began=$SECONDS
    wait "$pid" || true # mpirun says what it likes then
    [ $((SECONDS - began)) -lt 30 ] || fail "it took $((SECONDS - began)) s to end"
    said 'host h3 has not been heard of'
    said '^map: OK$'
    said '^wrong: 0$'
    for what in get acquire join; do
        said "^$what: PEER: .*host h3 is gone"
    done
    [ "$(grep -c '^aimed: PEER: .*host h3' "$out")" = 4 ] || fail 'what was for h3 alone does not say so'
    said '^follows: CANCELED: .*which has not gone well'
    said '^late: PEER: .*is gone'
    said '^destroy: OK$'
}

"$hosts" up 3
dies
arguments=(list)
dies
arguments=()

# Stopped for longer than the others wait: it ends itself, and they go on.
MUSTER_PEER_LIMIT_MS=1500 begin --enable-recovery
ranks=()
for rank in $(ip netns pids "$HOSTS_SET-h3"); do
    [ "$(readlink "/proc/$rank/exe")" != "$program" ] || ranks+=("$rank")
done
kill -STOP "${ranks[@]}"
for _ in $(seq 100); do
    grep -q 'host h3 has not been heard of' "$out" && break
    sleep 0.1
done
kill -CONT "${ranks[@]}"
began=$SECONDS
wait "$pid" || true
[ $((SECONDS - began)) -lt 30 ] || fail "it took $((SECONDS - began)) s to end"
said 'h3 .* this host was stopped for [0-9.]* s'
said '^map: OK$'
said '^wrong: 0$'
said '^destroy: OK$'
if grep -q 'MPI_ABORT' "$out"; then
    fail 'it aborted the others'
fi

# Cut off, for longer than anybody waits.
begin
"$hosts" link h3 down
began=$SECONDS
wait "$pid" && fail 'it ended well without a host'
[ $((SECONDS - began)) -lt 40 ] || fail "it took $((SECONDS - began)) s to end"
said 'host h3 has not been heard of'
printf 'lost: goes on without a host that died; ends when one is cut off\n'
