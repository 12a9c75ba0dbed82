#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# crash.sh <build>/tests/job: a crash inside an in-rank task ends the job, but first says what ran, with a backtrace.
set -euo pipefail
# shellcheck source=../../scripts/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib/common.sh"
allow_root

program=$1
code=0
printed=$(timeout 60 mpirun --oversubscribe --bind-to none -np 2 "$program" crash 2>&1) || code=$?
if [ "$code" -eq 0 ] || [ "$code" -eq 124 ]; then
    printf 'exit code %d\n%s\n' "$code" "$printed"
    exit 1
fi
for wanted in 'item 7 ' 'function crash_on_seven' 'worker [01]' "pool 'jobs'" 'rank [01]' "host $(uname -n)" SIGSEGV \
    'libc.so'; do
    grep -q "$wanted" <<<"$printed" || {
        printf 'the report lacks: %s\n%s\n' "$wanted" "$printed"
        exit 1
    }
done
printf 'the crash report names item, function, worker, pool, rank, host and signal\n'
