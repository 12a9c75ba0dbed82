# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash disable=SC2034
# Shared by scripts/run and scripts/test: packages, the build, and what Open MPI wants to hear. Sourced, not run.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
build=${MUSTER_BUILD_DIR:-$root/build} # where everything built goes

build_packages=(gcc make libc6-dev cmake pkg-config openmpi-bin libopenmpi-dev libhwloc-dev librandom123-dev
    libinih-dev libcjson-dev libsqlite3-dev libncurses-dev libssl-dev libsodium-dev help2man)
run_packages=(gnuplot-nox)
test_packages=(gnuplot-nox g++ libcmocka-dev clang libclang-rt-14-dev valgrind shellcheck iproute2
    slurmctld slurmd slurm-client screen tmux mpich libmpich-dev abigail-tools
    libgomp1 libtbb-dev gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user)

say() {
    printf '%s: %s\n' "${0##*/}" "$*"
}

die() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    else
        sudo "$@"
    fi
}

# Those of the named packages that are not installed, one a line.
missing_packages() {
    local package
    for package in "$@"; do
        [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || printf '%s\n' "$package"
    done
}

# Whether packages can be installed without asking somebody who is not there.
can_install() {
    [ "$(id -u)" -eq 0 ] && return
    command -v sudo >/dev/null && { [ -t 0 ] || sudo -n true 2>/dev/null; }
}

install_packages() { # package...
    local log
    log=$(mktemp)
    {
        as_root apt-get update -qq || say "apt-get update failed; trying with the package lists at hand"
        as_root env DEBIAN_FRONTEND=noninteractive \
            apt-get install -y -qq --no-install-recommends -o Dpkg::Use-Pty=0 "$@"
    } >"$log" 2>&1 || {
        cat "$log" >&2
        rm -f "$log"
        return 1
    }
    rm -f "$log"
}

# need_packages <package>...: installs what is missing; asks apt for nothing when nothing is. What cannot be installed may
# be there otherwise, or not be needed: it is said, and the rest shows.
need_packages() {
    if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
        say "no Debian packages here; going on with what is installed. Needed, by Debian's names: $*"
        return
    fi
    local missing
    mapfile -t missing < <(missing_packages "$@")
    [ ${#missing[@]} -gt 0 ] || return 0
    if can_install; then
        say "installing by apt: ${missing[*]}"
        install_packages "${missing[@]}" && return
        say "apt could not install: ${missing[*]}; going on without"
    else
        say "neither root nor sudo, going on without: ${missing[*]}"
        say "as root: apt-get install --no-install-recommends ${missing[*]}"
    fi
}

# Open MPI refuses root unless told twice; said here, so that no program needs to.
allow_root() {
    if [ "$(id -u)" -eq 0 ]; then
        export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
    fi
}

# build_in <folder> <target> [<cmake option>...]: configures and builds; quiet unless something goes wrong.
build_in() {
    local folder=$1 target=$2 log=$1/build.log
    shift 2
    mkdir -p "$folder"
    say "building in $folder"
    if ! { cmake -S "$root" -B "$folder" "$@" && cmake --build "$folder" -j "$(nproc)" --target "$target"; } >"$log" 2>&1; then
        { grep -E -A8 'error|Error' "$log" || tail -n 5 "$log"; } | head -60 >&2
        say "the build failed; its whole output: $log" >&2
        return 1
    fi
}
