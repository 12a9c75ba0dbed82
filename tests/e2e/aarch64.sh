#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# aarch64.sh: what needs no MPI, compiled for AArch64, does in an emulator what its unit tests want of it. Without the
# compiler or the emulator it is passed over.
set -euo pipefail
# shellcheck source=../../scripts/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib/common.sh"

compiler=aarch64-linux-gnu-gcc emulator=qemu-aarch64
if ! command -v "$compiler" >/dev/null || ! command -v "$emulator" >/dev/null; then
    say "needs $compiler and $emulator"
    exit 77
fi
objects=$(mktemp -d)
trap 'rm -rf "$objects"' EXIT
flags=(-std=gnu11 -O2 -g -Wall -Wextra -Werror -D_GNU_SOURCE -DMUSTER_NO_SITES -pthread -I"$root/src" -I"$root/include")

# compile_layers <layer>...: an archive of each
compile_layers() {
    local layer
    for layer in "$@"; do
        mkdir "$objects/$layer"
        printf '%s\n' "$root/src/$layer"/*.c
    done >"$objects/sources"
    # shellcheck disable=SC2016
    (cd "$objects" && xargs -P "$(nproc)" -I '{}' sh -c 'source=$1; shift
        exec "$@" -c "$source" -o "$(basename "$(dirname "$source")")/$(basename "$source" .c).o"' \
        sh '{}' "$compiler" "${flags[@]}" <"$objects/sources")
    for layer in "$@"; do
        "${compiler%gcc}ar" rcs "$objects/$layer.a" "$objects/$layer"/*.o
    done
}

# run_suite <name> <layer>...: from the highest down
run_suite() {
    local name=$1 archives
    shift
    archives=("${@/#/$objects/}")
    "$compiler" "${flags[@]}" -I"$root/tests/support/cross" -I"$root/tests" -static -Wl,--build-id \
        -o "$objects/run_$name" "$root/tests/unit/test_$name.c" "${archives[@]/%/.a}" -lm
    (cd "$root/tests" && timeout -k 5 100 "$emulator" "$objects/run_$name" >"$objects/log" 2>&1) || {
        cat "$objects/log"
        say "$name: failed"
        exit 1
    }
    say "$name: right"
}

compile_layers base segment lock queue sched pool
run_suite base segment base
run_suite heap segment base
run_suite latch segment base
run_suite segment segment base
run_suite queue lock queue segment base
run_suite deque sched segment base
run_suite scheduler sched segment base
run_suite sched pool sched segment base
run_suite any pool sched segment base
