#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# checksum.sh <build>/bin/checksum: the same bytes at any number of ranks and on two hosts; what it writes sha256sum reads, and the
# other way round, odd names too; each kind of failure with its exit code; loops, files that change, signals.
set -euo pipefail
# shellcheck source=../../scripts/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib/common.sh"
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
allow_root
export LC_ALL=C

program=$1
work=$(mktemp -d)
output=$work/err
pid=
trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"

fail() {
    printf '%s\n' "$*"
    head -n 30 "$work/out" "$work/err" 2>/dev/null || true
    exit 1
}

# gives <exit code> <way> <argument>...: runs, by one rank without mpirun, by two, or by two that are taken for two hosts
gives() {
    local expected=$1 way=$2 code=0
    shift 2
    case $way in
    1) MUSTER_LAUNCH=0 timeout -k 5 60 "$program" "$@" ;;
    2) MUSTER_RANKS=2 timeout -k 5 60 "$program" "$@" ;;
    hosts) MUSTER_HOST_RANKS=1 timeout -k 5 60 mpirun --oversubscribe --bind-to none -np 2 "$program" "$@" ;;
    esac >"$work/out" 2>"$work/err" || code=$?
    [ "$code" -eq "$expected" ] || fail "$way: $*: exit code $code, expected $expected"
}

# same <file> <file>...: bytes, whatever their order of lines
same() {
    cmp <(sort -z "$1") <(sort -z "$2") || fail "not the same: $1, $2"
}

mkdir -p tree/sub 'tree/two words' tree/empty
printf 'a' >tree/plain
printf 'b' >$'tree/new\nline'
printf 'c' >'tree/back\slash'
printf 'd' >$'tree/carriage\rreturn'
printf 'e' >$'tree/sub/\xff\xfe'
printf 'f' >'tree/two words/-'
: >tree/sub/nothing
head -c 40000000 /dev/zero >tree/sub/large # three pieces of a tree digest
printf 'x' >>tree/sub/large
for i in {1..300}; do printf '%s' "$i" >"tree/sub/$i"; done
ln -s .. tree/sub/up
ln -s ../plain tree/sub/link
find tree -type f -print0 | sort -z | xargs -0 sha256sum >theirs
find tree -type f -print0 | sort -z | xargs -0 sha256sum --zero >theirs.zero

# ---- the same bytes, which sha256sum reads and writes ----
for way in 1 2 hosts; do
    gives 0 "$way" tree
    cp out "ours.$way"
    cmp ours.1 "ours.$way" || fail "$way: other bytes"
    gives 0 "$way" --check theirs
    same <(tr '\n' '\0' <out) <(sha256sum --check theirs | tr '\n' '\0')
    gives 0 "$way" --tree tree
    cp out "trees.$way"
    cmp trees.1 "trees.$way" || fail "$way: another tree digest"
    gives 0 "$way" --check "trees.$way" --quiet
    [ ! -s out ] || fail '--quiet was not'
done
same <(tr '\n' '\0' <ours.1) <(tr '\n' '\0' <theirs)
sha256sum --check --quiet ours.1 || fail 'sha256sum does not read it'
! sha256sum --check --status trees.1 2>/dev/null || fail 'sha256sum takes a tree digest for its own'
grep -c '^\\*TREE16M-SHA256 (' trees.1 | grep -qx "$(wc -l <theirs)" || fail 'a line without its mark'
gives 0 1 --zero tree
same out theirs.zero
gives 0 1 --zero --check theirs.zero --quiet
gives 0 1 --tag --algorithm blake2b tree
b2sum --check --quiet out || fail 'b2sum does not read it'
find tree -type f -print0 | sort -z >names
gives 0 2 --null --files-from - <names
cmp out theirs || fail 'names from a list: other lines'
gives 0 1 --algorithm md5 tree/plain - tree/plain <names
cmp out <(md5sum tree/plain - tree/plain <names) || fail 'standard input'
many=(tree/sub/large tree/sub/{1..300} tree/sub/{1..300} -) # input's turn comes while the large one is read, here
gives 0 1 "${many[@]}" <names
cmp out <(sha256sum "${many[@]}" <names) || fail 'standard input behind a large file'

