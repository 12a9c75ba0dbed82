#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# valgrind.sh <program> [<argument>...]: memcheck on two ranks and their children finds no error and no leak of ours up to the end.
set -euo pipefail
# shellcheck source=../../scripts/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib/common.sh"
allow_root

logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT

suppressions=("--suppressions=$root/tests/support/valgrind.supp")
openmpi=/usr/share/openmpi/openmpi-valgrind.supp
[ ! -e "$openmpi" ] || suppressions+=("--suppressions=$openmpi")

export MUSTER_SEGMENT_MIB=64 # the search for leaks reads all of it
status=0
timeout -k 5 200 mpirun --oversubscribe --bind-to none -np 2 \
    valgrind --quiet --keep-debuginfo=yes --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite \
    --error-exitcode=99 --log-file="$logs/%p" "${suppressions[@]}" "$@" || status=$?
if [ "$status" -ne 0 ] || grep -qs . "$logs"/*; then
    printf 'exit code %d\n' "$status"
    cat "$logs"/*
    exit 1
fi
[ "$(find "$logs" -type f | wc -l)" -ge 2 ] # both ranks were watched
