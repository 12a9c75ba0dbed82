#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# looks.sh <simulate>: progress shows where a person looks, and there alone; scripts/run goes on without what it can do
# without.
set -euo pipefail
# shellcheck source=../../scripts/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib/common.sh"
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
allow_root

program=$1
output=$(mktemp)
work=$(mktemp -d)
trap 'rm -rf "$output" "$work"' EXIT
experiment=$root/tests/fixtures/experiments/good.ini

# without root, sudo and gnuplot
(
    # shellcheck disable=SC2317 # called by what is sourced
    missing_packages() { printf 'gnuplot-nox\n'; }
    # shellcheck disable=SC2317
    id() { printf '1000\n'; }
    # shellcheck disable=SC2317
    command() { [ "$2" != sudo ] && builtin command "$@"; }
    need_packages gnuplot-nox
) >"$output" 2>&1
says 1 'as root: apt-get install --no-install-recommends gnuplot-nox'
says 1 'neither root nor sudo, going on without: gnuplot-nox'

in_script() { # command
    timeout -k 1 30 script -qec "$1" /dev/null </dev/null >"$output" 2>&1
}

in_screen() {
    rm -f "$output"
    SCREENDIR=$work/screens timeout -k 1 30 screen -L -Logfile "$output" -DmS looks sh -c "$1"
}

# Waits until somebody takes down what is to be seen.
in_tmux() {
    local tmux=(timeout -k 1 30 tmux -S "$work/tmux" -f /dev/null)
    mkfifo "$work/begins"
    "${tmux[@]}" new-session -d -x 120 -y 40 "read -r _ <'$work/begins'; $1"
    "${tmux[@]}" pipe-pane "cat >'$output'; : >'$work/taken'"
    printf 'now\n' >"$work/begins"
    for _ in $(seq 300); do
        [ ! -e "$work/taken" ] || break
        sleep 0.1
    done
    rm -f "$work/begins" "$work/taken"
}

terminals=()
for terminal in script screen tmux; do
    ! command -v $terminal >/dev/null || terminals+=("$terminal")
done
if [ ${#terminals[@]} -eq 0 ]; then
    printf 'skipped: none of script, screen and tmux, to have a terminal by\n'
    exit 77
fi
mkdir -m 700 "$work/screens"
for launch in 'MUSTER_RANKS=2' 'mpirun --oversubscribe --bind-to none -np 2' 'MUSTER_LAUNCH=0'; do
    case $launch in *=*) launch="env $launch" ;; esac
    for terminal in "${terminals[@]}"; do
        "in_$terminal" "$launch '$program' '$experiment' --out '$work/out'"
        grep -q 'of [0-9]* tasks, .* left, workers' "$output" || {
            printf 'no progress in %s: %s\n' "$terminal" "$launch"
            cat "$output"
            exit 1
        }
    done
    # shellcheck disable=SC2086 # several words
    timeout -k 1 30 $launch "$program" "$experiment" --out "$work/out" >"$output" 2>&1
    says 0 'of [0-9]* tasks, .* left, workers'
    says 0 '1 hosts\|1 ranks\|1 workers'
done
printf 'progress in %s; no pictures without gnuplot\n' "${terminals[*]}"
