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

if ! command -v script >/dev/null; then
    printf 'skipped: no script, to have a terminal by\n'
    exit 77
fi
for launch in 'MUSTER_RANKS=2' 'mpirun --oversubscribe --bind-to none -np 2' 'MUSTER_LAUNCH=0'; do
    case $launch in *=*) launch="env $launch" ;; esac
    timeout -k 1 30 script -qec "$launch '$program' '$experiment' --out '$work/out'" /dev/null </dev/null >"$output" 2>&1
    grep -q 'of [0-9]* tasks, .* left, workers' "$output" || {
        printf 'no progress: %s\n' "$launch"
        cat "$output"
        exit 1
    }
    # shellcheck disable=SC2086 # several words
    timeout -k 1 30 $launch "$program" "$experiment" --out "$work/out" >"$output" 2>&1
    says 0 'of [0-9]* tasks, .* left, workers'
    says 0 '1 hosts\|1 ranks\|1 workers'
done
printf 'progress on terminals; no pictures without gnuplot\n'
