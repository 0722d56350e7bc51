#!/bin/sh
# examples/test_examples.sh - build the examples, run them, and compare what they print.
# SPDX-License-Identifier: MIT
#
#     examples/test_examples.sh BUILD_DIR
#
# CC and CFLAGS are respected.  Needs libcurl's headers for exchange_rates: without them it ends with status 77, "skipped", after
# the tests that don't.  Where CI is set, that is a failure, and so is a warning.
set -u
[ $# -eq 1 ] || { echo "usage: $0 BUILD_DIR" >&2; exit 2; }
source=$(cd "$(dirname "$0")/.." && pwd) || exit 1
mkdir -p "$1/examples" && out=$(cd "$1/examples" && pwd) || exit 1
: "${CC:=cc}" "${CFLAGS:=-O2}"
warnings="-Wall -Wextra -Wpedantic -Wconversion -Wshadow"
[ -z "${CI:-}" ] || warnings="$warnings -Werror" # only there: the next compiler may know a new warning
passed=0 failed=0
LC_ALL=C
export LC_ALL

# The server reads from a pipe whose other end we hold: when this script ends, however it ends, so does the server.
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
trap 'exit 1' HUP INT TERM

# A watchdog only: nothing here waits for time to pass.
watched=
command -v timeout >/dev/null && watched="timeout 60"

check() { # check NAME EXPECTED ACTUAL
    if [ "$2" = "$3" ]; then
        passed=$((passed + 1))
        echo "ok      $1"
    else
        failed=$((failed + 1))
        printf 'FAILED  %s\n--- expected\n%s\n--- got\n%s\n' "$1" "$2" "$3"
    fi
}

build() { # build PROGRAM SOURCE [FLAGS...]
    program=$1 file=$2
    shift 2
    # shellcheck disable=SC2086
    $CC $CFLAGS $warnings -std=gnu11 -pthread -I"$source/include" "$file" -o "$out/$program" "$@"
    check "$program builds" 0 $?
}

run() { # run PROGRAM [ARGUMENTS...]: sorted stdout in $stdout, sorted stderr in $stderr, exit status in $status
    program=$1
    shift
    $watched "$out/$program" "$@" >"$scratch/stdout" 2>"$scratch/stderr"
    status=$?
    stdout=$(sort "$scratch/stdout")
    stderr=$(sort "$scratch/stderr")
}

finish() {
    echo "$passed passed, $failed failed"
    [ "$failed" -eq 0 ] || exit 1
    exit "${1:-0}"
}

# ---- fib: the same file, on processes and on threads ----

expected='fib(30) = 832040
fib(31) = 1346269
fib(32) = 2178309
fib(33) = 3524578
fib(34) = 5702887
fib(35) = 9227465
fib(36) = 14930352
fib(37) = 24157817'

build fib "$source/examples/fib.c"
run fib
check "fib on processes" "0 $expected" "$status $stdout"

sed 's/= cf_process_pool(/= cf_thread_pool(/' "$source/examples/fib.c" >"$scratch/fib_threads.c"
check "fib differs in one line" 1 "$(diff "$source/examples/fib.c" "$scratch/fib_threads.c" | grep -c '^>')"
build fib_threads "$scratch/fib_threads.c"
run fib_threads
check "fib on threads" "0 $expected" "$status $stdout"

# ---- first_come: processes and threads in one loop ----

# One answer after the other: the pipes answer when we write to them, in the other order than they were asked.
build first_come "$source/examples/first_come.c"
mkfifo "$scratch/late" "$scratch/early" "$scratch/answers" || exit 1
cd "$scratch" || exit 1
$watched "$out/first_come" late 100000 early no-such-file >answers 2>stderr &
asked=$!
exec 7<answers
read -r first <&7
$watched sh -c 'echo "I come second" >early'
read -r second <&7
$watched sh -c 'echo "I come last" >late'
read -r third <&7
wait "$asked"
status=$?
exec 7<&-
check "each answer comes as soon as it's there" "1
100000: 9592 primes
early: I come second
late: I come last" "$status
$first
$second
$third"
check "a question that fails stops no other" "no-such-file: No such file or directory" "$(cat stderr)"

# ---- crash_proof: the tasks die, the pool doesn't ----

build crash_proof "$source/examples/crash_proof.c"
run crash_proof
check "crashes cost the pages that crashed" "0 page 5: Segmentation fault
page 6: Segmentation fault
page 11: Aborted
page 13: exit status 3
page 17: page 17 is encrypted (code 42)
19 of 24 pages decoded, 2124 words" "$status $(cat "$scratch/stdout")"
sed 's/= cf_process_pool(/= cf_thread_pool(/' "$source/examples/crash_proof.c" >"$scratch/crash_threads.c"
build crash_threads "$scratch/crash_threads.c"
{ run crash_threads; } 2>/dev/null # the shell says that it crashed
case $status in 0 | 124) ended=$status ;; *) ended=early ;; esac # by which of the bugs depends on who comes first
check "on threads one bug ends the program" "early " "$ended $(grep decoded "$scratch/stdout")"

