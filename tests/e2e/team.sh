#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# team.sh <build>/tests/team: an OpenMP team that was made before muster_init is no trap for tasks, in isolated workers
# either.
set -euo pipefail
# shellcheck source=../../scripts/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib/common.sh"
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
allow_root

program=$1
output=$(mktemp)
trap 'rm -f "$output"' EXIT
for ranks in 1 2; do
    timeout -k 1 20 mpirun --oversubscribe --bind-to none -np $ranks "$program" >"$output" 2>&1 || {
        printf 'exit code %d at %d ranks\n' $? $ranks
        cat "$output"
        exit 1
    }
    says 2 '^sums 55 5050 500500 50005000$'
done
printf 'teams from before muster_init\n'