# ---- failures ----
for way in 1 hosts; do
    gives 1 "$way" gone tree/plain tree/sub/fifo-to-be tree/sub/up/gone
    [ "$(<out)" = "$(sha256sum tree/plain)" ] || fail 'what is there was not done'
    says 3 'No such file or directory'
    says 1 '3 files could not be read (3 not there)'
done
printf 'tree/sub\ntree/plain\n' >names
gives 1 1 --files-from names
says 1 'tree/sub: Is a directory'
gives 1 1 --follow tree/sub
says 1 'tree/sub/up/sub: is a directory that it is itself in'
grep -q '  tree/sub/up/sub/1$' out && fail 'a loop was followed'
grep -q '  tree/sub/link$' out || fail 'a link was not followed'
code=0
MUSTER_LAUNCH=0 "$program" tree >/dev/full 2>err || code=$?
[ "$code" -eq 1 ] || fail "full disk: exit code $code"
says 1 'standard output: cannot be written: No space left'
gives 0 2 --output list tree
cmp list ours.1 || fail '--output: other lines'
gives 0 1 --output tree/list tree # which is in the tree itself, and left out
cmp tree/list ours.1 || fail 'the list is in itself'
rm tree/list

# as somebody who may not read it, where this is root
mkdir closed
printf 'z' >closed/file
chmod 600 closed/file
chmod 777 closed .
reader=(env MUSTER_LAUNCH=0 TMPDIR="$work/closed")
[ "$(id -u)" -ne 0 ] || reader=(setpriv --reuid=65534 --regid=65534 --clear-groups "${reader[@]}")
[ "$(id -u)" -eq 0 ] || chmod 000 closed/file
if "${reader[@]}" "$program" --version >/dev/null 2>&1; then
    code=0
    (cd / && "${reader[@]}" "$program" "$work/closed/file" "$work/tree/plain") >out 2>err || code=$?
    [ "$code" -eq 1 ] || fail "not permitted: exit code $code"
    says 1 'Permission denied'
    says 1 '(1 not permitted)'
    [ "$(wc -l <out)" -eq 1 ] || fail 'not permitted: the rest was not done'
fi

# ---- as sha256sum says it ----
cp ours.1 list
rm 'tree/two words/-' tree/sub/7
printf 'y' >>tree/sub/large
printf 'b' >tree/plain
printf 'no line\n' >>list
like_sha256sum() { # argument...
    local code=0
    sha256sum --check "$@" list >theirs 2>/dev/null || code=$?
    gives "$code" 1 --check list "$@"
    cmp out theirs || fail "$*: not what sha256sum says"
}
like_sha256sum
like_sha256sum --ignore-missing --quiet
like_sha256sum --status
like_sha256sum --ignore-missing --warn
says 1 "list: $(wc -l <list): improperly formatted SHA256 checksum line"
says 1 'WARNING: 2 computed checksums did NOT match'

# ---- strict: missing, changed, extra ----
printf 'new' >tree/extra
for way in 1 hosts; do
    gives 29 "$way" --check list --strict tree
    [ "$(grep -c ': MISSING$' out)" -eq 2 ] || fail 'missing'
    [ "$(grep -c ': FAILED$' out)" -eq 2 ] || fail 'changed'
    grep -qx 'tree/extra: EXTRA' out || fail 'extra'
done
sed -i '/no line/d' list
gives 28 1 --check list --strict --status tree
[ ! -s out ] || fail '--status was not'
gives 12 1 --check list --strict
gives 24 1 --check list --strict --ignore-missing tree
rm tree/extra
gives 8 1 --check list --strict --ignore-missing ./tree/
MUSTER_LAUNCH=0 "$program" tree >list
gives 0 1 --check list --strict tree
rm tree/sub/8
gives 4 1 --check list --strict tree
printf 'new' >tree/sub/8
gives 8 1 --check list --strict tree
grep -v '/sub/8$' list >shorter
gives 16 1 --check shorter --strict tree

# ---- what changes while it is read: tried until it does in time ----
truncate -s 256M sparse
mkfifo silence
exec 4<>silence
for _ in {1..20}; do
    code=0
    MUSTER_RANKS=2 timeout -k 5 60 "$program" --algorithm md5 sparse tree/plain >out 2>err &
    pid=$!
    while kill -0 "$pid" 2>/dev/null; do
        printf 'x' 1<>sparse
        read -r -t 0.005 -u 4 _ || true
    done
    wait "$pid" || code=$?
    pid=
    [ "$code" -eq 0 ] || break
