#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# scaling.sh <build>/bin/scaling: runs of a program and of kernels, what is written of them, failures, an end in the middle.
set -euo pipefail
# shellcheck source=../../scripts/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib/common.sh"
allow_root

program=$(readlink -f "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

fail() {
    printf '%s\n' "$*"
    cat out err 2>/dev/null || true
    exit 1
}

on() { # argument...
    code=0
    timeout -k 5 100 "$program" "$@" >out 2>err || code=$?
}

# times that are known: halves with each doubling of ranks, in the values of two parameters
cat >known <<'END'
#!/bin/sh
echo "$*" >>ran
echo "it took $(awk "BEGIN { print 8 * $2 / $1 }") s"
END
chmod +x known
on --ranks 1,2,4 -P size 1 2 --repeat 3 --launcher 'env ranks={np}' --time-from 'took ([0-9.]+) s' -- ./known '{np}' '{size}'
[ $code -eq 0 ] || fail "exit code $code"
[ "$(wc -l <ran)" -eq 24 ] || fail 'not 4 runs of each'
[ "$(sort ran | uniq -c | awk '{ print $1 }' | sort -u)" = 4 ] || fail 'not as many of each'
grep -q '^| 4 | 2 | 2 to 2 | 0.0 % | 4.00 | 100 % |' out || fail 'the table'
grep -q '^## size=2' out || fail 'not a table for each value'
grep -q 'Amdahl: serial part -\?0.0000' out || fail 'the law'
cut -d, -f 1,2,3,5,11,12 scaling-out/scaling.csv | cmp - <(
    printf 'ranks,size,runs,median_s,speed_up,efficiency\n1,1,3,8,1,1\n2,1,3,4,2,1\n4,1,3,2,4,1\n1,2,3,16,1,1\n2,2,3,8,2,1\n4,2,3,4,4,1\n'
) || fail "csv: $(cat scaling-out/scaling.csv)"
cmp out scaling-out/report.md || fail 'report.md'
! command -v python3 >/dev/null || python3 -m json.tool scaling-out/scaling.json >/dev/null || fail 'json'
if command -v gnuplot >/dev/null; then
    [ "$(head -c 4 scaling-out/scaling.png | tail -c 3)" = PNG ] || fail 'the picture'
fi

# of this machine, by ranks
for kernel in compute lock latency; do
    on --kernel $kernel --ranks 1,2 --repeat 1 --warm-up 0 --out "of-$kernel"
    [ $code -eq 0 ] || fail "$kernel: exit code $code"
    [ "$(grep -c '^[12],1,0,[0-9.e-]*,' "of-$kernel/scaling.csv")" -eq 2 ] || fail "$kernel: not measured"
done
grep -q '^| 2 |.*| [0-9]* % | 0 |$' out || fail 'how long it waited is not told'

# one that fails at 2 ranks, and one that hangs: told, the rest goes on
on --ranks 1,2 --repeat 1 --warm-up 0 --launcher 'env x={np}' -- sh -c '[ {np} = 1 ] || { echo words; exit 7; }'
[ $code -eq 1 ] || fail "a failure: exit code $code"
grep -q 'on 2 ranks  *failed: exit code 7' err || fail 'not told'
grep -q words err || fail 'its last words are not told'
grep -q '^1,1,0,' scaling-out/scaling.csv || fail 'the other one is not there'
on --ranks 1 --repeat 1 --warm-up 0 --timeout 0.3 --launcher 'env x={np}' -- sleep 1000
[ $code -eq 1 ] || fail "a hang: exit code $code"
grep -q 'over its time limit' err || fail 'not told'

# ended in the middle: what was measured is written, and nothing goes on
rm -f ran
"$program" --ranks 1,2 --repeat 1000 --launcher 'env x={np}' -- sh -c 'echo >>ran; sleep 0.05' >out 2>err &
until [ "$(wc -l 2>/dev/null <ran)" -ge 5 ] 2>/dev/null; do sleep 0.02; done
kill -INT $!
code=0
wait $! || code=$?
[ $code -eq 130 ] || fail "after SIGINT: exit code $code"
[ -s scaling-out/scaling.csv ] || fail 'after SIGINT: nothing is written'
