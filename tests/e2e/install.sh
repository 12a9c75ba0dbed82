#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# install.sh <build folder>: installs, then builds and runs small programs in C and C++ against what was installed, by
# CMake and by pkg-config, shared and static. Nothing of the source tree is in reach of them.
set -euo pipefail
# shellcheck source=../../scripts/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib/common.sh"
allow_root

build=$1
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
prefix=$scratch/prefix

quietly() {
    "$@" >"$scratch/log" 2>&1 || {
        printf 'failed: %s\n' "$*"
        cat "$scratch/log"
        exit 1
    }
}

# The program answers, from another folder, with what the installed library says.
runs() { # program
    local printed
    printed=$(cd / && LD_LIBRARY_PATH=$libdir timeout -k 5 60 mpirun --oversubscribe --bind-to none -np 2 "$1")
    [ "$printed" = "sum of squares 285, version $version" ] || {
        printf '%s printed: %s\n' "$1" "$printed"
        exit 1
    }
    printf 'ran %s\n' "${1#"$scratch"/}"
}

quietly cmake --install "$build" --prefix "$prefix"
quietly cmake --install "$build" --prefix "$prefix" # again, over itself
mv "$prefix" "$scratch/moved"                       # and it may be moved
prefix=$scratch/moved
pc=$(find "$prefix" -name muster.pc)
libdir=$(dirname "$(dirname "$pc")")
PKG_CONFIG_PATH=$(dirname "$pc")
export PKG_CONFIG_PATH
version=$(pkg-config --modversion muster)
cp -r "$root/tests/install" "$scratch/source"

# by CMake
quietly cmake -S "$scratch/source" -B "$scratch/cmake" -DCMAKE_PREFIX_PATH="$prefix"
quietly cmake --build "$scratch/cmake"
for program in c_shared c_static cxx_shared cxx_static; do
    runs "$scratch/cmake/$program"
done
quietly cmake -S "$scratch/source/cxx" -B "$scratch/cxx" -DCMAKE_PREFIX_PATH="$prefix"
quietly cmake --build "$scratch/cxx"
for program in only_shared only_static; do
    runs "$scratch/cxx/$program"
done
for program in cmake/c_static cxx/only_static; do
    if ldd "$scratch/$program" | grep -q libmuster; then
        printf '%s, a static program, wants libmuster.so\n' "$program"
        exit 1
    fi
done

# the examples that come with it, by CMake and by make
examples=$scratch/examples
cp -r "$prefix/share/muster/examples" "$examples"
(cd "$root/apps/guide" && ls ./*.[ch]) | diff - <(cd "$examples" && ls ./*.[ch]) || {
    printf 'not the examples of apps/guide\n'
    exit 1
}
quietly cmake -S "$examples" -B "$examples/build" -DCMAKE_PREFIX_PATH="$prefix"
quietly cmake --build "$examples/build"
quietly make -C "$examples" CFLAGS='-Wall -Wextra -Werror'
for source in "$examples"/*.c; do
    name=$(basename "$source" .c)
    [ -x "$examples/build/$name" ] && [ -x "$examples/$name" ]
done
for program in "$examples/build/guide_pool" "$examples/guide_pool"; do # each finds the library by itself
    printed=$(cd / && timeout -k 5 60 mpirun --oversubscribe --bind-to none -np 2 "$program")
    [ "$printed" = 'Squared numbers: [1, 4, 9, 16, 25]' ] || {
        printf '%s printed: %s\n' "$program" "$printed"
        exit 1
    }
    printf 'ran %s\n' "${program#"$scratch"/}"
done

# each header by itself; that for MPI programs with MPI's
strict=(-Wall -Wextra -Wpedantic -Werror)
read -r -a mpi < <(sed -n 's/^MPI_C_HEADER_DIR:PATH=/-isystem /p' "$build/CMakeCache.txt")
for header in "$prefix"/include/muster/*.h; do
    name=$(basename "$header")
    printf '#include <muster/%s>\n#include <muster/%s>\n' "$name" "$name" >"$scratch/header.c"
    include=(-I "$prefix/include")
    [ "$name" != mpi.h ] || include+=("${mpi[@]}")
    quietly cc -std=c11 "${strict[@]}" "${include[@]}" -fsyntax-only "$scratch/header.c"
    quietly cc -std=c11 "${strict[@]}" -DMUSTER_NO_SITES "${include[@]}" -fsyntax-only "$scratch/header.c"
    for standard in c++11 c++17; do
        quietly c++ -std=$standard "${strict[@]}" "${include[@]}" -fsyntax-only -x c++ "$scratch/header.c"
    done
done

# by pkg-config; strict C11, warnings are errors: the headers bring none to their users
read -r -a shared < <(pkg-config --cflags --libs muster)
read -r -a static < <(pkg-config --cflags --static --libs muster | sed 's/-lmuster/-l:libmuster.a/')
mkdir "$scratch/pkg-config"
cd "$scratch/source"
quietly cc -std=c11 "${strict[@]}" program.c -o "$scratch/pkg-config/c_shared" "${shared[@]}"
quietly cc -std=c11 "${strict[@]}" program.c -o "$scratch/pkg-config/c_static" "${static[@]}"
quietly c++ -std=c++11 "${strict[@]}" program.cpp -o "$scratch/pkg-config/cxx_shared" "${shared[@]}"
quietly c++ -std=c++11 "${strict[@]}" program.cpp -o "$scratch/pkg-config/cxx_static" "${static[@]}"
for standard in c++11 c++17; do
    quietly c++ -std=$standard "${strict[@]}" everything.cpp -o "$scratch/pkg-config/$standard" "${shared[@]}"
done
for program in c_shared c_static cxx_shared cxx_static c++11 c++17; do
    runs "$scratch/pkg-config/$program"
done
