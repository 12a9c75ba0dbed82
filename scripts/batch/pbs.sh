#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# A job for PBS: copy, change what is marked, and submit with qsub.
#PBS -N simulate
#PBS -l select=2:ncpus=16:mpiprocs=16
#PBS -l walltime=01:00:00
#PBS -j oe
# change: the lines above: hosts, cores and ranks a host, time

# change: the program and where it is, and the seconds that it is told of the end before it comes
program=(build/bin/simulate my.ini --out results --journal results.journal)
notice=60
again=yes # change: no, for a program that does not go on where it was ended

cd "$PBS_O_WORKDIR" || exit 1
mpirun --bind-to none --hostfile "$PBS_NODEFILE" "${program[@]}" &
job=$!

# PBS sends SIGTERM at the end, and little time to save; so the notice comes from here. The program saves what it has and
# exits with 75.
left=$(qstat -f "$PBS_JOBID" | sed -n 's/.*Resource_List.walltime = //p' | awk -F: '{print $1 * 3600 + $2 * 60 + $3}')
if [ "${left:-0}" -gt "$notice" ]; then
    (sleep $((left - notice)) && kill -USR1 "$job") &
    alarm=$!
fi
trap 'kill -TERM "$job"' TERM
code=0
while wait "$job" || code=$?; kill -0 "$job" 2>/dev/null; do code=0; done
[ -z "${alarm:-}" ] || kill "$alarm" 2>/dev/null

# 75 is "to be run again": a new job does what is missing. It reads this script where it was submitted from.
if [ "$code" -eq 75 ] && [ "$again" = yes ]; then
    qrerun "$PBS_JOBID" 2>/dev/null || qsub -W depend=afterany:"$PBS_JOBID" "$0"
fi
exit "$code"
