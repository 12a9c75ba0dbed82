#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# plurals.sh <folder of programs>: nothing that is printed says "1 hosts". In the sources no number stands before a plural, but
# for one that says how many it is by muster__s(n), and for those named here, which are never 1; and programs are asked
# where all is 1.
set -euo pipefail
# shellcheck source=../../scripts/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib/common.sh"
allow_root
cd "$root"

bin=$1
# What no plural is or begins with; times: which multiplies.
words='is|was|as|has|its|ms|exists|uses|does|goes|needs|squared|times|and|of|in'
never='more than %d|no .*for %d tasks|all %u objects|%d objects of other hosts|%d threads besides|died %d times|1 to %d rounds
this host.s %d cores|%d ranks share|50000 sizes.*%lld tasks|srun has started %d|%s has started %d|%d jobs of yours|lock, %d processes'

breaches() { # folder...
    grep -rnP --include='*.[ch]' --include='*.in' \
        '%[-+0-9.*]*(hh|h|ll|l|z|j)?[du]("\s*PRI\w+\s*")? (?!('"$words"')\b)([a-z]+ )?(?!('"$words"')\b)[a-z]+s\b' "$@" | grep -vE "${never//$'\n'/|}"
}

if breaches src apps; then
    printf 'what if it is one? base.h has muster__s\n'
    exit 1
fi

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
printf 'log("%%d ranks here", n); log("%%d is", n);\n' >"$scratch/bad.c"
[ "$(breaches "$scratch" | wc -l)" -eq 1 ] || {
    printf 'the check does not see what is wrong\n'
    exit 1
}

one() { # program and arguments: on one rank
    timeout -k 5 60 mpirun --oversubscribe --bind-to none -np 1 "$bin/$1" "${@:2}" >"$scratch/out" 2>&1 || {
        printf '%s does not run\n' "$*"
        cat "$scratch/out"
        exit 1
    }
    if grep -P '(?<![0-9.:])\b1 (?!('"$words"')\b)[a-z]+s\b' "$scratch/out"; then
        printf '%s printed that\n' "$*"
        exit 1
    fi
}

export MUSTER_LOG=info MUSTER_TOPOLOGY=1 MUSTER_COUNTERS=1
one guide_pool
one guide_share
[ ! -x "$bin/jacobi" ] || one jacobi 16 1
sed -e 's/^sizes = .*/sizes = 8/; s/^values = .*/values = 2.0/; s/^replicas = .*/replicas = 1/' \
    tests/fixtures/experiments/good.ini >"$scratch/one.ini"
[ ! -x "$bin/simulate" ] || one simulate "$scratch/one.ini" --out "$scratch/results" --check
printf 'no number stands before a plural\n'
