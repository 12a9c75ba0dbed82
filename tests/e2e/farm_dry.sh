#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# farm_dry.sh <build>/bin/farm: the cases of fixtures/farm, whose options the program reads itself here, and what
# src/doc/farm.md shows: each "$ farm --dry-run ..." says what is below it.
set -euo pipefail

program=$(readlink -f "$1")
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$root/tests"
PATH=$(dirname "$program"):$PATH
bad=0

# Not -j, which is another option here; a case without words is a file of commands, where # begins a comment.
run_case() { # words in $words, input and what it says in files
    local word
    for word in "${words[@]}"; do
        case $word in -j*) return 0 ;; esac
    done
    cases=$((cases + 1))
    "$program" --dry-run "${words[@]}" <"$work/input" >"$work/said" 2>"$work/err" || true
    if ! cmp -s "$work/said" "$work/says"; then
        printf 'farm --dry-run' && printf ' %q' "${words[@]}" && printf '\n'
        diff "$work/says" "$work/said" || true
        bad=$((bad + 1))
    fi
}

cases=0
words=()
: >"$work/input"
: >"$work/says"
while IFS= read -r line; do
    rest=${line#* }
    [ "$rest" != "$line" ] || rest=
    case $line in
    word*) printf -v word %b "$rest" && words+=("$word") ;;
    input*) printf %b "$rest" >"$work/input" ;;
    says*) printf '%b\n' "$rest" >>"$work/says" ;;
    end)
        if [ ${#words[@]} -gt 0 ]; then run_case; fi
        words=()
        : >"$work/input"
        : >"$work/says"
        ;;
    esac
done <fixtures/farm/parallel.cases
[ "$cases" -ge 220 ] || { echo "only $cases cases" && exit 1; }

# what the page shows, in a folder with the two files that it names
mkdir "$work/page"
cd "$work/page"
printf '%s\n' '# what a shell reads, a line each' 'sleep 1 && echo slept' 'gzip -9 <big.log >big.log.gz' >commands.txt
printf 'a\nb\n' >letters.txt
awk -v folder="$work" '
    /^```/ { inside = /^```console/; shown = ""; next }
    inside && /^\$ / { shown = sprintf("%s/shown.%03d", folder, ++n); print substr($0, 3) >(shown ".sh"); printf "" >(shown ".text"); next }
    inside && shown { print >(shown ".text") }' "$root/src/doc/farm.md"
shown=0
for script in "$work"/shown.*.sh; do
    shown=$((shown + 1))
    bash -euo pipefail "$script" >"$work/said" 2>&1 || true
    if ! cmp -s "$work/said" "${script%.sh}.text"; then
        cat "$script"
        diff "${script%.sh}.text" "$work/said" || true
        bad=$((bad + 1))
    fi
done
[ "$shown" -ge 25 ] || { echo "only $shown examples on the page" && exit 1; }
[ "$bad" -eq 0 ] || { echo "$bad differ" && exit 1; }
echo "$cases cases, $shown examples"
