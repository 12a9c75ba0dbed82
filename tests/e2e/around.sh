#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# around.sh <build>/tests/around: what a program starts is no part of its job; standard input is read by who reads it;
# launchers that are not this MPI's are told apart.
set -euo pipefail
# shellcheck source=../../scripts/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib/common.sh"
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
allow_root

program=$1
output=$(mktemp)
lines=$(mktemp)
trap 'rm -f "$output" "$lines"' EXIT
many=(timeout -k 1 20 mpirun --oversubscribe --bind-to none -np 2)

# programs in tasks: one that starts itself, one by mpirun, and alone
for how in inside isolated; do
    for command in "MUSTER_RANKS=3 $program" "mpirun --oversubscribe --bind-to none -np 3 $program" "MUSTER_LAUNCH=0 $program"; do
        "${many[@]}" "$program" "$how" "$command" </dev/null >"$output" 2>&1 || true
        says 1 '^command: 0$'
        says 1 '^ranks 2$'
        case $command in
        MUSTER_LAUNCH*) says 1 '^ranks 1$' ;;
        *) says 1 '^ranks 3$' ;;
        esac
    done
    "${many[@]}" "$program" "$how" 'env | grep -E "^(PMIX_|PMI_|OMPI_COMM)"' </dev/null >"$output" 2>&1 || true
    says 1 '^command: 256$'
done

# standard input
printf 'one\ntwo\nthree\n' >"$lines"
export MUSTER_RANKS=2
timeout -k 1 20 "$program" read <"$lines" >"$output" 2>&1
says 1 '^lines 3$'
# shellcheck disable=SC2002 # a pipe is what is tried
cat "$lines" | timeout -k 1 20 "$program" read >"$output" 2>&1
says 1 '^lines 3$'
timeout -k 1 20 "$program" read <&- >"$output" 2>&1
says 1 '^lines 0$'
"${many[@]}" "$program" read <"$lines" >"$output" 2>&1
says 1 '^lines 3$'
if [ "$(uname -r | cut -d. -f1)" -gt 5 ]; then
    while read -r _; do
        timeout -k 1 20 "$program"
    done <"$lines" >"$output" 2>&1
    says 3 '^ranks 2$'
fi
unset MUSTER_RANKS

# as many ranks as there are cores that may be used
cores=$(taskset -cp $$ | sed 's/.*: //')
taskset -c "${cores%%[-,]*}" timeout -k 1 20 "$program" >"$output" 2>&1
says 1 '^ranks 1$'
quota='mount -t tmpfs none /sys/fs/cgroup && echo "150000 100000" >/sys/fs/cgroup/cpu.max && exec "$@"'
if unshare -m mount -t tmpfs none /sys/fs/cgroup 2>/dev/null; then
    unshare -m sh -c "$quota" - timeout -k 1 20 "$program" >"$output" 2>&1
    says 1 '^ranks 1$'
fi
group=/sys/fs/cgroup/cpu/muster-around-$$ # of version 1
if mkdir -p "$group/in" 2>/dev/null && echo 100000 >"$group/cpu.cfs_quota_us"; then
    sh -c 'echo $$ >"$0/in/tasks" && exec "$@"' "$group" timeout -k 1 20 "$program" >"$output" 2>&1
    says 1 '^ranks 1$'
    until rmdir "$group/in" "$group" 2>/dev/null; do sleep 0.1; done
fi

# more than there are cores, and more than can be
MUSTER_RANKS=$(($(nproc) + 1)) timeout -k 1 20 "$program" >"$output" 2>&1
says 1 "^ranks $(($(nproc) + 1))$"
if (ulimit -n 64 && MUSTER_RANKS=30 timeout -k 1 20 "$program") >"$output" 2>&1; then
    printf '30 ranks with 64 open files\n'
    exit 1
fi
says 1 'error mpirun needs ulimit -n 130 for 30 ranks, and has 64: raise it'
if MUSTER_RANKS=5000 timeout -k 1 20 "$program" >"$output" 2>&1; then
    printf '5000 ranks\n'
    exit 1
fi
says 1 'error MUSTER_RANKS=5000: of a job a host has at most 4096'

# threads that were there before
"${many[@]}" "$program" early </dev/null >"$output" 2>&1
says 1 'warn 1 thread was made before muster_init'
"${many[@]}" "$program" </dev/null >"$output" 2>&1
says 0 'before muster_init'

# launchers
if command -v mpirun.mpich >/dev/null && ! ldd "$program" | grep -q libmpich; then
    if timeout -k 1 20 mpirun.mpich -np 2 "$program" >"$output" 2>&1; then
        printf 'two jobs of one rank each\n'
        exit 1
    fi
    says 1 "error MPICH's mpirun, or one like it, has started 2 processes, .*: start it with that library's mpirun"
fi
printf 'programs in tasks, standard input, launchers\n'