# ---- postmortem: who crashed, by name, and where in the file ----

build postmortem "$source/examples/postmortem.c" -g
run postmortem
check "the other tasks have their results" "0 EURGBP 85.00 EURUSD 108.00" "$status $(echo "$stdout" | grep '^EUR...[ ]' | tr '\n' ' ' | sed 's/ $//')"
check "the address that was touched" 1 "$(grep -c '^EURNON: convert: .*signal 11 .* touched address 0x10$' "$scratch/stdout")"
check "the calls that led there" "use convert" "$(sed -n 's/^#[01] 0x[0-9a-f]* \([a-z]*\)[^ ]*+0x.*/\1/p' "$scratch/stdout" | tr '\n' ' ' | sed 's/ $//')"
if command -v addr2line >/dev/null; then
    place=$(sed -n "s|^#0 .* ($out/postmortem+\(0x[0-9a-f]*\))\$|\1|p" "$scratch/stdout")
    check "addr2line finds it" "use postmortem.c:$(grep -n 'r->used++' "$source/examples/postmortem.c" | cut -d: -f1)" \
        "$(addr2line -f -e "$out/postmortem" "$place" | sed 's|.*/||; s/ (.*//' | tr '\n' ' ' | sed 's/ $//')"
fi

# ---- sandbox: what isn't needed to compute is refused ----

build sandbox "$source/examples/sandbox.c"
run sandbox
check "a stranger's functions compute, and do nothing else" "0 shout: HELLO, WORLD
turn_round: dlrow ,olleh
read_a_file: Bad system call
call_home: Bad system call
start_a_process: Bad system call" "$status $(cat "$scratch/stdout")"

# ---- word_count: this tree's own texts, against wc and awk ----

cd "$source" || exit 1
texts=$(find README.md LICENSE include bench examples tests -type f \( -name '*.[ch]' -o -name '*.sh' -o -name '[A-Z]*' \) | sort)
: >"$scratch/nothing"
# shellcheck disable=SC2086
set -- $texts "$scratch/nothing"
expected=$(for text; do
    echo "$(wc -l <"$text") $(awk '{ n += NF } END { print n + 0 }' "$text") $(wc -c <"$text") $text"
done | awk '{ print $1, $2, $3, $4; l += $1; w += $2; b += $3 } END { print l, w, b, "total" }')
build word_count "$source/examples/word_count.c"
run word_count "$@"
check "$# files are counted as wc and awk count them" "0 $expected" "$status $(awk '{ print $1, $2, $3, $4 }' "$scratch/stdout")"
run word_count "$scratch/none" "$scratch/nothing"
check "a file that isn't there stops no other" "1 0 0 0 $scratch/nothing
0 0 0 total" "$status $(awk '{ print $1, $2, $3, $4 }' "$scratch/stdout")"
check "and is reported" "$scratch/none: No such file or directory" "$stderr"

# ---- pipeline: in order, and both ways to its end ----

build pipeline "$source/examples/pipeline.c"
{ cat README.md && awk 'BEGIN { for (i = 0; i < 20000; i++) print "line  " i "   of many" }'; } >"$scratch/long"
run pipeline <"$scratch/long"
check "the pipeline ends with its input" 0 "$status"
tr -s ' ' <"$scratch/long" | tr '[:lower:]' '[:upper:]' | awk '{ print NR " " $0 }' | cmp - "$scratch/stdout" >"$scratch/difference" 2>&1
check "every line is changed by every stage, in order" "" "$(cat "$scratch/difference")"
check "the pipeline ends when enough was seen" "1 Y
2 Y
3 Y" "$(yes | $watched "$out/pipeline" 3)"
run pipeline </dev/null
check "without input nothing comes out" "0 " "$status $stdout"

# ---- picture: the same on processes, on threads and in the main thread ----

