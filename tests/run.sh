#!/bin/sh
# tests/run.sh - install what is missing, build and test.
#
#   sh tests/run.sh                  quick: unit tests, headers in C and C++, lints, model; some minutes from nothing
#   sh tests/run.sh --all            all: also clang, sanitizers, faults, stress, examples, delivery, musl, aarch64, valgrind, mutants, README
#   sh tests/run.sh --soak MINUTES   the stress and fault programs, for that long in all
#   sh tests/run.sh --help           this text
#
# CI runs the first two, then --soak 1 and bench/run.sh.
# Everything goes through meson, which ends a test that hangs, and into build/, which may be deleted at any time.
# A single test: meson test -C build/tests NAME --verbose; of its parts: CF_TEST_ONLY=text in the environment.
# Where CI=true, a skip for want of something that apt could install is a failure.
set -u
cd "$(dirname "$0")/.." || exit 1

usage() { sed -n '2,/^set -u/{/^set -u/d;s/^# \{0,1\}//;p}' tests/run.sh; }
say() { printf '%s\n' "$*"; }
die() { say "tests/run.sh: $*" >&2; exit 1; }

tier=quick minutes=0
case "$#:${1:-}" in
0:) ;;
1:--all) tier=all ;;
2:--soak)
    tier=soak minutes=$2
    case $minutes in *[!0-9]*|''|0) die "--soak wants a whole number of minutes" ;; esac ;;
1:--help) usage; exit 0 ;;
*) usage >&2; exit 2 ;;
esac

work=$(mktemp -d) || exit 1
runner='' # what soak() has running
trap 'rm -rf "$work"; [ -z "$runner" ] || kill "$runner" 2>/dev/null' EXIT
trap 'exit 130' INT
trap 'exit 143' HUP TERM
wrapper='' jobs='' bad=0 ok=0 failed=0 skipped=0
: >"$work/table"

# ---- what must be installed ----

has() { command -v "$1" >/dev/null 2>&1; }

newest() { # of gcc or clang: the highest version that is a package
    has apt-cache || return
    apt-cache search --names-only "^$1-[0-9]+\$" 2>/dev/null | sed -n "s/^$1-\([0-9]*\) .*/\1/p" | sort -n | tail -n 1
}

lacking() { # prints the packages that are missing: needed, nothing works without; or wanted, by some tests
    if [ "$1" = needed ]; then
        if ! has cc || ! has gcc; then say gcc libc6-dev; fi
        has g++ || say g++
        has meson || say meson
        has ninja || say ninja-build
        if ! has pkg-config || ! pkg-config --exists cmocka; then say pkg-config libcmocka-dev; fi
    elif [ $tier = all ] || [ "${CI:-}" = true ]; then
        if ! has clang || ! has clang++; then say clang; fi
        # The newest of both that this system offers, beside what it calls gcc and clang.
        n=$(newest gcc)
        [ -z "$n" ] || has "g++-$n" || say "gcc-$n" "g++-$n"
        n=$(newest clang)
        [ -z "$n" ] || has "clang++-$n" || say "clang-$n"
        has clang-tidy || say clang-tidy
        has cmake || say cmake
        pkg-config --exists libcurl || say libcurl4-openssl-dev # examples/exchange_rates.c
        has strace || say strace
        has valgrind || say valgrind
        has musl-gcc || say musl-tools
        if [ "$(uname -m)" != aarch64 ]; then
            has aarch64-linux-gnu-gcc || say gcc-aarch64-linux-gnu libc6-dev-arm64-cross
            has qemu-aarch64 || say qemu-user
        fi
        # Each version breaks lines in its own way; .clang-format is for this one.
        has clang-format-14 || clang-format --version 2>/dev/null | grep -q 'version 14\.' || say clang-format-14
    fi
}

