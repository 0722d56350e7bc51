#!/bin/sh
# tests/fault/strace.sh [--seconds N] - system calls fail, are interrupted or are late, from outside: strace does it.
#
# tests/fault/strace/driver.c lives one pool's life, with a task that crashes, callbacks, a map and a shutdown.  Of one call to
# the system the first fails, in the next run the second, and so on, then all of them; strace counts for each thread and
# process by itself, so it is the n-th of the parent, of the template and of each worker.  Each time the driver must work, or
# say which error it met with; and end, with all its processes, for strace waits for them.
# Unlike tests/fault/test_process_calls.c this reaches the calls of the C library, too, and needs no hooks.
#
# What isn't failed, since it can't: calls that are refused for wrong arguments only (rt_sigaction, clock_gettime ...), wakes
# by `futex`, waits for children by WNOHANG.  Waits that are real are interrupted by a real signal.
#   --seconds N   about how long; without it 60.  A slow machine leaves out the later calls.
set -u
cd "$(dirname "$0")/../.." || exit 1
seconds=60
case "$#:${1:-}" in
0:) ;;
2:--seconds) seconds=$2 ;;
*) sed -n '2,/^set -u/{/^set -u/d;s/^# \{0,1\}//;p}' "$0" >&2; exit 2 ;;
esac
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
# shellcheck disable=SC3045 # each shell that is a sh on Linux has it
ulimit -c 0

skip() { # why
    if [ "${CI:-}" = true ]; then echo "CI installs what is needed: $1"; exit 1; fi
    echo "skipped: $1"
    exit 77
}
command -v strace >/dev/null 2>&1 || skip "strace is not installed"

# Static: before main() hardly anything is called that could fail.
flags="-std=gnu11 -O1 -g -Iinclude -pthread tests/fault/strace/driver.c"
# shellcheck disable=SC2086
cc -static $flags -o "$work/driver" 2>"$work/log" || cc $flags -o "$work/driver" 2>"$work/log" || { cat "$work/log"; exit 1; }

# name, of pools (p: processes, t: threads), what is done to it.  "all": also to each call from the first on.
plan() { cat <<'END'
mmap pt error=ENOMEM all
munmap pt error=ENOMEM all
mprotect pt error=ENOMEM all
madvise pt error=EINVAL all
clone p error=EAGAIN all
clone p error=EPERM all
clone3 pt error=EAGAIN all
clone3 pt error=ENOSYS all
clone3 t error=EPERM all
pipe2 p error=EMFILE all
pipe2 p error=ENFILE all
pidfd_open p error=EMFILE all
pidfd_open p error=ENOSYS all
pidfd_open p error=ENOMEM all
pidfd_send_signal p error=EPERM all
pidfd_send_signal p error=ENOSYS all
poll p error=EINTR
poll p error=ENOMEM all
ppoll p error=EINTR all
ppoll p error=ENOMEM all
futex_waitv p error=ENOSYS all
futex_waitv p error=EPERM all
futex_waitv p error=EINTR all
futex_waitv p error=EAGAIN all
futex_waitv p error=ENOMEM all
openat pt error=EMFILE all
openat pt error=ENOENT all
openat pt error=EACCES all
read pt error=EINTR all
read pt error=EIO all
fcntl p error=ENOMEM all
setpgid p error=EPERM all
set_robust_list p error=ENOSYS all
dup2 p error=EBUSY all
prctl pt error=EINVAL all
prlimit64 p error=EPERM all
sched_getaffinity pt error=EINVAL all
getcpu pt error=ENOSYS all
futex pt signal=SIGCHLD all
futex_waitv p signal=SIGCHLD all
poll p signal=SIGCHLD
ppoll p signal=SIGCHLD
wait4 p signal=SIGCHLD
clone p signal=SIGCHLD
clone3 pt signal=SIGCHLD
openat p signal=SIGCHLD all
read p signal=SIGCHLD all
futex pt delay_enter=3000 all
futex pt delay_exit=3000 all
futex_waitv p delay_enter=3000 all
futex_waitv p delay_exit=3000 all
clone p delay_exit=5000 all
clone3 pt delay_exit=5000 all
wait4 p delay_enter=5000 all
wait4 p delay_exit=5000 all
ppoll p delay_enter=5000 all
getcpu pt delay_exit=3000 all
setpgid p delay_enter=5000 all
set_robust_list p delay_enter=5000 all
exit_group p delay_enter=20000 all
exit t delay_enter=20000 all
madvise pt delay_exit=5000 all
pidfd_open p delay_enter=20000 all
END
}

