#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# encrypt.sh <build>/bin/encrypt: files and trees there and back, on one host and two; keys and passphrases; what is not
# authentic; nothing half written, also after an end in the middle.
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
    cat out 2>/dev/null || true
    exit 1
}

on() { # ranks argument...
    local ranks=$1
    shift
    code=0
    timeout -k 5 100 mpirun --oversubscribe --bind-to none -np "$ranks" "$program" "$@" >out 2>&1 || code=$?
}

exits() { # code
    [ "$code" -eq "$1" ] || fail "exit code $code, not $1"
}

"$program" --keygen my.key
[ "$(stat -c %a my.key)" = 600 ] || fail 'others may read the key'
! "$program" --keygen my.key 2>out || fail 'a key was written over'

# sizes around pieces, odd names, empty files; a tree
mib=1048576
mkdir -p tree/sub "tree/$(printf 'a\nb')"
: >tree/empty
printf x >tree/one
for bytes in $((mib - 1)) $mib $((mib + 1)) $((3 * mib)) $((20 * mib + 5)); do
    head -c "$bytes" /dev/urandom >"tree/sub/$bytes"
done
printf 'odd\n' >"tree/$(printf 'a\nb')/ -n"
ln -s one tree/link
chmod 640 tree/one
touch -d '2001-02-03 04:05:06' tree/one
cp -a tree before
for ranks in 1 2; do
    for hosts in 1 2; do
        [ $ranks -ge $hosts ] || continue
        MUSTER_HOST_RANKS=$((ranks / hosts)) on $ranks --key my.key --piece 1 -r tree
        exits 0
        [ "$(find tree -name '*.enc' -printf x)" = xxxxxxxx ] || fail 'not a file each'
        find tree -type f ! -name '*.enc' -delete
        MUSTER_HOST_RANKS=$((ranks / hosts)) on $ranks --decrypt --key my.key -r tree
        exits 0
        find tree -name '*.enc' -delete
        diff -r tree before || fail "other bytes, on $ranks ranks and $hosts hosts"
        [ "$(stat -c '%a %Y' tree/one)" = "$(stat -c '%a %Y' before/one)" ] || fail 'other permissions, or time'
    done
done
[ -z "$(find . -name '*.part')" ] || fail 'something half written is left'

# what is there is not written over, nor taken twice
on 2 --key my.key tree/one
exits 0
on 2 --key my.key tree/one
exits 1
grep -q 'is there' out || fail 'not said'
on 2 --key my.key --force tree/one
exits 0

# another key; changed, cut, lengthened, swapped
"$program" --keygen other.key
cp "before/sub/$((3 * mib))" three
on 2 --key my.key --piece 1 three
mv three.enc good
mkdir back
refused() { # what
    rm -f three back/three
    on 2 --decrypt --key "${2:-my.key}" -o back three.enc
    exits 3
    [ ! -e back/three ] || fail "$1: was written"
    [ -z "$(ls back)" ] || fail "$1: something is left"
}
cp good three.enc
refused 'another key' other.key
printf 'x' | dd of=three.enc bs=1 seek=$((2 * mib)) conv=notrunc 2>/dev/null
refused 'changed'
cp good three.enc
truncate -s -1 three.enc
refused 'cut'
cp good three.enc
printf x >>three.enc
refused 'lengthened'
piece=$((mib + 41))
copy_piece() { # from to
    dd if=good of=three.enc bs=64K iflag=skip_bytes,count_bytes oflag=seek_bytes conv=notrunc \
        skip=$((128 + $1 * piece)) seek=$((128 + $2 * piece)) count="$piece" 2>/dev/null
}
cp good three.enc
copy_piece 0 1
copy_piece 1 0
refused 'swapped'
cp good three.enc
on 2 --decrypt --key my.key -o back three.enc
exits 0
cmp back/three "before/sub/$((3 * mib))" || fail 'the good one: other bytes'

# passphrases: of a file, of standard input, at a terminal
printf 'correct horse\n' >pass
printf 'wrong horse\n' >wrong
on 1 --passphrase-file pass tree/empty "tree/sub/$mib"
exits 0
on 1 --decrypt --passphrase-file wrong -o back tree/empty.enc
exits 3
code=0
MUSTER_RANKS=1 "$program" --decrypt -o back "tree/sub/$mib.enc" <pass >out 2>&1 || code=$?
exits 0
cmp "back/$mib" "before/sub/$mib" || fail 'passphrase: other bytes'
if command -v script >/dev/null; then
    rm "back/$mib"
    { sleep 1; echo 'correct horse'; sleep 4; } | MUSTER_RANKS=1 script -qec "'$program' --decrypt -o back 'tree/sub/$mib.enc'" /dev/null >out 2>&1 ||
        fail 'at a terminal'
    cmp "back/$mib" "before/sub/$mib" || fail 'at a terminal: other bytes'
    ! grep -q 'correct horse' out || fail 'the passphrase was shown'
fi
on 1 --decrypt --key my.key -o back tree/empty.enc
exits 1

# ended in the middle: nothing half written under its name
head -c $((150 * mib)) /dev/zero >large
timeout -k 5 100 mpirun --oversubscribe --bind-to none -np 2 "$program" --key my.key large >out 2>&1 &
until compgen -G 'large.enc.*.part' >/dev/null || ! kill -0 $! 2>/dev/null; do sleep 0.01; done
kill -TERM "$(pgrep -P $! -x mpirun)" 2>/dev/null || true
wait $! || true
if [ -e large.enc ]; then
    rm -f large
    on 2 --decrypt --key my.key large.enc
    exits 0
else
    [ -z "$(compgen -G 'large.enc*')" ] || fail 'something half written is left'
fi

# bad options begin nothing
for bad in '' '--nothing x' '--piece 0 x' '--key my.key --passphrase-file pass x' '--key my.key -r -o back tree' '--key /no/such x' '--key pass x'; do
    code=0
    # shellcheck disable=SC2086
    MUSTER_RANKS=1 "$program" $bad >out 2>&1 </dev/null || code=$?
    exits 2
    [ -s out ] || fail "$bad: nothing is said"
done
on 1 --key my.key /no/such tree
exits 1
"$program" --version | grep -qx 'encrypt [0-9.]*' || fail '--version'
