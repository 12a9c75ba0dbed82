# shellcheck shell=bash disable=SC2034
# Shared by scripts/run and scripts/test: packages, the build, and what Open MPI wants to hear. Sourced, not run.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
build=${MUSTER_BUILD_DIR:-$root/build} # where everything built goes

build_packages=(gcc make libc6-dev cmake pkg-config openmpi-bin libopenmpi-dev libhwloc-dev librandom123-dev
    libinih-dev libcjson-dev)
run_packages=(gnuplot-nox)
test_packages=(gnuplot-nox g++ libcmocka-dev clang libclang-rt-14-dev valgrind shellcheck iproute2
    slurmctld slurmd slurm-client mpich libmpich-dev abigail-tools
    libgomp1 libtbb-dev)

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

# install_packages <package>...: by apt; fails, saying why, where that cannot be.
install_packages() {
    say "installing by apt: $*"
    if [ "$(id -u)" -ne 0 ] && ! command -v sudo >/dev/null; then
        say "neither root nor sudo; as root, run: apt-get install --no-install-recommends $*" >&2
        return 1
    fi
    local log
    log=$(mktemp)
    {
        as_root apt-get update -qq || say "apt-get update failed; trying with the package lists at hand"
        as_root env DEBIAN_FRONTEND=noninteractive \
            apt-get install -y -qq --no-install-recommends -o Dpkg::Use-Pty=0 "$@"
    } >"$log" 2>&1 || {
        cat "$log" >&2
        rm -f "$log"
        say "apt could not install: $*" >&2
        return 1
    }
    rm -f "$log"
}

# need_packages <package>...: installs what is missing; asks apt for nothing when nothing is.
need_packages() {
    if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
        say "no Debian packages here; going on with what is installed. Needed, by Debian's names: $*"
        return
    fi
    local missing
    mapfile -t missing < <(missing_packages "$@")
    [ ${#missing[@]} -eq 0 ] || install_packages "${missing[@]}" || exit 1
}

# want_packages <what is done without them> <package>...: the same, and goes on where that cannot be.
want_packages() {
    local without=$1 missing
    shift
    command -v dpkg-query >/dev/null && command -v apt-get >/dev/null || return 0
    mapfile -t missing < <(missing_packages "$@")
    [ ${#missing[@]} -eq 0 ] || install_packages "${missing[@]}" || say "going on $without"
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
        grep -E -A8 'error|Error' "$log" | head -60 >&2
        say "the build failed; its whole output: $log" >&2
        return 1
    fi
}
