#!/bin/sh
# bench/run.sh - build the benches, run them, and say where the figures are.
# SPDX-License-Identifier: MIT
#
#     bench/run.sh                  all, some minutes on two CPUs
#     bench/run.sh --quick          seconds; shows that they work, measures little
#     bench/run.sh tasks io         only these; options for them may follow
#
# Needs a C compiler and nothing else.  CC and CFLAGS are respected; options go to every bench.
set -eu
cd "$(dirname "$0")/.."

: "${CC:=cc}" "${CFLAGS:=-O2}"
out=build/bench
commit=$(git rev-parse --short HEAD 2>/dev/null) || commit=unknown
mkdir -p "$out"

names=
while [ $# -gt 0 ] && [ -f "bench/$1/main.c" ]; do
    names="$names $1"
    shift
done
: "${names:=fib io tasks process}"

build() { # build NAME: all of bench/NAME/ and bench/support/ -> $out/NAME
    # CC and CFLAGS may hold several words.
    # shellcheck disable=SC2086
    $CC $CFLAGS -std=gnu11 -pthread -Iinclude \
        -DBENCH_COMMIT="\"$commit\"" -DBENCH_FLAGS="\"$CFLAGS\"" \
        -o "$out/$1" bench/"$1"/*.c bench/support/*.c
}

echo "building with $CC $CFLAGS" >&2
for name in $names; do
    build "$name"
done
for name in $names; do
    "$out/$name" --json "$out/$name.json" --svg "$out/$name.svg" "$@"
done

echo
for name in $names; do
    echo "figures: $out/$name.json   plot: $out/$name.svg"
done
