#!/bin/sh
# tests/model/run.sh [build-dir] [--mutants | --all] - builds and runs the scheduler's own tests and the models of the
# library; with --mutants the mutants instead (mutants.sh), with --all both.
#
# The models are compiled with -fsanitize=thread and linked without it: the model itself takes the reports.
# One of them by hand, after that:  BUILD-DIR/model_queue_instrumented --only NAME --preemptions 3 --seconds 600
set -u
here=$(cd "$(dirname "$0")" && pwd)
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
cc=${CC:-cc}
flags="-std=gnu11 -O2 -g -Wall -Wextra -I $here/../../include"
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

# run NAME COMMAND...
run() {
    log="$build/$1.log"
    echo "== $1"
    shift
    "$@" >"$log" 2>&1
    cat "$log"
    count "$log"
}

# program NAME SOURCE FLAG...: compiles SOURCE and runs it.
program() {
    name=$1 source=$2
    shift 2
    if $cc $flags "$@" -c "$here/$source" -o "$build/$name.o" && $cc -no-pie "$build/$name.o" -o "$build/$name" -lpthread; then
        run "$name" "$build/$name"
    else
        echo "FAIL $name wasn't built"
        failed=$((failed + 1))
    fi
}

if [ $what != mutants ]; then
    program test_litmus test_litmus.c
    program test_model test_model.c
    for source in test_model.c $(cd "$here" && ls model_*.c); do
        program "${source%.c}_instrumented" "$source" -fsanitize=thread
    done
fi
if [ $what != models ]; then
    run mutants sh "$here/mutants.sh" "$build"
fi
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
