#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# simulate.sh <build>/bin/simulate: the main job end to end: the same bytes at any rank count and worker kind, bad input refused before
# anything runs, the exact check, and an interrupt that keeps what is finished.
set -euo pipefail
# shellcheck source=../../scripts/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib/common.sh"
allow_root

program=$1
fixtures=$root/tests/fixtures/experiments
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
    printf '%s\n' "$*"
    cat "$work/out" 2>/dev/null || true
    exit 1
}

# on <ranks> <argument>...
on() {
    local ranks=$1
    shift
    timeout 120 mpirun --oversubscribe --bind-to none -np "$ranks" "$program" "$@" >"$work/out" 2>&1
}

# the same bytes, whoever computes them
on 1 "$fixtures/good.ini" --out "$work/one" || fail 'one rank failed'
[ "$(wc -l <"$work/one/results.csv")" -ge 5 ] || fail 'results.csv is too short'
for ranks in 2 4; do
    on "$ranks" "$fixtures/good.ini" --out "$work/more" --quiet || fail "$ranks ranks failed"
    cmp "$work/one/results.csv" "$work/more/results.csv" || fail "$ranks ranks: other bytes"
    [ ! -s "$work/out" ] || fail '--quiet was not quiet'
    on "$ranks" "$fixtures/good.ini" --out "$work/alone" --isolate --workers 3 || fail "isolated, $ranks ranks failed"
    cmp "$work/one/results.csv" "$work/alone/results.csv" || fail "isolated, $ranks ranks: other bytes"
done
on 2 "$fixtures/good.ini" --out "$work/seed" --seed 8 || fail 'another seed failed'
! cmp -s "$work/one/results.csv" "$work/seed/results.csv" || fail 'another seed, the same bytes'
for file in run.json results.csv; do
    [ -s "$work/one/$file" ] || fail "$file is missing"
done
python3 -m json.tool "$work/one/run.json" >/dev/null 2>&1 || ! command -v python3 >/dev/null || fail 'run.json is not JSON'
if command -v gnuplot >/dev/null; then
    [ "$(head -c 4 "$work/one/results.png" | tail -c 3)" = PNG ] || fail 'results.png is not a PNG'
fi

# the same line again does what is missing, and the bytes are the same
timeout 120 mpirun --oversubscribe --bind-to none -np 2 "$program" "$fixtures/good.ini" --out "$work/kept" \
    --journal "$work/journal" >"$work/out" 2>&1 &
until [ -s "$work/journal-wal" ] || ! kill -0 $! 2>/dev/null; do sleep 0.01; done
kill -USR1 "$(pgrep -P $! mpirun)" 2>/dev/null || true # it may have ended
wait $! || true
[ -s "$work/journal" ] || fail 'no journal'
on 2 "$fixtures/good.ini" --out "$work/kept" --journal "$work/journal" || fail 'with a journal it failed'
cmp "$work/one/results.csv" "$work/kept/results.csv" || fail 'with a journal: other bytes'
on 3 "$fixtures/good.ini" --out "$work/kept" --journal "$work/journal" || fail 'a finished one again failed'
tasks=$(sed -n 's/^\([0-9]*\) of [0-9]* tasks in.*/\1/p' "$work/out")
grep -q "^$tasks of them by earlier runs" "$work/out" || fail 'what was finished was run again'
cmp "$work/one/results.csv" "$work/kept/results.csv" || fail 'a finished one again: other bytes'
! on 2 "$fixtures/good.ini" --seed 8 --out "$work/kept" --journal "$work/journal" || fail 'the journal of another seed was taken'
grep -q "'seed=.*' there, 'seed=8' now" "$work/out" || fail 'the difference is not shown'

# alone <argument>...: what ends before any rank is started, so also where none may be
alone() {
    env -u OMPI_ALLOW_RUN_AS_ROOT -u OMPI_ALLOW_RUN_AS_ROOT_CONFIRM timeout 60 "$program" "$@"
}

# nothing runs on bad input, and the message says where and what
refused=0
for file in "$fixtures"/*.ini; do
    case ${file##*/} in good*) continue ;; esac
    code=0
    alone "$file" --out "$work/bad" >"$work/out" 2>&1 || code=$?
    [ "$code" -eq 2 ] || fail "${file##*/}: exit code $code, expected 2"
    grep -q "${file##*/}" "$work/out" || fail "${file##*/}: the message does not name the file"
    [ ! -e "$work/bad" ] || fail "${file##*/}: something was written"
    refused=$((refused + 1))
done
[ "$refused" -gt 10 ] || fail 'too few malformed files to speak of'
for option in --nonsense --workers=-1 --workers=x --seed=x; do
    code=0
    alone "$fixtures/good.ini" "$option" --out "$work/bad" >"$work/out" 2>&1 || code=$?
    [ "$code" -eq 2 ] || fail "$option: exit code $code, expected 2"
done

for option in --help --version; do
    alone "$option" >"$work/out" 2>"$work/err" || fail "$option failed"
    [ -s "$work/out" ] || fail "$option: no answer"
    [ ! -s "$work/err" ] || fail "$option: a complaint"
done

# the exact values, and an interrupt in the middle
cat >"$work/long.ini" <<'INI'
[lattice]
sizes = 8, 64
[temperature]
values = 1.8, 2.0, 2.6, 3.0
[run]
replicas = 8
thermalize_sweeps = 2000
measurements = 32000
sweeps_between = 2
seed = 11
INI
on 2 "$work/long.ini" --out "$work/check" --check || fail 'the check failed'
code=0
sed 's/measurements = 32000/measurements = 6400000/' "$work/long.ini" >"$work/longer.ini"
MUSTER_RANKS=2 "$program" "$work/longer.ini" --out "$work/cut" >"$work/out" 2>&1 &
pid=$!
sleep 3 # well into it: all of it takes minutes
began=$SECONDS
kill -INT "$pid"
wait "$pid" || code=$?
[ "$code" -eq 130 ] || fail "interrupted: exit code $code, expected 130"
[ $((SECONDS - began)) -le 4 ] || fail "interrupted: it took $((SECONDS - began)) s to end"
[ -s "$work/cut/results.csv" ] || fail 'interrupted: what was finished is not there'
printf 'simulate: the same bytes on 1, 2, 4 ranks and isolated; %d malformed files refused; interrupt kept what was there\n' "$refused"
