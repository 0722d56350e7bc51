#!/bin/sh
# tests/model/run.sh [build-dir] [--mutants | --all] - builds and runs the scheduler's own tests and the models of the
# library; with --mutants the mutants instead (mutants.sh), with --all both.
#
# The models are compiled with -fsanitize=thread and linked without it: the model itself takes the reports.
# As many at a time as there are CPUs: this script calls itself for each, with --program NAME SOURCE FLAG...; what they print
# follows when all have ended.
# One of them by hand, after that:  BUILD-DIR/model_queue_instrumented --only NAME --preemptions 3 --seconds 600
set -u
here=$(cd "$(dirname "$0")" && pwd)
cc=${CC:-cc}
flags="-std=gnu11 -O2 -g -Wall -Wextra -I $here/../../include"

# program BUILD NAME SOURCE FLAG...: compiles SOURCE and runs it; what both say is in BUILD/NAME.log.
program() {
    build=$1 name=$2 source=$3
    shift 3
    echo "-- $name"
    # shellcheck disable=SC2086
    {
        $cc $flags "$@" -c "$here/$source" -o "$build/$name.o" && $cc -no-pie "$build/$name.o" -o "$build/$name" -lpthread &&
            "$build/$name"
    } >"$build/$name.log" 2>&1
}
if [ "${2:-}" = --program ]; then
    build=$1
    shift 2
    program "$build" "$@"
    exit 0
fi

build="$here/../../build/model" what=models
for argument; do
    case $argument in
    --mutants | --all) what=${argument#--} ;;
    -*)
        sed -n '2,3s/^# //p' "$0" >&2
        exit 2
        ;;
    *) build=$argument ;;
    esac
done
passed=0 failed=0
mkdir -p "$build" || exit 2

# count LOG: adds the log's last line, "N passed, N failed", to the sums.
count() {
    last=$(tail -n 1 "$1")
    case $last in
    *" passed, "*" failed")
        passed=$((passed + ${last%% *}))
        last=${last#*, }
        failed=$((failed + ${last%% *}))
        ;;
    *) failed=$((failed + 1)) ;; # it crashed, or wasn't built
    esac
}

if [ $what != mutants ]; then
    programs="$build/programs"
    {
        echo test_litmus test_litmus.c
        echo test_model test_model.c
        for source in test_model.c $(cd "$here" && ls model_*.c); do
            echo "${source%.c}_instrumented" "$source" -fsanitize=thread
        done
    } >"$programs"
    rm -f "$build"/*.log
    xargs -L 1 -P "$(nproc 2>/dev/null || echo 1)" sh "$here/run.sh" "$build" --program <"$programs"
    for name in $(sed 's/ .*//' "$programs"); do
        echo "== $name"
        cat "$build/$name.log"
        count "$build/$name.log"
    done
fi
if [ $what != models ]; then
    echo "== mutants"
    sh "$here/mutants.sh" "$build" | tee "$build/mutants.log"
    count "$build/mutants.log"
fi
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
