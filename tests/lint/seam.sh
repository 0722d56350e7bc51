#!/bin/sh
# tests/lint/seam.sh ROOT - shared words, sleeping, time, memory, threads and processes only in the seam.
#
# detail/atomic*.h, detail/os*.h and detail/config.h are what tests/model/ replaces: an atomic or a system call
# anywhere else would escape its scheduler, and the fault tests.  Comments may name them.
set -u
cd "$1" || exit 1
# A function of the system, not a member of that name.
call='(^|[^A-Za-z0-9_.>])'
atomics='__atomic_|__sync_|__builtin_ia32_|\b_Atomic\b|\bvolatile\b|\batomic_[a-z_]+'
kernel='(syscall|mmap|munmap|madvise|mprotect|memfd_create|prctl|eventfd|pipe2?) *\('
process='(fork|vfork|clone|waitpid|waitid|kill|_exit|sigaction|pthread_[a-z_]+|sched_[a-z_]+|sem_[a-z_]+|mtx_[a-z_]+|cnd_[a-z_]+|thrd_[a-z_]+) *\('
memory='(malloc|calloc|realloc|free|posix_memalign|aligned_alloc|strdup|alloca) *\('
time='(clock_gettime|gettimeofday|time|nanosleep|usleep|sleep|clock_nanosleep|poll|select) *\('
found=$(
    find include -name '*.h' | LC_ALL=C sort | grep -vE '/detail/(atomic|os|config)[a-z_]*\.h$' |
    while read -r header; do
        # Comments and strings are blanked, and the line numbers stay.
        awk -v name="$header" '
        {
            text = $0; out = ""
            while (text != "") {
                if (inside) {
                    end = index(text, "*/")
                    if (!end) { text = ""; break }
                    text = substr(text, end + 2); inside = 0
                } else {
                    start = index(text, "/*"); line = index(text, "//")
                    if (line && (!start || line < start)) { out = out substr(text, 1, line - 1); break }
                    if (!start) { out = out text; break }
                    out = out substr(text, 1, start - 1); text = substr(text, start + 2); inside = 1
                }
            }
            gsub(/"([^"\\]|\\.)*"/, "\"\"", out)
            print name ":" FNR ": " out
        }' "$header"
    done | grep -E "$atomics|\\bSYS_[a-z]+|$call($kernel|$process|$memory|$time)"
)
[ -z "$found" ] && exit 0
printf '%s\n' "$found"
echo "these belong into detail/atomic.h or detail/os.h"
exit 1