done
[ "$code" -eq 1 ] || fail "changed meanwhile: exit code $code"
says 1 'sparse: changed while it was read'
says 1 '(1 changed meanwhile)'
[ "$(wc -l <out)" -eq 1 ] || fail 'changed meanwhile: the rest was not done'

# ---- signals: what was finished is there ----
mkfifo names.fifo
ends() { # exit code, signal, option...
    local code=0
    MUSTER_RANKS=2 timeout -k 5 60 "$program" "${@:3}" --files-from - <names.fifo >out 2>err &
    pid=$!
    exec 3>names.fifo
    printf 'tree/sub/%s\n' {10..109} >&3
    for _ in {1..600}; do
        [ "$(wc -l <out)" -lt 100 ] || break
        sleep 0.1
    done
    [ "$(wc -l <out)" -eq 100 ] || fail "$2: not done, with more to come"
    kill -"$2" "$(pgrep -P "$pid")"
    wait "$pid" || code=$?
    pid=
    exec 3>&-
    [ "$code" -eq "$1" ] || fail "$2: exit code $code, expected $1"
    says 1 'what was finished is written'
    cmp out <(cd "$work" && sha256sum tree/sub/{10..109}) || fail "$2: other lines"
}
ends 130 INT
ends 143 TERM

# ---- resume: what an earlier run has read is not read again, unless it has changed since ----
while [ $(($(date +%s) - $(stat -c %Z tree/sub/109))) -lt 4 ]; do sleep 0.2; done # too new to tell a change
ends 75 USR1 --resume journal
printf 'changed' >tree/sub/20
gives 0 hosts --resume journal tree
says 1 'checksum: 99 of [0-9]* files had been read before'
find tree -type f -print0 | sort -z | xargs -0 sha256sum >theirs
same <(tr '\n' '\0' <out) <(tr '\n' '\0' <theirs)
cp theirs list
printf 'other' >tree/sub/21
gives 1 1 --resume journal --check list
grep -qx 'tree/sub/21: FAILED' out || fail 'resume: a change was not seen'
[ "$(grep -c ': OK$' out)" -eq $(($(wc -l <list) - 1)) ] || fail 'resume: not all that is well'
gives 0 1 --resume journal --anew tree
says 0 'had been read before'
gives 2 1 --resume list tree
says 1 'no journal'

# ---- a host that dies: others read what it had in hand ----
MUSTER_HOST_RANKS=1 timeout -k 5 60 mpirun --enable-recovery --oversubscribe --bind-to none -np 3 "$program" --files-from - \
    <names.fifo >out 2>err &
pid=$!
exec 3>names.fifo
printf 'tree/sub/%s\n' {10..109} >&3
for _ in {1..600}; do
    [ "$(wc -l <out)" -lt 100 ] || break
    sleep 0.1
done
launcher=$(pgrep -P "$pid")
for rank in $(pgrep -P "$launcher"); do
    ! tr '\0' '\n' <"/proc/$rank/environ" | grep -qx OMPI_COMM_WORLD_RANK=2 || kill -9 "$rank"
done
printf 'tree/sub/%s\n' {110..300} >&3
exec 3>&-
wait "$pid" || true # mpirun says that a rank was killed
pid=
cmp out <(sha256sum tree/sub/{10..300}) || fail 'a host died: other lines'

# ---- mistakes: before anything starts, so also where nothing may ----
for mistake in --nonsense --algorithm=none --strict '--check gone' '--files-from gone'; do
    code=0
    # shellcheck disable=SC2086 # two words
    env -u OMPI_ALLOW_RUN_AS_ROOT -u OMPI_ALLOW_RUN_AS_ROOT_CONFIRM "$program" $mistake >out 2>err || code=$?
    [ "$code" -eq 2 ] || fail "$mistake: exit code $code, expected 2"
    [ -s err ] || fail "$mistake: nothing was said"
done
for option in --help --version; do
    env -u OMPI_ALLOW_RUN_AS_ROOT "$program" $option >out 2>err || fail "$option failed"
    [ -s out ] || fail "$option: no answer"
    [ ! -s err ] || fail "$option: a complaint"
done
printf 'checksum: %d files as sha256sum has them, on 1 and 2 ranks and 2 hosts; failures, changes and signals told\n' "$(wc -l <ours.1)"