build picture "$source/examples/picture.c"
for on in serial threads processes; do
    $watched "$out/picture" $on >"$scratch/$on.ppm"
    check "a picture: $on" "0 P6 960 640 255 1843215 bytes" \
        "$? $(head -n 3 "$scratch/$on.ppm" | tr '\n' ' ')$(($(wc -c <"$scratch/$on.ppm"))) bytes"
    check "the picture is the same: $on" "$(cksum <"$scratch/serial.ppm")" "$(cksum <"$scratch/$on.ppm")"
done
colours=$(tail -c +16 "$scratch/serial.ppm" | od -An -v -tu1 -w3 | sort -u | wc -l)
check "there is something to be seen" yes "$([ "$colours" -gt 1000 ] && echo yes || echo "$colours colours")"

# ---- sort: the children's halves are there when they are joined ----

build sort "$source/examples/sort.c"
for count in 0 1 17 2049 1000000; do
    run sort $count
    check "$count numbers are sorted" "0 $count numbers: sorted" \
        "$status $(sed 's/ serial [0-9.]* ms, parallel [0-9.]* ms, .* x as fast;//' "$scratch/stdout")"
done

# ---- exchange_rates: real HTTP, to a server on loopback ----

if ! curl_flags=$(pkg-config --cflags --libs libcurl 2>/dev/null); then
    if [ -n "${CI:-}" ]; then
        check "libcurl is installed (pkg-config libcurl)" yes no
        finish
    fi
    echo "skipped: exchange_rates needs libcurl's headers, found by pkg-config (Debian: libcurl4-openssl-dev pkg-config)"
    finish 77
fi
# shellcheck disable=SC2086
build exchange_rates "$source/examples/exchange_rates.c" $curl_flags
build rates_server "$source/examples/support/rates_server.c"
[ "$failed" -eq 0 ] || finish

start_server() { # start_server [OPTIONS...]: sets $server and EXCHANGE_RATES_URL, and holds the server's stdin as 8
    rm -f "$scratch/in" "$scratch/out"
    mkfifo "$scratch/in" "$scratch/out" || exit 1
    "$out/rates_server" "$@" <"$scratch/in" >"$scratch/out" &
    server=$!
    exec 8>"$scratch/in" 9<"$scratch/out"
    read -r port <&9 # it listens as soon as this line is there
    EXCHANGE_RATES_URL=http://127.0.0.1:$port
    export EXCHANGE_RATES_URL
}
reap_server() { # waits for its end: exit status in $status, its last line in $served
    read -r served <&9
    wait "$server"
    status=$?
    exec 8>&- 9<&-
}
# A proxy in the environment is no way to loopback.
unset http_proxy all_proxy ALL_PROXY

start_server --delay-ms 1000
run exchange_rates EURUSD EURGBP EURJPY EURCHF GBPUSD USDJPY
check "every pair has its rate" "0 EURCHF 0.9766
EURGBP 0.8553
EURJPY 163.4500
EURUSD 1.0841
GBPUSD 1.2675
USDJPY 150.7700" "$status $stdout"
check "and nothing else is said" "" "$stderr"
exec 8>&- # its stdin is closed
reap_server
check "the server ends with its stdin" 0 "$status"
case $served in
"served 6 requests, at most "[2-6]" at once") together=yes ;;
*) together=$served ;;
esac
check "requests were under way together" yes "$together"

start_server
run exchange_rates EURUSD EURNON "no pair/at all?" GBPUSD
check "good pairs are printed beside unknown ones" "1 EURUSD 1.0841
GBPUSD 1.2675" "$status $stdout"
check "unknown pairs are reported" "EURNON: no such pair
no pair/at all?: no such pair" "$stderr"

# Twenty at a time, three times the queue's room: the pool's threads wait for the reader.
# shellcheck disable=SC2046
run exchange_rates $(i=0; while [ $i -lt 50 ]; do echo EURSEK; i=$((i + 1)); done)
check "fifty requests" "0 50 EURSEK 11.5250" "$status $(echo "$stdout" | uniq -c | sed 's/^ *//')"

kill -TERM "$server"
reap_server
check "the server ends on SIGTERM" "0 served 54 requests" "$status ${served%%,*}"

run exchange_rates EURUSD EURGBP
check "without a server each pair fails" "1 EURGBP EURUSD" \
    "$status $(echo "$stderr" | sed 's/:.*//' | tr '\n' ' ' | sed 's/ $//')"
check "and no rate is printed" "" "$stdout"

run exchange_rates
check "without arguments: usage" "2 usage" "$status ${stderr%%:*}"

finish