install() {
    as_root=
    [ "$(id -u)" = 0 ] || as_root=sudo
    # The lock belongs to whoever else installs; it is waited for.
    apt() { $as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 "$@" >"$work/apt" 2>&1; }
    # A machine that never asked knows no package, so not what is newest either.
    if [ $tier = all ] && has apt-get && has ${as_root:-sh} && [ -z "$(newest gcc)" ]; then apt update || tail -n 5 "$work/apt"; fi
    needed=$(lacking needed | tr '\n' ' ') wanted=$(lacking wanted | tr '\n' ' ')
    [ -n "$needed$wanted" ] || return 0
    say "installing: $needed$wanted"
    has apt-get || die "no apt-get here; please install: $needed$wanted"
    has ${as_root:-sh} || die "neither root nor sudo here; please install: $needed$wanted"
    apt update || tail -n 5 "$work/apt"
    if [ -n "$needed" ]; then
        # shellcheck disable=SC2086 # words
        apt install -y --no-install-recommends $needed || tail -n 15 "$work/apt"
        needed=$(lacking needed | tr '\n' ' ')
        [ -z "$needed" ] || die "couldn't be installed: $needed"
    fi
    # One by one, so that a name that this system doesn't have costs only itself.
    for package in $wanted; do
        apt install -y --no-install-recommends "$package" || tail -n 5 "$work/apt"
    done
    wanted=$(lacking wanted | tr '\n' ' ')
    [ -n "$wanted" ] || return 0
    [ "${CI:-}" != true ] || die "couldn't be installed, and CI skips nothing: $wanted"
    say "couldn't be installed, so some tests are skipped: $wanted"
}

# ---- stages ----

note() { # name, ok, failed, skipped: a line of the table at the end, with the seconds since the one before
    now=$(date +%s)
    printf '%-34s %6s %6s %7s %6s\n' "$@" $((now - noted)) >>"$work/table"
    noted=$now
    ok=$((ok + $2)) failed=$((failed + $3)) skipped=$((skipped + $4))
    [ "$3" -eq 0 ] || bad=1
}

build() { # directory, which programs (how their names begin; all: everything), meson's options...: all warnings as errors
    dir=build/$1 wanted=$2; shift 2
    say "== $dir"
    # Configuring again finds new test files.
    if [ ! -f "$dir/build.ninja" ] || ! meson setup --reconfigure "$dir" --werror "$@" >"$work/log" 2>&1; then
        rm -rf "$dir"
        if ! meson setup "$dir" --werror "$@" >"$work/log" 2>&1; then
            cat "$work/log"
            note "$dir: configure" 0 1 0
            return 1
        fi
    fi
    targets=
    [ "$wanted" = all ] || targets=$(meson introspect "$dir" --targets | grep -oE "\"name\": \"($wanted)[^\"]*" | sed 's/.*"//')
    # shellcheck disable=SC2086 # words
    if ! meson compile -C "$dir" --ninja-args=-k,0 $targets >"$work/log" 2>&1; then # -k 0: all errors at once
        grep -vE '^(INFO|\[[0-9]+/[0-9]+\] (Compiling|Linking))' "$work/log" | head -n 150
        note "$dir: build" 0 1 0
        return 1
    fi
}

reasons() { # meson's log of a run, a line of JSON each test: what those said that failed
    # Without what went well, and what AddressSanitizer says of each process that has a stack of its own making: thousands of lines.
    grep -hvE '"result": "(OK|EXPECTEDFAIL|SKIP)"' "$@" 2>/dev/null |
        sed 's/"env": {.*}, "command": /"command": /; s/\\n/\n/g; s/\\"/"/g' |
        grep -vE '__asan_handle_no_return|^False positive error reports|sanitizers/issues/189|^ok |^\[       OK \]' | tail -n 80
}

