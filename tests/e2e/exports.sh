#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# exports.sh <libmuster.so> <libmuster.a>: both show the names that the public headers declare, and no others; in the
# first each has a version.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

declared() { # functions, and the one variable
    sed -n 's/^MUSTER_API .*\b\(muster_[a-z0-9_]*\)(.*/\1/p; s/^extern MUSTER_API .*\b\(muster_[a-z_]*\) __attr.*/\1/p' \
        include/muster/*.h | sort -u
}

names() { # of functions and data, with their versions; sanitizers and the linker add some that begin with _
    local dynamic=-D
    [[ $1 != *.a ]] || dynamic=-g
    nm "$dynamic" --defined-only "$1" | awk 'NF == 3 && $2 != "A" { print $3 }' | grep -v '^_'
}

exported() {
    names "$1" | sed 's/@.*//' | sort -u
}

compare() { # library
    local extra lacking plain=
    extra=$(comm -13 <(declared) <(exported "$1"))
    lacking=$(comm -23 <(declared) <(exported "$1"))
    [ -z "$extra" ] || printf '%s: exported, but not public:\n%s\n' "$1" "$extra"
    [ -z "$lacking" ] || printf '%s: public, but not exported:\n%s\n' "$1" "$lacking"
    [[ $1 == *.a ]] || plain=$(names "$1" | grep -v '@@MUSTER_[0-9]') || true
    [ -z "$plain" ] || printf '%s: without a version:\n%s\n' "$1" "$plain"
    [ -z "$extra$lacking$plain" ]
}

# The check itself can fail, in all ways.
self_test() {
    local source said small=(cc -shared -fPIC -x c)
    source=$(declared | sed 's/.*/void &(void) {}/')
    printf 'MUSTER_0.1 { *; };\n' >"$scratch/versions.map"
    local versions=-Wl,--version-script="$scratch/versions.map"
    "${small[@]}" "$versions" -o "$scratch/good.so" - <<<"$source"
    compare "$scratch/good.so"
    "${small[@]}" -o "$scratch/plain.so" - <<<"$source"
    if said=$(compare "$scratch/plain.so") || [[ $said != *'without a version'*muster_init* ]]; then
        printf 'a name without a version was not noticed\n'
        return 1
    fi
    "${small[@]}" "$versions" -o "$scratch/extra.so" - <<<"$source void muster__inner(void) {}"
    if said=$(compare "$scratch/extra.so") || [[ $said != *'not public'*muster__inner* ]]; then
        printf 'an export too many was not noticed\n'
        return 1
    fi
    "${small[@]}" "$versions" -o "$scratch/lacking.so" - <<<"${source/muster_init(/other(}"
    if said=$(compare "$scratch/lacking.so") || [[ $said != *'not exported'*muster_init* ]]; then
        printf 'an export that lacks was not noticed\n'
        return 1
    fi
}

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
[ -n "$(declared)" ]
self_test
compare "$1"
compare "$2"
printf '%d functions exported\n' "$(declared | wc -l)"
