#!/bin/sh
# bench/run.sh - build the benches, run them, and say where the figures are.
# SPDX-License-Identifier: MIT
#
#     bench/run.sh                  all, some minutes on two CPUs
#     bench/run.sh --quick          seconds; shows that they work, measures little
#     bench/run.sh tasks io         only these; options for them may follow
#
# Needs a C compiler and nothing else; contenders that aren't there (Python's pools, OpenMP) are left out, and it says
# so.  CC and CFLAGS are respected; options go to every bench.
set -eu
cd "$(dirname "$0")/.."

: "${CC:=cc}" "${CFLAGS:=-O2}"
out=build/bench
commit=$(git rev-parse --short HEAD 2>/dev/null) || commit=unknown
mkdir -p "$out/obj"

names=
while [ $# -gt 0 ] && [ -f "bench/$1/main.c" ]; do
    names="$names $1"
    shift
done
: "${names:=fib io pools tasks queue process forkjoin map}"

# Only the file of its contender is compiled with OpenMP, and only where that links.
openmp=
echo 'int main(void) { return 0; }' >"$out/obj/probe.c"
# CC and CFLAGS may hold several words.
# shellcheck disable=SC2086
if $CC $CFLAGS -fopenmp -o "$out/obj/probe" "$out/obj/probe.c" 2>/dev/null; then
    openmp=-fopenmp
fi

compile() { # compile FOLDER: the objects of bench/FOLDER/*.c are in $objects
    objects=
    for source in bench/"$1"/*.c; do
        object=$out/obj/$1-$(basename "$source" .c).o
        extra=
        case $source in */openmp.c) extra=$openmp ;; esac
        # shellcheck disable=SC2086
        $CC $CFLAGS -std=gnu11 -pthread -Iinclude -DBENCH_COMMIT="\"$commit\"" -DBENCH_FLAGS="\"$CFLAGS\"" $extra \
            -c -o "$object" "$source"
        objects="$objects $object"
    done
}

echo "building with $CC $CFLAGS" >&2
compile support
support=$objects
for name in $names; do
    compile "$name"
    libraries=
    case $objects in *-openmp.o*) libraries=$openmp ;; esac
    # shellcheck disable=SC2086
    $CC $CFLAGS -pthread -o "$out/$name" $objects $support $libraries
done
figures=
run() { # run NAME FIGURES [OPTION...]: build/bench/NAME, its figures in build/bench/FIGURES.json
    program=$1 base=$out/$2
    shift 2
    svg=$base.svg
    case $program in process | forkjoin) svg= ;; esac # ratios of hundreds side by side make no picture
    "$out/$program" --json "$base.json" ${svg:+--svg "$svg"} "$@"
    figures="$figures
figures: $base.json${svg:+   plot: $svg}"
}
for name in $names; do
    run "$name" "$name" "$@"
    case $name in map) run map map-medium --medium "$@" ;; esac
done
printf '%s\n' "$figures"
