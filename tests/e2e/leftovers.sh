#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# leftovers.sh <build>/tests/around: what Open MPI leaves of a job that was killed is removed by the next program of the
# same user; what may be alive, or cannot be told, is not.
set -euo pipefail
# shellcheck source=../../scripts/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib/common.sh"
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
allow_root

program=$1
work=$(mktemp -d)
output=$work/output
export TMPDIR=$work # where Open MPI has its session directories
shm=/dev/shm/vader_segment.$(uname -n | cut -d. -f1).$(id -u).muster-$$
jobs=()
trap 'end_all; rm -rf "$work" "$shm"*' EXIT
start=(mpirun --oversubscribe --bind-to none -np 2 "$program")

end_all() { # what tasks have started waits for its line
    local fifo
    [ ${#jobs[@]} -eq 0 ] || kill "${jobs[@]}" 2>/dev/null || true
    for fifo in "$work"/{living,dead,alone}; do
        [ ! -p "$fifo" ] || : <>"$fifo"
    done
}

fail() {
    printf '%s\n' "$*"
    ls -l /dev/shm "$work"/ompi.* || true
    cat "$work"/output*
    exit 1
}

# begin <name>: a job of two ranks whose task waits for a line from the fifo <name>; $pid is its mpirun, $ranks are its
# ranks, $has what Open MPI has made for it
begin() {
    output=$work/output.$1
    mkfifo "$work/$1"
    # shellcheck disable=SC2016 # the task's shell's
    "${start[@]}" inside 'echo ready $PPID; read -r line <'"$work/$1" >"$output" 2>&1 &
    pid=$!
    jobs+=("$pid")
    for _ in $(seq 200); do
        grep -q '^ready' "$output" && break
        sleep 0.1
    done
    local rank p
    rank=$(sed -n 's/^ready //p' "$output")
    [ -n "$rank" ] || fail "$1 never got ready"
    ranks=()
    for p in /proc/[0-9]*; do
        [ "$(parent "${p#/proc/}")" != "$pid" ] || ranks+=("${p#/proc/}")
    done
    mapfile -t has < <(sed -n 's/.* \(\/dev\/shm\/vader_segment.*\)/\1/p' "/proc/$rank/maps")
    session=$(echo "$work"/ompi.*)
    has+=("$session/pid.$pid")
    [ ${#has[@]} -eq 3 ] || fail "$1 has: ${has[*]}"
}

parent() { # of a process
    local stat
    if { stat=$(<"/proc/$1/stat"); } 2>/dev/null; then
        stat=${stat##*) }
        stat=${stat#* }
        printf '%s' "${stat%% *}"
    fi
}

gone() { # process...
    for _ in $(seq 100); do
        kill -0 "$@" 2>/dev/null || return 0
        sleep 0.1
    done
    fail "still there: $*"
}

# there <how many> <path>...: so many of them exist
there() {
    local count=0 wanted=$1 path
    shift
    for path in "$@"; do
        [ ! -e "$path" ] || count=$((count + 1))
    done
    [ "$count" -eq "$wanted" ] || fail "$count, not $wanted, of: $*"
}

next() {
    output=$work/output
    timeout -k 1 30 "$@" >"$output" 2>&1 || fail "it did not run: $*"
}

begin living
living=("${has[@]}")
alive=$pid
begin dead
kill -9 "$pid" "${ranks[@]}"
for p in "$pid" "${ranks[@]}"; do gone "$p"; done
there 3 "${has[@]}"
next "${start[@]}"
says 1 '^ranks 2$'
there 0 "${has[@]}"
there 3 "${living[@]}"

# the directories of a dead mpirun, of which somebody still uses a file; of a dead daemon and of a living one; and of an
# mpirun that has just begun, where it has another number than here
made=("$session/pid.$pid" "$session/jf.1" "$session/jf.2" "$session/pid.4194400")
stores=("${made[0]}/pmix_dstor_ds12_$pid" "${made[1]}/pmix_dstor_ds12_$pid" "${made[2]}/pmix_dstor_ds12_$$")
mkdir -p "${stores[@]}" "${made[0]}/0" "${made[3]}/0"
for i in "${stores[@]}" "${made[0]}/0" "${made[3]}"; do touch "$i/file"; done
mkfifo "${made[0]}/fifo"
exec 9<"${made[0]}/0/file"
MUSTER_LAUNCH=0 next "$program"
there 1 "${made[0]}"
there 0 "${made[1]}"
there 1 "${made[2]}"
there 1 "${made[3]}"
exec 9<&-

# segments: of this very process, of one that was called so before, of nobody; in use; of another user
for name in mine before nobody open other; do
    head -c 4096 /dev/zero >"$shm.$name"
done
for name in mine before open other; do
    of=$$
    [ $name = mine ] || [ $name = before ] || of=$pid
    for shift in 0 8 16 24; do
        # shellcheck disable=SC2059 # a byte
        printf "\\x$(printf '%x' $((of >> shift & 255)))"
    done | dd of="$shm.$name" bs=1 seek=4 conv=notrunc status=none
done
touch -d '3 days ago' "$shm.before" "$shm.other"
exec 9<"$shm.open"
[ "$(id -u)" -ne 0 ] || chown 65534 "$shm.other"
MUSTER_LAUNCH=0 next "$program"
there 0 "${made[0]}"
there 1 "$shm.mine"
there 0 "$shm.before"
there 1 "$shm.nobody"
there 1 "$shm.open"
[ "$(id -u)" -ne 0 ] || there 1 "$shm.other"
exec 9<&-

# mpirun alone is killed; several begin at a time, which is too much for none of them
begin alone
kill -9 "$pid"
for p in "$pid" "${ranks[@]}"; do gone "$p"; done
begun=()
for i in 1 2 3; do
    timeout -k 1 30 "$program" >"$output.$i" 2>&1 &
    begun+=($!)
done
for i in "${begun[@]}"; do wait "$i" || fail 'one of several did not run'; done
MUSTER_LAUNCH=0 next "$program" # they may have been in each other's way
there 0 "${has[@]}" "$shm.open"

there 3 "${living[@]}"
output=$work/output.living
echo >"$work/living"
wait "$alive" || fail 'the job beside it did not end well'
says 1 '^command: 0$'
says 1 '^ranks 2$'
there 0 "${living[@]}"
printf 'what is dead is removed, what lives goes on\n'
