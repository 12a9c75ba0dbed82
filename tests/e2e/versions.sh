#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# versions.sh <build>/tests/around <libmuster.so> <another program>: where hosts have different versions or builds of
# muster, or different programs, rank 0 says which in a line, every rank has an error, and the job ends.
set -euo pipefail
# shellcheck source=../../scripts/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib/common.sh"
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
allow_root

program=$1 library=$2 other=$3
output=$(mktemp)
work=$(mktemp -d)
trap 'rm -rf "$output" "$work"' EXIT
start=(mpirun --oversubscribe --bind-to none --mca orte_abort_on_non_zero_status 0 -np 2 "$program")
name=$(uname -n) second=()
if unshare --uts true 2>/dev/null; then # a host that is called otherwise
    # shellcheck disable=SC2016 # the inner shell's
    name=elsewhere second=(unshare --uts sh -c 'hostname elsewhere; exec "$@"' -)
fi

# refused <text> <command of another host>...: with two ranks each, all of which are heard out (and
# mpirun then says 0)
refused() {
    local text=$1 code=0
    MUSTER_HOST_RANKS=2 timeout -k 1 10 "${start[@]}" : -np 2 "${@:2}" >"$output" 2>&1 || code=$?
    if [ $code -eq 124 ]; then
        printf 'exit code %d: %s\n' $code "$text"
        cat "$output"
        exit 1
    fi
    says 1 "$text"
    says 1 ' error '
    says 4 '\(BROKEN\|broken\): ranks run different programs, or versions of muster; rank 0 has said which'
    says 0 '^ranks'
}

# sed: as another release would be; objcopy: the same one, built otherwise
mkdir "$work/release" "$work/build"
file=$(objdump -p "$library" | sed -n 's/ *SONAME *//p')
version=$(sed -n 's/#define MUSTER_VERSION_\(MAJOR\|MINOR\|PATCH\) *//p' "$root/include/muster/runtime.h" | paste -sd .)
sed "s/$version/${version%.*}.7/g" "$library" >"$work/release/$file"
objcopy -O binary --only-section=.note.gnu.build-id "$library" "$work/id"
printf 'another' | dd of="$work/id" bs=1 seek=24 conv=notrunc status=none
objcopy --update-section .note.gnu.build-id="$work/id" "$library" "$work/build/$file"

build='(build [0-9a-f]*)'
here="rank 0 on $(uname -n) has $version $build"
refused "versions of muster: $here, rank 2 on $name has ${version%.*}.7 $build, for $program; install" \
    "${second[@]}" env LD_LIBRARY_PATH="$work/release" "$program"
refused "versions of muster: $here, rank 2 on $name has $version $build, for $program; install" \
    "${second[@]}" env LD_LIBRARY_PATH="$work/build" "$program"
refused "different programs: rank 0 on $(uname -n) runs $program $build, rank 2 on $name runs $other $build; build" \
    "${second[@]}" "$other"
printf 'hosts of different versions, builds and programs are told apart\n'
