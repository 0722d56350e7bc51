#!/bin/sh
# bench/run.sh - build the benches, run them, and say where the figures are.
# SPDX-License-Identifier: MIT
#
#     bench/run.sh            about 50 s on two CPUs
#     bench/run.sh --quick    a few seconds; shows that it works, measures little
#
# Needs a C compiler and nothing else.  CC and CFLAGS are respected; arguments go to every bench.
set -eu
cd "$(dirname "$0")/.."

: "${CC:=cc}" "${CFLAGS:=-O2}"
out=build/bench
commit=$(git rev-parse --short HEAD 2>/dev/null) || commit=unknown
mkdir -p "$out"

build() { # build NAME: all of bench/NAME/ and bench/support/ -> $out/NAME
    # CC and CFLAGS may hold several words.
    # shellcheck disable=SC2086
    $CC $CFLAGS -std=gnu11 -pthread -Iinclude \
        -DBENCH_COMMIT="\"$commit\"" -DBENCH_FLAGS="\"$CFLAGS\"" \
        -o "$out/$1" bench/"$1"/*.c bench/support/*.c
}

echo "building with $CC $CFLAGS" >&2
build fib
build io
build queue

"$out/fib" --json "$out/fib.json" --svg "$out/fib.svg" "$@"
"$out/io" --json "$out/io.json" --svg "$out/io.svg" "$@"
"$out/queue" --json "$out/queue.json" --svg "$out/queue.svg" "$@"

echo
echo "figures: $out/fib.json  $out/io.json  $out/queue.json"
echo "plots:   $out/fib.svg  $out/io.svg  $out/queue.svg"
