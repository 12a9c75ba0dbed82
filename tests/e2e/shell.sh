#!/usr/bin/env bash
# Every shell script passes shellcheck, and the README's programs are the ones that are tested.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

status=0
readme=$(<README.md)
for program in apps/guide/*.c; do
    if [[ $readme != *"$(<"$program")"* ]]; then
        printf 'README.md: does not hold %s as it is\n' "$program"
        status=1
    fi
done

if ! command -v shellcheck >/dev/null; then
    printf 'skipped: no shellcheck\n'
    [ "$status" -eq 0 ] || exit 1
    exit 77
fi
mapfile -t scripts < <(grep -rlE '^#!.*(bash|/sh)|^# shellcheck shell=' scripts tests .ci)
[ ${#scripts[@]} -gt 0 ]
shellcheck "${scripts[@]}" || status=1
exit "$status"