# What an undisturbed life calls.
for pool in processes threads; do
    if ! timeout 60 strace -f -qq -o "$work/$pool" "$work/driver" $pool >"$work/out" 2>"$work/err" || [ "$(cat "$work/out")" != worked ]; then
        grep -q 'ptrace\|PTRACE' "$work/err" && skip "strace may not trace here: $(head -n 1 "$work/err")"
        cat "$work/out" "$work/err"
        echo "the driver fails without any fault"
        exit 1
    fi
done

# How often main()'s process has made call $2 of pool $1's life before main(), which begins with a sigaction for SIGCHLD.
before_main() {
    awk -v call="$2" 'NR == 1 { first = $1 } $1 == first && /rt_sigaction\(SIGCHLD/ { exit }
        $1 == first && index($2, call "(") == 1 { n++ } END { print n + 0 }' "$work/$1"
}

# One life, of pool $2, where what $4 says is done to call $3, number $5 (strace's "when").  Leaves in $1/result: worked,
# error or failed; and how many calls were met.
live() {
    mkdir -p "$1"
    : >"$1/log"
    # With it only the calls in question stop; but then strace forgets about signals.
    case $4 in signal=*) bpf= ;; *) bpf=--seccomp-bpf ;; esac
    # shellcheck disable=SC2086
    timeout -k 5 90 strace $bpf -f -qq -e "trace=$3" -e "inject=$3:$4:when=$5" -o "$1/log" \
        "$work/driver" "$2" >"$1/out" 2>"$1/err" </dev/null
    status=$?
    case $3:$4 in
    *:signal=*) hits=$(grep -c SI_KERNEL "$1/log") ;;         # not sent by a process
    exit*) hits=$(grep -c "^[0-9]* *$3(" "$1/log") ;;        # it doesn't return, to be marked
    *) hits=$(grep -c '(INJECTED)\|(DELAYED)' "$1/log") ;;
    esac
    case $status:$(cat "$1/out") in
    0:worked) result=worked ;;
    0:error:*) result=error ;;
    *)
        result=failed
        {
            echo "FAILED: $2, $3, $4, when=$5: status $status (124: it hung, or left a process)"
            cat "$1/out" "$1/err"
            tail -n 15 "$1/log"
        } >"$1/report" ;;
    esac
    echo "$result $hits" >"$1/result"
}

plan | while read -r call pools what all; do
    case $pools in *p*) echo "processes $call $what $all" ;; esac
    case $pools in *t*) echo "threads $call $what $all" ;; esac
done >"$work/plan"
end=$(($(date +%s) + seconds))

# First all of them, then the first of each, the second of each ...  Some at a time, for a life is mostly waiting.
: >"$work/results"
pass=0
while [ -s "$work/plan" ] && ! grep -q failed "$work/results" && [ "$(date +%s)" -lt $end ]; do
    : >"$work/next"
    started=0
    while read -r pool call what all; do
        if [ "$(date +%s)" -ge $end ] || { [ $pass -eq 0 ] && [ -z "$all" ]; }; then
            echo "$pool $call $what $all" >>"$work/next"
            continue
        fi
        first=$(($(before_main "$pool" "$call") + 1))
        when=$((first + pass - 1))
        [ $pass -ne 0 ] || when=$first+
        started=$((started + 1))
        echo "$pool $call $what $all" >"$work/line$started"
        live "$work/life$started" "$pool" "$call" "$what" "$when" &
        [ $((started % 6)) -ne 0 ] || wait
    done <"$work/plan"
    wait
    while [ $started -gt 0 ]; do
        read -r result hits <"$work/life$started/result"
        echo "$result $hits" >>"$work/results"
        [ "$result" != failed ] || cat "$work/life$started/report"
        # Where there was no such call there is none after it.
        if [ "$hits" -gt 0 ]; then
            cat "$work/line$started" >>"$work/next"
        elif [ $pass -eq 0 ]; then
            echo "never called: $(cat "$work/line$started")"
        fi
        started=$((started - 1))
    done
    mv "$work/next" "$work/plan"
    pass=$((pass + 1))
done

echo
[ ! -s "$work/plan" ] || echo "the time was up before call $pass of: $(awk '{ print $2 }' "$work/plan" | sort -u | tr '\n' ' ')"
awk '{ n[$1]++; hits += $2 } END {
    printf "%d lives, %d calls failed, interrupted or delayed: %d worked, %d said which error they met with, %d failed\n",
        NR, hits, n["worked"], n["error"], n["failed"]
    exit n["failed"] != 0 || NR == 0
}' "$work/results"
