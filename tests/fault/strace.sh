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
poll p signal=SIGCHLD all
ppoll p signal=SIGCHLD
wait4 p signal=SIGCHLD all
clone p signal=SIGCHLD all
clone3 pt signal=SIGCHLD all
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

runs=0 worked=0 refused=0 failed=0 injected=0
# One life: pool, call, what is done to it, which one (strace's "when").  False when there was no such call.
live() {
    : >"$work/log"
    timeout -k 5 30 strace --seccomp-bpf -f -qq -e signal=none -e "trace=$2" -e "inject=$2:$3:when=$4" -o "$work/log" \
        "$work/driver" "$1" >"$work/out" 2>"$work/err" </dev/null
    status=$?
    hits=$(grep -c '(INJECTED)\|(DELAYED)' "$work/log")
    # strace marks neither signals nor calls that don't return.
    case $2:$3 in *:signal=*|exit*) hits=$(grep -c "^[0-9]* *$2(" "$work/log") ;; esac
    runs=$((runs + 1)) injected=$((injected + hits))
    case $status:$(cat "$work/out") in
    0:worked) worked=$((worked + 1)) ;;
    0:error:*) refused=$((refused + 1)) ;;
    *)
        failed=$((failed + 1))
        echo "FAILED: $1, $2, $3, when=$4: status $status (124: it hung, or left a process)"
        cat "$work/out" "$work/err"
        tail -n 15 "$work/log" ;;
    esac
    [ "$hits" -gt 0 ]
}

plan | while read -r call pools what all; do
    case $pools in *p*) echo "processes $call $what $all" ;; esac
    case $pools in *t*) echo "threads $call $what $all" ;; esac
done >"$work/plan"
end=$(($(date +%s) + seconds))

# First all of them, then the first of each, the second of each ...
pass=0
while [ -s "$work/plan" ] && [ "$failed" -lt 5 ] && [ "$(date +%s)" -lt $end ]; do
    : >"$work/next"
    while read -r pool call what all; do
        [ "$(date +%s)" -lt $end ] || { echo "$pool $call $what $all" >>"$work/next"; continue; }
        first=$(($(before_main $pool "$call") + 1))
        if [ $pass -eq 0 ]; then
            [ -z "$all" ] || live "$pool" "$call" "$what" "$first+" || echo "never called: $call ($pool)"
            echo "$pool $call $what $all" >>"$work/next"
        elif live "$pool" "$call" "$what" $((first + pass - 1)); then
            echo "$pool $call $what $all" >>"$work/next"
        fi
    done <"$work/plan"
    mv "$work/next" "$work/plan"
    pass=$((pass + 1))
done

echo
echo "$runs lives, $injected calls failed, interrupted or delayed: $worked worked, $refused said which error they met with, $failed failed"
[ ! -s "$work/plan" ] || echo "the time was up before the $pass. call of: $(awk '{ print $2 }' "$work/plan" | sort -u | tr '\n' ' ')"
[ $failed -eq 0 ]
