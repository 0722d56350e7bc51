#!/bin/sh
# tests/lint/tidy.sh ROOT - clang-tidy finds nothing in the headers; .clang-tidy names the checks.
set -u
cd "$1" || exit 1
command -v clang-tidy >/dev/null 2>&1 || { echo "clang-tidy isn't installed"; exit 77; }
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
find include -name '*.h' | LC_ALL=C sort | sed "s|.*|#include \"$PWD/&\"|" >"$work/all.c"
clang-tidy --quiet --config-file=.clang-tidy --header-filter="$PWD/include/.*" "$work/all.c" -- -std=gnu11 -Iinclude \
    >"$work/out" 2>/dev/null && exit 0
grep -E 'warning:|error:' "$work/out" | sed "s|$PWD/||" | sort -u
exit 1
