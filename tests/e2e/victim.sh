#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# victim.sh <build>/tests/victim: workers that the kernel kills for want of memory, in a cgroup with little of it, are told
# apart from those that somebody else has killed.
set -euo pipefail
# shellcheck source=../../scripts/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib/common.sh"
allow_root

program=$1
output=$(mktemp)
group=
trap 'rm -f "$output"; [ -z "$group" ] || rmdir "$group" 2>/dev/null || true' EXIT

skip() {
    printf 'skipped: %s\n' "$1"
    exit 77
}

# A group below this process's own, of version 1 or 2 of the memory controller, with 160 MiB.
own=$(sed -n 's/^[0-9]*:\([a-z_,]*,\)*memory\(,[a-z_,]*\)*:\(.*\)/\3/p' /proc/self/cgroup)
if [ -n "$own" ]; then
    top=$(awk '$(NF - 2) == "cgroup" && $NF ~ /(^|,)memory(,|$)/ {print $5}' /proc/self/mountinfo | head -n 1)
    limit=memory.limit_in_bytes
else
    own=$(sed -n 's/^0:://p' /proc/self/cgroup)
    top=$(awk '$(NF - 2) == "cgroup2" {print $5}' /proc/self/mountinfo | head -n 1)
    limit=memory.max
fi
[ -n "$top" ] || skip 'no memory cgroups here'
group=$top${own%/}/muster-victim-$$
mkdir "$group" 2>/dev/null || {
    group=
    skip "no cgroup can be made in $top$own"
}
printf '%d' $((160 << 20)) 2>/dev/null >"$group/$limit" || skip "no limit of memory can be set in $group"

for ranks in 1 2; do
    code=0
    (
        printf '%d' $BASHPID >"$group/cgroup.procs" && exec timeout 60 mpirun --oversubscribe --bind-to none -np $ranks \
            "$program"
    ) >"$output" 2>&1 || code=$?
    if [ "$code" -ne 0 ]; then
        printf 'exit code %d at %d ranks\n' "$code" "$ranks"
        cat "$output"
        exit 1
    fi
done
printf "the kernel's victims are told apart\n"
