#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# MUSTER_COUNTERS: what the guide's programs do with their objects is known, so the counts are, too.
set -euo pipefail
# shellcheck source=../../scripts/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib/common.sh"

programs=$1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
json=$folder/counters.json

run() { # program: on two hosts, each a rank, which gives $json
    rm -f "$json"
    MUSTER_COUNTERS=$json MUSTER_HOST_RANKS=1 timeout 60 mpirun --oversubscribe -np 2 "$programs/$1" >"$folder/out"
}

sum() { # kind field [rank]: over all objects of the kind at home on host 0
    awk -v kind="\"kind\": \"$1\"" -v field="\"$2\": " -v rank="\"rank\": ${3:-}" '
        index($0, kind) && index($0, "\"home\": 0") && index($0, rank) {
            split($0, parts, field)
            total += parts[2]
        }
        END { print total + 0 }' "$json"
}

is() { # what wanted found
    [ "$2" = "$3" ] && return
    printf '%s: %s, not %s\n' "$1" "$3" "$2"
    cat "$json"
    exit 1
}

# 1 create, 5 puts, 1 close, 5 gets that gave an item and the one that ended the loop
run guide_queue
is "operations of the queue" 13 "$(sum queue operations)"
# two for an operation from the other host, and for a lease of gets and one of puts: that it begins, and its end with an
# answer (many.sh has the counts of many operations)
there=$(sum queue operations 1) messages=$(sum queue messages) leases=4
[ "$messages" -le $((2 * there + leases)) ] ||
    is "messages for $there operations from the other host" "up to $((2 * there + leases))" "$messages"
[ "$there" -eq 0 ] || [ "$messages" -gt 0 ] || is "messages" "some" 0
[ "$messages" -eq 0 ] || [ "$(grep -c '"kind": "mail"' "$json")" -gt 0 ] || is "lines of mail" "some" 0

run guide_pool
is "tasks of the pool" 5 "$(sum pool tasks)"

# in words, and where the file cannot be: the program is none the worse
MUSTER_COUNTERS=1 MUSTER_LAUNCH=0 "$programs/guide_queue" 2>"$folder/table" >"$folder/out"
grep -q '^counters .*operations' "$folder/table"
grep -Eq '^queue [0-9]+ of host 0 +0 +13 ' "$folder/table"
MUSTER_COUNTERS=$folder/none/at/all MUSTER_LAUNCH=0 "$programs/guide_queue" 2>"$folder/table" >"$folder/out"
grep -q 'counters cannot be written to' "$folder/table"
grep -q 'All items have been processed' "$folder/out"

# without being asked for, none
MUSTER_LAUNCH=0 "$programs/guide_queue" 2>"$folder/table" >"$folder/out"
[ ! -s "$folder/table" ]
