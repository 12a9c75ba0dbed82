# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash disable=SC2154 # output is the script's
# What several of these scripts do; to be sourced. $output: the file that holds what the program has said.

says() { # how often, text
    local found
    found=$(grep -c "$2" "$output" || true)
    if [ "$found" -ne "$1" ]; then
        printf '%d times, not %d: %s\n' "$found" "$1" "$2"
        cat "$output"
        exit 1
    fi
}
