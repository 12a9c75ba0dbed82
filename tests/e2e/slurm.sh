#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# slurm.sh <build>: simulate on three hosts under Slurm: sbatch with mpirun, srun, and the notice before the time limit.
set -euo pipefail
# shellcheck source=../../scripts/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib/common.sh"
allow_root

build=$1
hosts=$root/scripts/hosts
export HOSTS_SET=mslurm
"$hosts" try
for tool in slurmctld slurmd srun; do
    command -v "$tool" >/dev/null || {
        printf 'slurm: %s is not installed\n' "$tool"
        exit 77
    }
done
work=$(mktemp -d)
trap '"$hosts" down; rm -rf "$work"' EXIT

fail() {
    printf '%s\n' "$*"
    cat "$work/out" 2>/dev/null || true
    exit 1
}

shared='OMPI_MCA_btl=vader,tcp,self OMPI_MCA_mpi_yield_when_idle=1 MUSTER_PEER_LIMIT_MS=30000'

slurm() {
    timeout -k 5 100 "$hosts" slurm "$@"
}

# The template with other numbers, as a user would change it. The hosts share this machine's cores: yielding, and patience
# with who gets none for a while.
job() { # program and arguments
    sed -e 's/--nodes=.*/--nodes=3/' -e 's/--ntasks-per-node=.*/--ntasks-per-node=2/' -e 's/USR1@60/USR1@40/' \
        -e "s|^program=.*|program=($*); export $shared|" \
        "$root/scripts/batch/slurm.sh" >"$work/job.sh"
}

"$hosts" up 3
"$hosts" slurm-up || {
    printf 'slurm: Slurm does not come up here\n'
    exit 77
}
experiment=$root/tests/fixtures/experiments/good.ini
timeout 60 mpirun --oversubscribe -np 2 "$build/bin/simulate" "$experiment" --out "$work/here" --quiet

job "$build/bin/simulate" "$experiment" --out "$work/sbatch" --quiet
slurm sbatch -W -o "$work/out" "$work/job.sh" >/dev/null || fail 'sbatch with mpirun'
cmp "$work/here/results.csv" "$work/sbatch/results.csv" || fail 'sbatch: other bytes'
grep -q '"hosts":[[:space:]]*3' "$work/sbatch/run.json" || fail 'sbatch: it did not run on 3 hosts'

# shellcheck disable=SC2086 # several words
slurm env $shared srun -N 3 -n 6 --mpi=pmix --cpu-bind=none "$build/bin/simulate" "$experiment" --out "$work/srun" --quiet \
    >"$work/out" 2>&1 || fail 'srun'
cmp "$work/here/results.csv" "$work/srun/results.csv" || fail 'srun: other bytes'
grep -q '"hosts":[[:space:]]*3' "$work/srun/run.json" || fail 'srun: it did not run on 3 hosts'

# Without what MPI could find its ranks by, each says so at once.
code=0
slurm srun -N 3 -n 6 "$build/tests/around" >"$work/out" 2>&1 || code=$?
if [ "$code" -ne 1 ] || [ "$(grep -c 'error srun has started 6 processes .* use srun --mpi=pmix' "$work/out")" -ne 1 ]; then
    fail "srun without --mpi: exit code $code, or not said once"
fi
# What a task starts runs on its host, beside the step.
# shellcheck disable=SC2086 # several words
slurm env $shared srun -N 3 -n 3 --mpi=pmix --cpu-bind=none "$build/tests/around" inside \
    "MUSTER_RANKS=2 timeout 20 $build/tests/around" >"$work/out" 2>&1 || fail 'srun: a task that starts a job'
[ "$(grep -c '^command: 0$\|^ranks [23]$' "$work/out")" -eq 3 ] || fail 'srun: a task that starts a job: not said'

# The notice of the time limit: what is finished is kept, and the code says that it is to be run again, which the template
# sees to: the job is in the queue once more. A minute is the least limit there is; Slurm is not exact about the time of
# the notice.
state_of() {
    slurm squeue -h -o %T -j "$1" 2>/dev/null || true
}

sed 's/^measurements.*/measurements = 64000000/' "$experiment" >"$work/long.ini"
job "$build/bin/simulate" "$work/long.ini" --out "$work/cut" --quiet --journal "$work/journal"
number=$(slurm sbatch --parsable -t 1 -o "$work/out" "$work/job.sh")
until [ "$(state_of "$number")" = RUNNING ]; do sleep 0.2; done
while [ "$(state_of "$number")" = RUNNING ] || [ "$(state_of "$number")" = COMPLETING ]; do sleep 0.5; done
[ "$(state_of "$number")" = PENDING ] || fail "after the notice: not in the queue again: $(state_of "$number")"
slurm scancel "$number"
grep -q 'Exit code:    75' "$work/out" || fail 'after the notice: another exit code than 75'
[ -s "$work/cut/results.csv" ] || fail 'after the notice: no results'
[ -s "$work/journal" ] || fail 'after the notice: no journal'
printf 'slurm: sbatch with mpirun, srun, the notice of the time limit, the queue once more\n'
