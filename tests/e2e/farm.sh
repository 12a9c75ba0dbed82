#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# farm.sh <build>/bin/farm: commands over ranks and hosts: what they say, in order; failures and limits; the same line
# again after ends of all kinds.
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

# on <ranks> <argument>...: into out and err, which loses what mpirun says; the exit code in $code
on() {
    local ranks=$1
    shift
    code=0
    timeout -k 5 100 mpirun --oversubscribe --bind-to none -np "$ranks" "$program" "$@" >out 2>err || code=$?
}

exits() { # code
    [ "$code" -eq "$1" ] || fail "exit code $code, not $1"
}

says() { # file text
    grep -qF -- "$2" "$1" || fail "$1 does not say: $2"
}

# in the order of the input, large outputs, too, on any ranks and hosts
for i in 1 2 3 4 5 6; do
    printf 'sleep 0.%d; seq %d 60000; echo e%d >&2\n' $((6 - i)) "$i" "$i"
    seq "$i" 60000 >>expected
done >list
for hosts in 1 3; do
    MUSTER_HOST_RANKS=$((3 / hosts)) on 3 -k list
    exits 0
    cmp out expected || fail "other words, or another order, on $hosts hosts"
    grep -x 'e[1-6]' err | cmp - <(seq -f e%g 6) || fail 'stderr is not in order'
done
on 2 list
sort -n out | cmp - <(sort -n expected) || fail 'as they end: other words'

# tags, line by line, results in files, a log
printf 'echo a; echo b\nprintf c\n' >list
on 2 -k --tag --lb --results results --joblog log list
printf 'echo a; echo b\ta\necho a; echo b\tb\nprintf c\tc' | cmp - out || fail 'tags'
[ "$(cat results/2/attempt-1/stdout)" = c ] || fail 'results'
[ "$(wc -l <log)" -eq 3 ] || fail 'the log has not a line each'
grep -qP '^2\t[^\t]+\t[0-9.]+\t +[0-9.]+\t0\t1\t0\t0\tprintf c\t1$' log || fail "the log: $(cat log)"

# failures, tries, limits: each told, the rest goes on
cat >list <<'END'
[ $FARM_ATTEMPT = 3 ] || exit 5; echo third
/no/such/program
echo lost; echo why >&2; exit 7
kill -SEGV $$
sleep 1000 & sleep 1000
x=$(head -c 100000000 /dev/zero | tr '\0' x); sleep 1000
echo last
END
on 2 --retries 3 --timeout 2 --memory 30M list
exits 5
[ "$(sort -u out | xargs)" = 'last lost third' ] || fail 'what went well'
says err '5 commands failed:'
says err '2: /no/such/program: could not be started: No such file or directory'
says err 'exit 7: exit code 7, on'
says err ': why'
says err 'killed by signal 11'
says err 'over its time limit after 2.'
says err 'over its memory limit: had'

# what comes after what
cat >list <<'END'
#name first
sleep 0.5; echo 1
#after first
echo 2
#name bad
false
#after bad
echo never
#wait
echo 3
END
on 3 list
exits 2
[ "$(xargs <out)" = '1 2 3' ] || fail 'what came after what'
says err 'a command that they come after failed'

# cores and GPUs of a host: never more at a time than there are
for i in 1 2 3 4 5 6; do
    echo "mkdir slot\$CUDA_VISIBLE_DEVICES && sleep 0.1 && rmdir slot\$CUDA_VISIBLE_DEVICES && echo \$OMP_NUM_THREADS"
done >list
HWLOC_XMLFILE=$root/tests/fixtures/topology/gpus.xml on 4 --gpus 1 --cores 1 list
exits 0
[ "$(xargs <out)" = '1 1 1 1 1 1' ] || fail 'GPUs'
on 2 --cores 3 list
exits 255
says err 'no host has what it wants: cores: 3, GPUs: 0'

# --halt ends what runs
printf 'sleep 1000\nfalse\n' >list
on 2 --halt now,fail=1 list
exits 1

# stopped at some moment, by signals and by kill -9, the same line again gives the same bytes
for i in $(seq 40); do
    echo "echo $i >>ran; sleep 0.05; echo said $i; echo >>ended"
    echo "said $i" >>said
done >list
for how in INT TERM USR1 KILL KILL; do
    rm -f ran ended ./*.journal*
    setsid timeout -k 5 100 mpirun --oversubscribe --bind-to none -np 3 "$program" -k --journal it.journal list >out 2>err &
    session=$!
    until [ "$(wc -l 2>/dev/null <ended)" -ge $((RANDOM % 30 + 1)) ] 2>/dev/null; do sleep 0.02; done
    if [ $how = KILL ]; then
        mapfile -t all < <(pgrep -s "$session")
        kill -9 "${all[@]}" 2>/dev/null || true
        wait $session 2>/dev/null || true
        # workers lead groups of their own; they see that their rank has gone
        while pgrep -s "$session" >/dev/null; do sleep 0.05; done
    else
        kill -$how "$(pgrep -s "$session" -x mpirun)" 2>/dev/null || true
        code=0
        wait $session || code=$?
        [ $how != USR1 ] || [ $code -eq 75 ] || [ $code -eq 0 ] || fail "after USR1: exit code $code"
    fi
    on 3 -k --journal it.journal list
    exits 0
    cmp out said || fail "after $how: other bytes"
    twice=$(sort ran | uniq -d | wc -l)
    [ "$twice" -le 12 ] || fail "after $how $twice commands were run twice: more than were handed out"
    [ "$(sort -u ran | wc -l)" -eq 40 ] || fail "after $how not all were run"
done
on 2 -k --journal it.journal list
cmp out said || fail 'a finished one again: other bytes'
[ "$(sort -u ran | wc -l)" -eq 40 ] || fail 'a finished one again ran something'
"$program" show it.journal | sort -n -k2 | cmp - said || fail 'show'
[ "$("$program" show --list it.journal | grep -c '^done')" -eq 40 ] || fail 'show --list'
on 1 --journal it.journal --shell /bin/bash list
exits 255
says err "'shell=/bin/sh' there, 'shell=/bin/bash' now"

# failed ones are run again where that is wished
printf 'echo x >>tries; false\necho y\n' >list
on 1 -k --journal failed.journal list
exits 1
on 1 -k --journal failed.journal list
exits 1
[ "$(wc -l <tries)" -eq 1 ] || fail 'a failed one was run again'
on 1 -k --journal failed.journal --resume-failed list
[ "$(wc -l <tries)" -eq 2 ] || fail '--resume-failed did not run it again'

# who was killed leaves a status, which the next farm removes; its own it removes itself
mkdir run
export XDG_RUNTIME_DIR=$work/run
sleep 1000 &
touch "run/farm-$(id -u)-$!.status"
kill -9 $!
wait $! || true
on 1 -k list
[ -z "$(ls run)" ] || fail "a status is left: $(ls run)"
unset XDG_RUNTIME_DIR

# bad options begin nothing
for bad in '--halt sometimes' '--timeout x' '--memory -1' '--jobs 0' '--nothing' '--on-stop never' '--shell /no/such'; do
    code=0
    # shellcheck disable=SC2086
    "$program" $bad list >out 2>err || code=$?
    exits 255
    [ -s err ] || fail "$bad: nothing is said"
done
"$program" --help | grep -q 'Exit status' || fail '--help'
"$program" --version | grep -qx 'farm [0-9.]*' || fail '--version'
"$program" --dry-run list | cmp - list || fail '--dry-run'
