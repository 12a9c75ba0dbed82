#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# A job for Slurm: copy, change what is marked, and submit with sbatch.
#SBATCH --job-name=simulate
#SBATCH --nodes=2                # change: hosts
#SBATCH --ntasks-per-node=16     # change: ranks a host, one a core
#SBATCH --time=01:00:00          # change
#SBATCH --signal=B:USR1@60       # a minute before the end: the program saves what it has and exits with 75
#SBATCH --open-mode=append       # a job that goes on goes on in its log
#SBATCH --output=%x-%j.log

# change: the program and where it is
program=(build/bin/simulate my.ini --out results --journal results.journal)
again=yes # change: no, for a program that does not go on where it was ended

# The notice goes to mpirun, which passes it on to every rank. muster places ranks on cores itself.
mpirun --bind-to none "${program[@]}" &
job=$!

# With a Slurm that has PMIx, instead:
#   srun --mpi=pmix --cpu-bind=none "${program[@]}" &

trap 'kill -USR1 "$job"' USR1
code=0
while wait "$job" || code=$?; kill -0 "$job" 2>/dev/null; do code=0; done

# 75 is "to be run again": the same job waits in the queue once more, and does what is missing.
if [ "$code" -eq 75 ] && [ "$again" = yes ]; then
    scontrol requeue "$SLURM_JOB_ID"
    sleep 60 # it ends here
fi
exit "$code"
