#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# hosts.sh <build>: the suites, the guide's programs and simulate on 2, 3 and 5 hosts that are network namespaces.
set -euo pipefail
# shellcheck source=../../scripts/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib/common.sh"
allow_root

build=$1
hosts=$root/scripts/hosts
export HOSTS_SET=mtest
"$hosts" try
work=$(mktemp -d)
trap '"$hosts" down; rm -rf "$work"' EXIT

fail() {
    printf '%s\n' "$*"
    cat "$work/out" "$work/err" 2>/dev/null || true
    exit 1
}

# over <ranks> <program> <argument>...; what the launcher has to say goes with stderr
over() {
    local ranks=$1
    shift
    timeout -k 5 170 "$hosts" mpirun -np "$ranks" "$@" >"$work/out" 2>"$work/err"
}

suite() { # name ranks
    MUSTER_CASE_LIMIT_S=150 over "$2" "$build/tests/mpi_$1" || fail "suite $1 on $2 ranks"
}

"$hosts" up 2
[ "$(nproc)" -lt 2 ] || export MUSTER_TEST_OWN_CORES=1
suite token 2
unset MUSTER_TEST_OWN_CORES

"$hosts" up 3
for name in hosts process lock token pool any queue lease; do
    suite "$name" 6
done

experiment=$root/tests/fixtures/experiments/good.ini
for ranks in 2 4 6; do # on 1, 2 and 3 hosts
    over "$ranks" "$build/bin/simulate" "$experiment" --out "$work/s$ranks" --quiet || fail "simulate on $ranks ranks"
    over "$ranks" "$build/bin/simulate" "$experiment" --out "$work/i$ranks" --quiet --isolate ||
        fail "simulate on $ranks ranks, isolated"
    cmp "$work/s2/results.csv" "$work/s$ranks/results.csv" || fail "simulate on $ranks ranks: other bytes"
    cmp "$work/s2/results.csv" "$work/i$ranks/results.csv" || fail "simulate on $ranks ranks, isolated: other bytes"
done
grep -q '"hosts":[[:space:]]*3' "$work/s6/run.json" || fail 'it did not run on 3 hosts'

over 6 "$build/bin/guide_pool" || fail 'guide_pool'
[ "$(cat "$work/out")" = 'Squared numbers: [1, 4, 9, 16, 25]' ] || fail 'guide_pool printed something else'
for example in process queue lock wordcount; do
    over 6 "$build/bin/guide_$example" "$root/README.md" "$root/CMakeLists.txt" || fail "guide_$example"
    timeout 60 mpirun --oversubscribe -np 2 "$build/bin/guide_$example" "$root/README.md" "$root/CMakeLists.txt" \
        >"$work/here"
    cmp <(sort "$work/here") <(sort "$work/out") || fail "guide_$example printed something else than on one host"
done

# MPI programs that have muster beside them
over 6 "$build/bin/jacobi" 64 5 || fail 'jacobi'
grep -q 'ranks 6, hosts 3: the same bits' "$work/out" || fail 'jacobi: not on 3 hosts, or other bits'
for program in half halves rounds visit waits at_end; do
    over 6 "$build/tests/beside" "$program" || fail "beside $program"
done
for level in 0 1 2; do # it is to be refused, which the program knows by this variable
    MUSTER_HOST_RANKS=2 over 6 -x MUSTER_HOST_RANKS "$build/tests/beside" level $level spmd || fail "beside level $level"
done

# slow, and losing some: right, and no time-outs but the user's
slow='slow and cut links'
if "$hosts" slow h2 20ms 1 2>/dev/null; then
    suite hosts 3
    over 6 "$build/bin/simulate" "$experiment" --out "$work/slow" --quiet || fail 'simulate on a slow network'
    cmp "$work/s2/results.csv" "$work/slow/results.csv" || fail 'simulate on a slow network: other bytes'
    "$hosts" slow h2 0ms 0
else
    slow='a cut link (slow ones not tried: no netem in this kernel)'
fi

# cut off for 5 s, and patient: it goes on
HOSTS_SLOTS=1 over 3 "$build/bin/simulate" --out "$work/whole" --quiet &
pid=$!
sleep 3 # into it: it takes 20 s
"$hosts" link h3 down
sleep 5
"$hosts" link h3 up
wait "$pid" || fail 'a link was cut for 5 s'

"$hosts" up 5
suite hosts 5
suite pool 10
suite lock 5
printf 'hosts: suites on 2, 3 and 5 hosts; simulate: the same bytes on 1, 2 and 3; %s\n' "$slow"
