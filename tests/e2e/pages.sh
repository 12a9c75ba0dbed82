#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# pages.sh <build folder> <page>...: what a page of src/doc shows is tried as it stands, in a folder of its own, with muster
# installed in ~/muster, as the pages have it:
#
#   ```c ```cpp ```cmake ```make   a file, by the name in its first line, or of apps/guide and as it is there
#   ```sh                          run, one block after the other; has to succeed
#   ```text after it               each line is in what was printed, whatever its numbers, time and host; …: anything
#   ```console                     only shown: what needs a cluster, or somebody at the terminal
#
# With --self-test: proves on small pages that each of these can fail.
set -euo pipefail
# shellcheck source=../../scripts/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib/common.sh"
allow_root

# Blocks of a page to files <n>.<kind>, in order.
split_page() { # page folder
    awk -v folder="$2" '
    /^```/ && !file { kind = substr($0, 4); if (kind == "") kind = "none"; file = sprintf("%s/%03d.%s", folder, ++n, kind); printf "" >file; next }
    /^```$/ { close(file); file = ""; next }
    file { print >file }
    END { if (file) { print FILENAME ": a block without an end"; exit 1 } }' "$1"
}

# The file that a block is: of apps/guide, or named in its first line.
name_of() { # block
    local example
    for example in "$root"/apps/guide/*.[ch]; do
        if cmp -s "$1" "$example"; then
            basename "$example"
            return
        fi
    done
    sed -nE '1s/^(\/\*|\/\/|#) ([A-Za-z0-9_.-]+\.(c|h|cpp|txt)|Makefile)\b.*/\2/p' "$1"
}

# Which lines of the first file are in no line of the second.
lacking() { # expected printed
    awk '
    function plain(line) {
        sub(/^[0-9:.]+ [^ ]+ [0-9]+\/[0-9]+ /, "", line)
        gsub(/[0-9]+/, "#", line)
        gsub(/^[ \t]+|[ \t]+$/, "", line)
        return line
    }
    function within(line, pieces, n,    i, at) {
        for (i = 1; i <= n; i++) {
            if (pieces[i] == "") continue
            at = index(line, pieces[i])
            if (!at) return 0
            line = substr(line, at + length(pieces[i]))
        }
        return 1
    }
    FILENAME == ARGV[1] { printed[++lines] = plain($0); next }
    {
        n = split(plain($0), pieces, "…")
        for (i = 1; i <= lines; i++) if (within(printed[i], pieces, n)) next
        print
    }' "$2" "$1"
}

wrong() {
    printf '%s: %s\n' "$page" "$1" >&2
    cat "${@:2}" >&2
    exit 1
}

# One shell runs them all, as a reader's would.
try_page() { # page
    local page blocks block name tried=0 missing
    page=$(basename "$1") blocks=$scratch/blocks-$(basename "$1")
    rm -rf "$blocks" "$HOME/work"
    mkdir "$blocks" "$HOME/work"
    split_page "$1" "$blocks" || exit 1
    for block in "$blocks"/*; do
        [ -e "$block" ] || continue
        case $block in
        *.c | *.cpp | *.cmake | *.make)
            name=$(name_of "$block")
            [ -n "$name" ] || wrong 'no example of apps/guide, nor a name in the first line:' "$block"
            printf 'cp %q %q\n' "$block" "$name"
            ;;
        *.sh)
            printf 'exec >%q 2>&1\n' "$block.printed"
            cat "$block"
            ;;
        *.text | *.console) ;;
        *) wrong "a block of no known kind: ${block##*.}" "$block" ;;
        esac >>"$blocks/all"
    done
    for name in cmake make mpicc pgrep pkg-config valgrind; do
        if grep -qsw "$name" "$blocks"/*.sh && ! command -v "$name" >/dev/null; then
            printf 'skipped: no %s here, which %s uses\n' "$name" "$page"
            exit 77
        fi
    done
    [ ! -e "$blocks/all" ] || (cd "$HOME/work" && timeout -k 5 150 bash -eu -o pipefail "$blocks/all" </dev/null) || {
        block=$(find "$blocks" -name '*.printed' | sort | tail -n 1)
        wrong "failed: $(<"${block%.printed}")" "$block"
    }
    for block in "$blocks"/*.sh "$blocks"/*.text; do
        [ -e "$block" ] || continue
        case $block in
        *.sh) tried=$((tried + 1)) ;;
        *.text)
            name=$(find "$blocks" -name '*.printed' | sort | awk -v text="$block" '$0 < text' | tail -n 1)
            missing=$(lacking "$block" "$name")
            [ -z "$missing" ] || wrong "not printed: $missing" "$name"
            ;;
        esac
    done
    printf '%s: %d blocks run as written\n' "$page" "$tried"
}

# fails <what must be said> <page's text>
fails() {
    local said
    printf '%s\n' "$2" >"$scratch/page.md"
    if said=$(try_page "$scratch/page.md" 2>&1) || [[ $said != *"$1"* ]]; then
        printf 'not noticed: %s\n%s\n' "$1" "$said"
        exit 1
    fi
}

# shellcheck disable=SC2016 # a page has these marks
self_test() {
    printf '```make\n# Makefile\nall:\n\t@echo made 12 of them by me\n```\n```sh\nmake -s\n```\n```text\nmade 7 of … me\n```\n' \
        >"$scratch/page.md"
    (try_page "$scratch/page.md")
    fails 'failed: false' $'```sh\nfalse\n```'
    fails 'failed: ' $'```sh\nfalse\ntrue\n```'
    fails 'not printed: 3 birds' $'```sh\necho 2 fishes\n```\n```text\n2 fishes\n3 birds\n```'
    fails 'nor a name' $'```c\nint main(void) { return 0; }\n```'
    fails 'no known kind' $'```python\nprint(1)\n```'
    fails 'without an end' $'```sh\ntrue'
    printf 'pages: 6 faults noticed\n'
}

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export HOME=$scratch/home
mkdir "$HOME"
if [ "$1" = --self-test ]; then
    self_test
    exit
fi
cmake --install "$1" --prefix "$HOME/muster" >/dev/null
shift
for page in "$@"; do
    (try_page "$(realpath "$page")")
done
