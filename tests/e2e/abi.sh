#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Programs that were built against the last release run with this library: no public name or type that they know is gone
# or another one. More of them are fine.
#
#   abi.sh <libmuster.so>          compares with tests/abi/libmuster-<version>.abi, the dump of that release
#   abi.sh --renew <libmuster.so>  at a release: makes the dump anew, of a build that has debug information
#
# The version is that of the library's soname: where that changes, binaries may break, and --renew replaces the dump. A
# struct that grows into its reserved words is said, too, since nobody but a reader can tell that it is harmless.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

dump() { # library, headers: what is public of it, the same wherever it was built
    abidw --headers-dir "$2" --drop-private-types --exported-interfaces-only --drop-undefined-syms --no-elf-needed \
        --no-corpus-path --no-comp-dir-path --no-show-locs "$1" | sed "s/ path='[^']*\/\(src\/[^']*\)'/ path='\1'/"
}

compare() { # dump, library, headers
    dump "$2" "$3" >"$scratch/now.abi"
    abidiff --no-added-syms --no-show-locs "$1" "$scratch/now.abi" && return
    printf '%s: programs built before would not run with it, or not the same\n' "$2"
    return 1
}

released() { # library: where its dump is
    local name
    name=$(objdump -p "$1" | awk '$1 == "SONAME" { print $2 }')
    printf 'tests/abi/%s.abi' "${name/.so./-}"
}

small() { # name, header text, source text: makes a library
    mkdir "$scratch/$1"
    printf '#include <stdint.h>\n%s\n' "$2" >"$scratch/$1/small.h"
    printf '#include "small.h"\n%s\n' "$3" >"$scratch/$1/small.c"
    cc -g -shared -fPIC -I "$scratch/$1" -o "$scratch/$1/libsmall.so" "$scratch/$1/small.c"
}

notices() { # what was done, text that must be said, header text, source text
    local said library=$scratch/$((++tried))
    small "$tried" "$3" "$4"
    if said=$(compare "$scratch/small.abi" "$library/libsmall.so" "$library") || [[ $said != *$2* ]]; then
        printf 'not noticed: %s\n%s\n' "$1" "$said"
        return 1
    fi
}

# The check itself can fail, and does not where something was only added.
self_test() {
    local struct='struct options { int a; uint64_t reserved[2]; };' grown moved
    local take='int take(const struct options *options);' number='int number(int of);'
    local body='int take(const struct options *options) { return options->a; }' whole='int number(int of) { return of; }'
    grown='struct options { int a; uint64_t reserved[2]; int b; };'
    moved='struct options { int b; int a; uint64_t reserved[2]; };'
    small old "$struct $take $number" "$body $whole"
    dump "$scratch/old/libsmall.so" "$scratch/old" >"$scratch/small.abi"
    small more "$struct $take $number int third(void);" "$body $whole int third(void) { return 3; }"
    compare "$scratch/small.abi" "$scratch/more/libsmall.so" "$scratch/more" >/dev/null
    notices 'a function that is gone' 'Removed function' "$struct $take" "$body"
    notices 'another parameter' 'parameter 1' "$struct $take ${number/int of/long of}" "$body ${whole/int of/long of}"
    notices 'a struct that grew' 'size changed' "$grown $take $number" "$body $whole"
    notices 'members that moved' 'offset changed' "$moved $take $number" "$body $whole"
    notices 'a field of another type' 'type of' "${struct/int a/float a} $take $number" "$body $whole"
}

for tool in abidw abidiff objdump; do
    command -v $tool >/dev/null || {
        printf 'skipped: no %s\n' $tool
        exit 77
    }
done
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
tried=0

if [ "$1" = --renew ]; then
    mkdir -p tests/abi
    dump "$2" include >"$scratch/new.abi"
    grep -q "function-decl name='muster_init'" "$scratch/new.abi"
    rm -f tests/abi/*.abi
    cp "$scratch/new.abi" "$(released "$2")"
    exit
fi

self_test
library=$1
before=$(released "$library")
if ! [ -e "$before" ]; then
    printf '%s is not there: %s --renew %s\n' "$before" "$0" "$library"
    exit 1
fi
if [[ $(objdump -h "$library") != *debug_info* ]]; then
    printf 'skipped: %s has no debug information\n' "$library"
    exit 77
fi
if ! grep -q "architecture='elf-amd-$(uname -m)'" "$before"; then
    printf 'skipped: the dump is of another kind of machine\n'
    exit 77
fi
compare "$before" "$library" include
printf '%d functions are as before\n' "$(grep -c "function-decl name='muster_" "$before")"
