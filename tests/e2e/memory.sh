#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# memory.sh <build>/tests/around: jobs start whatever /dev/shm is like, and under limits of memory; what cannot work ends
# soon, with a text that says what to do.
set -euo pipefail
# shellcheck source=../../scripts/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib/common.sh"
allow_root

program=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tried=0

# shows <code> <text> <shell command>...: in a mount namespace of its own where that can be, within 5 s; $program and $work are exported
shows() {
    local code=0
    timeout -k 1 "${patience:-5}" "${within[@]}" bash -c "$3" >"$work/out" 2>&1 || code=$?
    if [ "$code" -ne "$1" ] || ! grep -q "$2" "$work/out"; then
        printf 'exit code %d, not %d, or not said: %s\n--- %s\n' "$code" "$1" "$2" "$3"
        cat "$work/out"
        exit 1
    fi
    tried=$((tried + 1))
}

ranks() { # how many
    printf 'exec mpirun --oversubscribe --bind-to none -np %d' "$1"
}

export program work
# a container's default
small='mount -t tmpfs -o size=64m none /dev/shm &&'
mkdir "$work/empty"
within=()
if unshare -m mount -t tmpfs -o size=1m none /dev/shm 2>/dev/null; then
    within=(unshare -m)
    for n in 1 2 16; do
        shows 0 "^ranks $n\$" "$small $(ranks $n) \$program"
    done
    patience=20 shows 0 '^item of 1073741824 bytes, 0 pages wrong' "$small $(ranks 2) \$program item"
    shows 0 '^ranks 2$' "$small head -c 80M /dev/zero >/dev/shm/all; $(ranks 2) \$program"
    shows 0 '^ranks 2$' "mount --bind \$work/empty /dev/shm && mount -o remount,bind,ro /dev/shm && $(ranks 2) \$program"
    patience=20 shows 135 'has no more room in memory: make room in /dev/shm' \
        "mount -t tmpfs -o size=1200m none /dev/shm && $(ranks 2) \$program full"
    # none at all
    shows 0 '^ranks 2$' "mkdir \$work/dev && for d in null zero random urandom; do touch \$work/dev/\$d &&
        mount --bind /dev/\$d \$work/dev/\$d; done && mount --rbind \$work/dev /dev && $(ranks 2) \$program"
else
    printf 'no mount namespaces here\n'
fi

# limits
shows 0 'cut to [0-9]* MiB: ulimit -v' "ulimit -v 600000; $(ranks 2) \$program"
shows 1 'ulimit -v' "ulimit -v 330000; $(ranks 2) \$program"
shows 1 'ulimit -f' "ulimit -f 40000; $(ranks 2) \$program"

if [ "$tried" -lt 4 ]; then
    exit 77
fi
printf 'jobs start with little shared memory, or say what to do\n'
