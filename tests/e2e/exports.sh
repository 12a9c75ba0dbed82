#!/usr/bin/env bash
# exports.sh <libmuster.so> <libmuster.a>: both show the names that the public headers declare, and no others.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

declared() {
    sed -n 's/^MUSTER_API .*\b\(muster_[a-z0-9_]*\)(.*/\1/p' include/muster/*.h | sort -u
}

exported() { # sanitizers and the linker add names of their own, which begin with _
    local dynamic=-D
    [[ $1 != *.a ]] || dynamic=-g
    nm "$dynamic" --defined-only "$1" | awk 'NF == 3 { print $3 }' | sed 's/@.*//' | grep -v '^_' | sort -u
}

compare() { # library
    local extra lacking
    extra=$(comm -13 <(declared) <(exported "$1"))
    lacking=$(comm -23 <(declared) <(exported "$1"))
    [ -z "$extra" ] || printf '%s: exported, but not public:\n%s\n' "$1" "$extra"
    [ -z "$lacking" ] || printf '%s: public, but not exported:\n%s\n' "$1" "$lacking"
    [ -z "$extra$lacking" ]
}

# The check itself can fail, in both ways.
self_test() {
    local source said
    source=$(declared | sed 's/.*/void &(void) {}/')
    cc -shared -fPIC -o "$scratch/good.so" -x c - <<<"$source"
    compare "$scratch/good.so"
    cc -shared -fPIC -o "$scratch/extra.so" -x c - <<<"$source void muster__inner(void) {}"
    if said=$(compare "$scratch/extra.so") || [[ $said != *'not public'*muster__inner* ]]; then
        printf 'an export too many was not noticed\n'
        return 1
    fi
    cc -shared -fPIC -o "$scratch/lacking.so" -x c - <<<"${source/muster_init(/other(}"
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
