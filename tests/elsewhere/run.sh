#!/bin/sh
# tests/elsewhere/run.sh - the unit tests and the smoke program with another C library, on another machine, under valgrind.
#
#   musl       linked statically by musl-gcc
#   aarch64    linked statically, under qemu-user: what the compiler makes of it, and the layout; the emulator reorders nothing
#   valgrind   memcheck, without suppressions; no process pools, for valgrind 3.19 has no pidfd_open (they say CF_ERR_UNSUPPORTED)
#
# With the small cmocka.h of this folder.  What is missing is skipped, which fails where CI=true.
# As many tests at a time as there are CPUs: this script calls itself for each, with --test TEST FOLDER and what place() says.
set -u
cd "$(dirname "$0")/../.." || exit 1
tests=$(cd tests/unit && ls test_*.c | sed 's/\.c$//')

# Emulators' own shortcomings.  qemu-user 7.2 says yes to MADV_WIPEONFORK and does nothing, so a child takes itself for its
# parent: all that know a forked child by it.  And its fork copies its own locks, held by other threads or not: a process pool
# works as a rule (the smoke program has one, and test_wait), but now and then it hangs: test_executor is without them there.
# It drops the value of a signal whose si_code it doesn't know, by which a thread that crashes asks for its worker's record.
qemu_cannot=" test_os_memory_across_fork test_executor_forked_child test_pool_leaves_nothing test_pool_forked_child \
test_pool_forked_while_locked test_crash_in_thread \
test_crash_in_two_threads "
valgrind_cannot=" test_wait_mixes_executors test_wait_without_collector test_child_shapes_elsewhere "

compile() { # program, source, compiler and flags...
    program=$1 source=$2; shift 2
    "$@" -std=gnu11 -O1 -g -Wno-psabi -Itests/elsewhere -Itests/support -Iinclude -pthread "$source" -o "$program"
}

one() { # test, folder, and as place(); prints what became of it in one piece
    test=$1 work=$2 name=$3 options=$4 smoke=$5; shift 5
    case $name:$test in
    # Their forked children end with what the parent's threads had: lost, rightly.
    valgrind:test_executor|valgrind:test_thread_pool|valgrind:test_wait) options="$options --leak-check=no" ;;
    esac
    if [ "$test" = smoke ]; then source=tests/smoke/smoke.c arguments=$smoke; else source=tests/unit/$test.c arguments=; fi
    # shellcheck disable=SC2086
    if compile "$work/$test" "$source" "$@" >"$work/$test.log" 2>&1 &&
        timeout 180 $options "$work/$test" $arguments >>"$work/$test.log" 2>&1; then
        printf '%-9s %-20s %s\n' "$name" "$test" "$(grep ' inside$\|^smoke: ' "$work/$test.log" | tail -n 1)"
    else
        printf '%-9s %-20s FAILED, status %s\n' "$name" "$test" $?
        cp "$work/$test.log" "$work/$name-$test.failed"
    fi
}
if [ "${1:-}" = --test ]; then
    shift
    one "$@"
    exit
fi

work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
passed=0 failed=0 skipped=0

place() { # name, tool that must be there, what runs a program (or nothing), arguments of smoke, compiler and flags...
    name=$1 tool=$2 runner=$3 smoke=$4; shift 4
    for needed in $tool "$1"; do
        command -v "$needed" >/dev/null 2>&1 && continue
        printf '%-9s skipped: %s is not installed\n' "$name" "$needed"
        skipped=$((skipped + 1))
        return
    done
    for test in smoke $tests; do
        case $name:$test in
        valgrind:test_process_*|valgrind:test_map|aarch64:test_map) continue ;;
        # There a limit of memory would be the emulator's, and a worker takes it a second to fork.
        aarch64:test_process_pool|aarch64:test_process_limits|aarch64:test_process_recycling|aarch64:test_process_nested) continue ;;
        esac
        echo "$test"
    done >"$work/tests"
    xargs -I '{}' -P "$(nproc 2>/dev/null || echo 1)" \
        sh tests/elsewhere/run.sh --test '{}' "$work" "$name" "$runner" "$smoke" "$@" <"$work/tests" | tee "$work/table"
    good=$(grep "^$name " "$work/table" | grep -vc ' FAILED,')
    passed=$((passed + good)) failed=$((failed + $(grep -c '' "$work/tests") - good))
}

CF_TEST_WATCHDOG=120; export CF_TEST_WATCHDOG
place musl '' '' '' musl-gcc -static
if [ "$(uname -m)" != aarch64 ]; then
    MINI_SKIP=$qemu_cannot CF_TEST_NO_PROCESSES=1; export MINI_SKIP CF_TEST_NO_PROCESSES
    place aarch64 qemu-aarch64 qemu-aarch64 '' aarch64-linux-gnu-gcc -static
    unset CF_TEST_NO_PROCESSES
fi
MINI_SKIP=$valgrind_cannot; export MINI_SKIP
place valgrind valgrind 'valgrind -q --error-exitcode=9 --leak-check=full --child-silent-after-fork=yes' --no-processes cc

if [ "${CI:-}" = true ] && [ $skipped -gt 0 ]; then
    echo "CI installs them all: a skip is a failure"
    failed=$((failed + skipped)) skipped=0
fi
# At the end, for who sees only that.
for log in "$work"/*.failed; do
    [ -f "$log" ] || continue
    printf '\n== %s\n' "${log##*/}"
    tail -n 40 "$log"
done
echo
if [ $skipped -gt 0 ]; then
    echo "$passed passed, $failed failed, $skipped skipped"
else
    echo "$passed passed, $failed failed"
fi
[ $failed -eq 0 ]
