#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# settings.sh <guide_pool>: what is wrong in the environment is said once for the job, however it is started, and the
# program runs all the same; src/doc/running.md names the variables that the code has, and nobody else reads any.
set -euo pipefail
# shellcheck source=../../scripts/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib/common.sh"
allow_root
cd "$root"

program=$1
output=$(mktemp)
trap 'rm -f "$output"' EXIT
many=(timeout -k 5 60 mpirun --oversubscribe --bind-to none -np 3 "$program")
itself=(timeout -k 5 60 env MUSTER_RANKS=2 "$program")
alone=(timeout -k 5 60 env MUSTER_LAUNCH=0 "$program")

fail() {
    printf '%s\n' "$*"
    cat "$output"
    exit 1
}

says() { # times text variable=value command...
    local times=$1 text=$2
    export "${3?}"
    "${@:4}" >"$output" 2>&1 || fail "with $3 it does not run"
    unset "${3%%=*}"
    grep -q 'Squared numbers' "$output" || fail "with $3 it does not do its work"
    [ "$(grep -c "$text" "$output")" -eq "$times" ] || fail "with $3, not $times times: $text"
}

abc="MUSTER_SEGMENT_MIB is 'abc', which it cannot be: 64 to"
says 1 "$abc" MUSTER_SEGMENT_MIB=abc "${many[@]}"
says 1 ' 0/3 warn ' MUSTER_SEGMENT_MIB=abc "${many[@]}"
says 1 "$abc" MUSTER_SEGMENT_MIB=abc "${itself[@]}"
says 1 "$abc" MUSTER_SEGMENT_MIB=abc "${alone[@]}"
says 1 "MUSTER_HOST_RANKS is 'x', which" MUSTER_HOST_RANKS=x "${many[@]}"
says 1 'MUSTER_LOG is .loud., .* error, warn, info or debug are allowed' MUSTER_LOG=loud "${many[@]}"
says 1 'MUSTER_RNAKS: no such setting; did you mean MUSTER_RANKS?' MUSTER_RNAKS=2 "${itself[@]}"
says 1 'setting MUSTER_LOG=info, not the default (warn)' MUSTER_LOG=info "${many[@]}"
says 1 'setting MUSTER_RANKS=2, not the default (one a core)' MUSTER_LOG=info "${itself[@]}"
says 0 'MUSTER' MUSTER_SEGMENT_MIB=128 "${many[@]}"

variables=$(grep -o '{"MUSTER_[A-Z][A-Z_]*"' src/base/settings.c | tr -d '{"')
[ -n "$variables" ]
for variable in $variables; do
    # shellcheck disable=SC2016
    grep -q '^| `'"$variable"'[=`]' src/doc/running.md || fail "src/doc/running.md has no row for $variable"
done
if grep -rn 'getenv("MUSTER' src include; then
    fail 'read beside the table of settings'
fi
