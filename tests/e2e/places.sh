#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# places.sh <build>/tests/around: the picture of who sits where is what the kernel says, at 1, 2 and 4 ranks, bound by
# mpirun and not; of workers and rank 0 nobody who has a core to himself shares it with another such one. The other ranks
# only serve.
set -euo pipefail
# shellcheck source=../../scripts/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib/common.sh"
allow_root

program=$1
work=$(mktemp -d)
output=$work/output
pid=
trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null || true; rm -rf "$work"' EXIT
export MUSTER_TOPOLOGY=1

# picture: of that in $output, lines "<who> <cores> <shared or exclusive>"; where something of a wider line has
# no cores of its own they are those of the lines below it
picture() {
    awk '
    /^host / { n = 0 }
    { line[++n] = $0 }
    function depth(text) { match(text, /^ */); return RLENGTH }
    function cores(text) { return match(text, /\(pu [-0-9,]*\)/) ? substr(text, RSTART + 4, RLENGTH - 5) : "" }
    END {
        for (i = 1; i <= n; i++) {
            if (!match(line[i], /: (rank|pool-)/)) continue
            colon = RSTART
            at = cores(substr(line[i], 1, colon - 1))
            for (j = i + 1; at == "" && j <= n && depth(line[j]) > depth(line[i]); j++) {
                below = cores(substr(line[j], 1, index(line[j] ":", ":")))
                if (below != "") among = among "," below
            }
            if (at == "") at = substr(among, 2)
            among = ""
            sub(/; crowded .*/, "", line[i])
            count = split(substr(line[i], colon + 2), who, ", ")
            for (j = 1; j <= count; j++) {
                shared = sub(/ \(shared\)/, "", who[j]) ? "shared" : "exclusive"
                own = cores(who[j])
                sub(/ \(pu .*/, "", who[j])
                sub(/^pool-[0-9]*-worker-/, "worker ", who[j])
                split(who[j], part, " ")
                split(part[2], range, "-")
                for (k = range[1]; k <= (range[2] == "" ? range[1] : range[2]); k++)
                    print part[1] "-" k, own == "" ? at : own, shared
            }
        }
    }' "$output"
}

each() { # of a list of cores, one a line
    local range
    for range in ${1//,/ }; do
        seq "${range%-*}" "${range#*-}"
    done | sort
}

fail() {
    printf '%s\n' "$*"
    cat "$output" "$work/errors"
    exit 1
}

# begin <ranks> <mpirun option>...: the program, until it has shown all; $of[who] are processes
declare -A of
begin() {
    local p rank worker
    of=()
    mkfifo "$work/line"
    mpirun --oversubscribe "${@:2}" -np "$1" "$program" places <"$work/line" >"$output" 2>"$work/errors" &
    pid=$!
    exec 9>"$work/line"
    for _ in $(seq 200); do
        grep -q '^placed' "$output" && break
        sleep 0.1
    done
    grep -q '^placed' "$output" || fail 'it never got ready'
    for p in /proc/[0-9]*; do
        rank=$(tr '\0' '\n' 2>/dev/null <"$p/environ" | sed -n 's/^OMPI_COMM_WORLD_RANK=//p' || true)
        if [ -n "$rank" ] && grep -q "^PPid:[[:space:]]*$pid$" "$p/status"; then
            of[rank-$rank]=${p#/proc/}
        fi
    done
    while read -r _ worker p; do
        of[worker-$worker]=$p
    done < <(grep '^worker' "$output")
}

compare() {
    local who told how real all='' seen=0
    while read -r who told how; do
        [ -n "${of[$who]:-}" ] || fail "the picture has '$who'"
        seen=$((seen + 1))
        real=$(sed -n 's/^Cpus_allowed_list:[[:space:]]*//p' "/proc/${of[$who]}/status")
        if [ "$how" = shared ]; then
            [ "$(each "$real")" = "$(each "$told")" ] || fail "$who is on $real, not on $told"
        else
            [ -z "$(comm -23 <(each "$real") <(each "$told"))" ] || fail "$who is on $real, not within $told"
            case $who in rank-[1-9]*) ;; *) all+="$(each "$real")"$'\n' ;; esac
        fi
    done < <(picture)
    [ "$seen" -eq ${#of[@]} ] || fail "the picture has $seen of ${#of[@]}"
    [ -z "$(sort <<<"$all" | sed '/^$/d' | uniq -d)" ] || fail 'two have the same core to themselves'
}

for ranks in 1 2 4; do
    for option in '' '--bind-to none'; do
        # shellcheck disable=SC2086 # two words, or none
        begin "$ranks" $option
        compare
        grep -q '^host ' "$work/errors" || fail 'MUSTER_TOPOLOGY=1 showed nothing at start'
        echo >&9
        exec 9>&-
        wait "$pid" || fail 'it did not end well'
        pid=
        rm "$work/line"
    done
done
printf 'the picture is what the kernel says\n'
