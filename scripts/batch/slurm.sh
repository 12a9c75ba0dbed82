#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# A job for Slurm: copy, change what is marked, and submit with sbatch.
#SBATCH --job-name=simulate
#SBATCH --nodes=2                # change: hosts
#SBATCH --ntasks-per-node=16     # change: ranks a host, one a core
#SBATCH --time=01:00:00          # change
#SBATCH --signal=B:USR1@60       # a minute before the end: the program saves what it has and exits with 75
#SBATCH --output=%x-%j.log

# change: the program and where it is
program=(build/bin/simulate my.ini --out results)

# exec: the notice goes to mpirun, which passes it on to every rank. muster places ranks on cores itself.
exec mpirun --bind-to none "${program[@]}"

# With a Slurm that has PMIx, instead:
#   srun --mpi=pmix --cpu-bind=none "${program[@]}" &
#   trap 'kill -USR1 $!' USR1; while wait $!; [ $? -gt 128 ]; do :; done