tests() { # directory, time limits' factor, suites...: meson's closing lines follow
    dir=build/$1 factor=$2; shift 2
    log=$(printf %s "$*" | tr ' ' -)
    suites=
    for suite in "$@"; do suites="$suites --suite $suite"; done
    rm -f "$dir/meson-logs/$log"*.json
    # shellcheck disable=SC2086 # words
    meson test -C "$dir" --no-rebuild --logbase "$log" -t "$factor" ${wrapper:+--wrapper="$wrapper"} ${jobs:+--num-processes "$jobs"} $suites
    status=$?
    # One line a test, in a file to whose name meson adds the wrapper; what is neither ok nor skipped has failed, one that hung included.
    counts=$(awk '/"result": "(OK|EXPECTEDFAIL)"/ { ok++; next } /"result": "SKIP"/ { skip++; next } /"result":/ { bad++ }
        END { print ok + 0, bad + 0, skip + 0 }' "$dir/meson-logs/$log"*.json 2>/dev/null)
    # Again at the very end, where nobody has to look for it.
    reasons "$dir/meson-logs/$log"*.json | tee -a "$work/reasons"
    # shellcheck disable=SC2086
    set -- "$dir: $*" ${counts:-0 0 0}
    [ $status -ne 0 ] && [ "$3" -eq 0 ] && set -- "$1" "$2" 1 "$4"
    [ "$4" -gt 0 ] && [ "${CI:-}" = true ] && set -- "$1" "$2" $(($3 + $4)) 0
    [ "$2$3$4" = 000 ] && set -- "$1 (none yet)" 0 0 0
    note "$@"
}

# ---- tiers ----

quick() {
    CF_MODEL_SECONDS=0.5 # of each scenario; --all goes on
    export CF_MODEL_SECONDS
    if build tests all; then
        tests tests 1 unit compile lint model
    else
        tests tests 1 compile lint # they need no program of ours, and may tell more
    fi
}

# Reports, and not the sanitizers' own handlers, or a worker's crash would look like an exit: handle_*=0.
# Its allocator says NULL, as any other, when there is no memory: allocator_may_return_null.
plain_signals=allocator_may_return_null=1:handle_segv=0:handle_sigbus=0:handle_sigfpe=0:handle_sigill=0:handle_abort=0

all() {
    CF_MODEL_SECONDS=8 # most scenarios end sooner, by themselves
    export CF_MODEL_SECONDS
    if build tests all; then
        tests tests 1 unit model
        jobs=$((2 * $(nproc))) # they mostly wait
        tests tests 1 fault stress
        jobs=
        tests tests 1 strace
        tests tests 1 examples
        tests tests 1 mutants
        tests tests 1 readme
    fi
    tests tests 1 compile-full lint
    tests tests 1 delivery
    tests tests 1 elsewhere
    if ! has clang; then
        note "build/clang: not installed" 0 0 1
    elif build clang all --native-file tests/support/clang.ini -Dbuildtype=release; then
        # Optimized to the utmost, where reordering by the compiler shows.
        tests clang 1 unit
    fi
    if build condvar 'smoke|unit' -Dc_args=-DCF_USE_CONDVAR; then
        tests condvar 1 unit
    fi
    if build asan 'smoke|unit|fault' -Db_sanitize=address,undefined; then
        ASAN_OPTIONS=$plain_signals:detect_stack_use_after_return=1 UBSAN_OPTIONS=print_stacktrace=1 CF_TEST_WATCHDOG=180
        export ASAN_OPTIONS UBSAN_OPTIONS CF_TEST_WATCHDOG
        jobs=$((2 * $(nproc)))
        tests asan 3 fault # by themselves: all can run beside the longest, but no unit test that runs alone
        jobs=
        tests asan 3 unit
    fi
    if build tsan 'smoke|unit|stress' -Db_sanitize=thread; then
        # The template process is forked while threads exist, which ThreadSanitizer refuses unless told.
        TSAN_OPTIONS=$plain_signals:die_after_fork=0:halt_on_error=1 CF_TEST_WATCHDOG=300
        export TSAN_OPTIONS CF_TEST_WATCHDOG
        # Nor does it like where newer kernels put things.
        wrapper="setarch $(uname -m) -R"
        $wrapper true 2>/dev/null || wrapper=
        tests tsan 5 unit stress
    fi
}

soak() {
    build soak 'stress|fault' || return
    programs=$(find build/soak/tests -maxdepth 1 -type f -perm -u+x \( -name 'stress-*' -o -name 'fault-*' \) | LC_ALL=C sort)
    count=$(printf '%s\n' "$programs" | grep -c .)
    [ "$count" -gt 0 ] || { note "soak (no program yet)" 0 0 0; return; }
    seconds=$((minutes * 60 / count))
    [ $seconds -gt 0 ] || seconds=1
    say "$count programs, $seconds s each"
    CF_TEST_WATCHDOG=$((seconds + 120)); export CF_TEST_WATCHDOG
    for program in $programs; do
        name=${program##*/}
        say "-- $name --seconds $seconds"
        # In the background, and ended by the trap: timeout has a process group of its own, which ^C doesn't reach.
        timeout -k 10 $((seconds + 600)) "$program" --seconds "$seconds" >"$work/log" 2>&1 &
        runner=$!
        wait $runner
        status=$?
        runner=''
        if [ $status -eq 0 ]; then
            tail -n 5 "$work/log"
            note "$name" 1 0 0
        else
            say "$name: status $status (124: it hung and was killed)"
            tail -n 40 "$work/log"
            note "$name" 0 1 0
        fi
    done
}

start=$(date +%s) noted=$start
install
case $tier in
quick) quick ;;
all) all ;;
soak) soak ;;
esac
say
[ ! -s "$work/reasons" ] || cat "$work/reasons"
printf '%-34s %6s %6s %7s %6s\n' "$tier, $(($(date +%s) - start)) s" ok failed skipped s
cat "$work/table"
say
if [ $skipped -gt 0 ]; then
    say "$ok passed, $failed failed, $skipped skipped"
else
    say "$ok passed, $failed failed"
fi
exit $bad
