#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# guide.sh <build>/bin/guide_<example> [<rounds>]: runs it plainly and under mpirun, compares its output with what it is to print.
set -euo pipefail
# shellcheck source=../../scripts/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib/common.sh"
allow_root

program=$1
rounds=${2:-3}
example=${program##*guide_}

five_of() { # word
    printf "$1: %d\n" 0 1 2 3 4
}

# same <expected> <output>
same() {
    [ "$1" = "$2" ] || {
        printf -- '--- expected\n%s\n--- printed\n%s\n' "$1" "$2"
        return 1
    }
}

# Each example's check of its output.
check_process() {
    same "$(five_of Number && printf 'Process completed.')" "$1"
}

check_pool() {
    same 'Squared numbers: [1, 4, 9, 16, 25]' "$1"
}

check_queue() { # the two may interleave in any way
    same "$(five_of Produced)" "$(grep '^Produced' <<<"$1")"
    same "$(five_of Consumed)" "$(grep '^Consumed' <<<"$1")"
    same 'All items have been processed.' "$(tail -n 1 <<<"$1")"
    same 11 "$(wc -l <<<"$1")"
}

check_lock() {
    same "$(five_of Number && five_of Number && printf 'Both processes completed.')" "$1"
}

check_share() {
    same "$(printf '%d squared is %d\n' 1 1 2 4 3 9 4 16 5 25 6 36 7 49 8 64 && printf 'Together: 204')" "$1"
}

check_sync() {
    same "$(printf 'Round %d, worker %d\n' 0 0 0 1 0 2 1 0 1 1 1 2 && printf 'All have stopped.')" "$1"
}

# What the example is given.
arguments=()
if [ "$example" = wordcount ]; then
    texts=$(mktemp -d)
    trap 'rm -rf "$texts"' EXIT
    printf 'to be or\nnot to be\n' >"$texts/1"
    : >"$texts/2"
    printf '%s\n' {1..3000} {1000..1999} >"$texts/3" # its table is large
    printf 'be 7' >"$texts/4"
    arguments=("$texts"/[1-4])
fi

check_wordcount() { # in the order in which words came
    same "$(cat "${arguments[@]}" | tr -s ' ' '\n' | sort | uniq -c | sed 's/^ *//' | sort)" "$(sort <<<"$1")"
    same "$(printf '%s\n' '2 to' '3 be' '1 or' '1 not' '1 1')" "$(head -n 5 <<<"$1")"
}

check() { # how, command...
    local how=$1 output
    shift
    if ! output=$(timeout -k 5 60 "$@"); then
        printf '%s: failed; printed:\n%s\n' "$how" "$output"
        exit 1
    fi
    "check_$example" "$output" || {
        printf '%s: wrong output\n' "$how"
        exit 1
    }
}

for ((round = 1; round <= rounds; round++)); do
    check "plainly, round $round" "$program" "${arguments[@]}"
    for ranks in 1 2 4; do
        check "on $ranks ranks, round $round" mpirun --oversubscribe --bind-to none -np "$ranks" "$program" "${arguments[@]}"
    done
done
printf 'guide_%s: %d runs, output as the guide has it\n' "$example" $((4 * rounds))
