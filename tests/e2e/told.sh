#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# told.sh <build>/tests/around: the signal that is told is the one that was sent, whoever got it; a program's own handlers
# are called; a second one ends at once; who is stopped and resumed goes on; a rank that is killed is named.
set -euo pipefail
# shellcheck source=../../scripts/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib/common.sh"
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
allow_root

program=$1
output=$(mktemp)
pid=
trap '[ -z "$pid" ] || kill -9 -- "-$pid" 2>/dev/null || true; rm -f "$output"' EXIT
many=(mpirun --oversubscribe --bind-to none -np 2 "$program" told "$output")

parent() { # of a process
    local stat
    if { stat=$(<"/proc/$1/stat"); } 2>/dev/null; then
        stat=${stat##*) }
        stat=${stat#* }
        printf '%s' "${stat%% *}"
    fi
}

# begin <command>...: as $pid, leader of a group and session of its own; $rank is rank 0, $other its brother
begin() {
    : >"$output"
    setsid "$@" >>"$output" 2>&1 &
    pid=$!
    for _ in $(seq 100); do
        grep -q '^ready' "$output" && break
        sleep 0.1
    done
    rank=$(sed -n 's/^ready //p' "$output")
    [ -n "$rank" ] || {
        printf 'never ready: %s\n' "$*"
        cat "$output"
        exit 1
    }
    local p
    for p in /proc/[0-9]*; do
        p=${p#/proc/}
        if [ "$(parent "$p")" = "$(parent "$rank")" ] && [ "$p" != "$rank" ]; then
            other=$p
        fi
    done
}

# within <seconds>: it has ended; its code is $code
within() {
    for ((i = 0; i < 10 * $1; i++)); do
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.1
    done
    if kill -0 "$pid" 2>/dev/null; then
        printf 'it still runs\n'
        cat "$output"
        exit 1
    fi
    code=0
    wait "$pid" || code=$?
    pid=
}

is() { # code
    [ "$code" -eq "$1" ] || {
        printf 'exit code %d, not %d\n' "$code" "$1"
        cat "$output"
        exit 1
    }
}

told() { # name number
    says 1 "^wait: INTERRUPTED: signal $2 (SIG$1) asked the job to stop"
}

# to mpirun's group, as a terminal sends it; and again
begin "${many[@]}"
kill -INT -- "-$pid"
sleep 0.5
told INT 2
kill -INT -- "-$pid"
within 1
# to mpirun alone: which one it was the ranks cannot know, so it is what they get from it; and again
for name in TERM INT; do
    begin "${many[@]}"
    kill -"$name" "$pid"
    within 4
    told TERM 15
    is 1
done
begin "${many[@]}"
kill -INT "$pid"
sleep 0.5
told TERM 15
kill -INT "$pid"
within 1
is 1
# to a rank: the program's own handlers are called, too; and again
begin "${many[@]}"
kill -INT "$rank"
sleep 0.5
told INT 2
says 1 '^handler 02$'
kill -INT "$rank"
within 4
says 1 'told to stop a second time'
is 130
# to the program; and again
begin env MUSTER_RANKS=2 "$program" told "$output"
kill -USR1 "$pid"
sleep 0.5
told USR1 10
grep -q '^handler 10$' "$output"
kill -TERM "$pid"
sleep 0.2
kill -TERM "$pid"
within 1
is 143
begin env MUSTER_RANKS=2 "$program" told "$output"
kill -INT "$pid"
within 4
told INT 2
is 130

# stopped and resumed, without anybody being told of a signal
begin "${many[@]}"
kill -TSTP "$pid"
kill -STOP "$other"
sleep 0.3
kill -CONT "$other"
kill -CONT "$pid"
within 8
says 1 '^wait: TIMEOUT'
is 0

# killed
begin "${many[@]}"
kill -9 "$other"
within 4
says 1 '^wait: INTERRUPTED: rank 1 is gone, and whoever started the ranks ends the job'
is 137
printf 'signals are told as they were sent\n'
