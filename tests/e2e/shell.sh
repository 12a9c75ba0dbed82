#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Every shell script passes shellcheck; the programs of README.md and the pages are the ones that are tested, and links lead
# somewhere.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

status=0
wrong() {
    printf '%s\n' "$*"
    status=1
}

texts=(README.md src/README.md src/doc/*.md)
readme=$(<README.md)
all=$(cat "${texts[@]}")
for program in apps/guide/*.c; do
    [[ $all == *"$(<"$program")"* ]] || wrong "README.md and src/doc: none holds $program as it is"
done
for page in src/doc/*.md; do
    [[ $readme == *"]($page)"* ]] || wrong "README.md has no link to $page"
done
for text in "${texts[@]}"; do
    while read -r link; do
        [ -e "$(dirname "$text")/$link" ] || wrong "$text: no $link"
    done < <(grep -oE '\]\([A-Za-z0-9_./-]+\)' "$text" | sed 's/^](//; s/)$//')
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
