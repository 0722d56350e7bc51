#!/bin/sh
# tests/lint/selftest.sh ROOT - each rule finds a violation that is planted for it, and names where it lies.
#
# In a small tree of its own, in which every rule is content before, so that what it then says is about the plant,
# whatever the real tree is like at the moment.
set -u
root=$1
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
bad=0

fresh() { # a tree that keeps every rule
    rm -rf "$work/tree"
    mkdir -p "$work/tree/include/cfutures/detail" "$work/tree/tests/unit" "$work/tree/tests/compile"
    cp "$root/.clang-format" "$root/.clang-tidy" "$work/tree/"
    cd "$work/tree" || exit 1
    cat >include/cfutures/detail/os.h <<'END'
/* os.h - the seam.
 * LAYER 0. */
#ifndef OS_H
#define OS_H

#include <time.h>

static inline void
cf__os_now(struct timespec *t)
{
    (void)clock_gettime(CLOCK_MONOTONIC, t);
}

#endif
END
    cat >include/cfutures/queue.h <<'END'
/* queue.h - says malloc() in a comment only.
 * LAYER 2.
 *   [Q1] put -> get */
#ifndef QUEUE_H
#define QUEUE_H

#include "detail/os.h"

static inline int
cf_queue_put(int *turn)
{
    /* release [Q1] */
    return *turn;
}

static inline int
cf_queue_get(int *turn)
{
    /* acquire [Q1] */
    return *turn;
}

#endif
END
    cat >include/cfutures.h <<'END'
/* cfutures.h - all of it. */
#ifndef CFUTURES_H
#define CFUTURES_H

#define CF_VERSION_MAJOR 1
#define CF_VERSION_MINOR 2
#define CF_VERSION_PATCH 3

#include "cfutures/queue.h"

__attribute__((weak)) __thread void *cf__current;

#endif
END
    echo "  version: '1.2.3'," >meson.build
    echo '#include <cfutures.h>' >tests/compile/two_tus_a.c
    cp tests/compile/two_tus_a.c tests/compile/two_tus_b.c
    cat >tests/unit/test_queue.c <<'END'
static void
test_queue_works(void **state)
{
    (void)state;
}

const struct CMUnitTest tests[] = {cmocka_unit_test(test_queue_works)};
END
}

plant() { # rule, text that it must print, command that breaks the tree
    fresh
    output=$(sh "$root/tests/lint/$1.sh" "$work/tree" 2>&1)
    case $? in
    0) ;;
    77) echo "$1: not tried, $output"; return ;;
    *) echo "$1: not content with the clean tree: $output"; bad=1; return ;;
    esac
    eval "$3"
    if output=$(sh "$root/tests/lint/$1.sh" "$work/tree" 2>&1); then
        echo "$1: didn't find: $3"
        bad=1
    elif ! printf '%s\n' "$output" | grep -qF -e "$2"; then
        echo "$1: failed without saying '$2' after: $3"
        printf '%s\n' "$output"
        bad=1
    fi
}
# Puts a line before the closing #endif of a header.
into() { sed -i "s|^#endif|$2\n#endif|" "include/$1"; }

plant layers "layer 0 includes cfutures/queue.h of layer 2" 'into cfutures/detail/os.h "#include \"../queue.h\""'
plant layers "a circle" 'into cfutures/detail/os.h "#include \"b.h\""; sed "s|<time.h>|\"os.h\"|" include/cfutures/detail/os.h >include/cfutures/detail/b.h'
plant layers "no \`LAYER" 'sed -i s/LAYER// include/cfutures/queue.h'
plant layers "no include/cfutures/gone.h" 'into cfutures/queue.h "#include \"gone.h\""'
plant layers "relative path" 'into cfutures/queue.h "#include <cfutures/detail/os.h>"'
for raw in '__atomic_load_n(p, 0)' '__sync_synchronize()' 'atomic_load(p)' 'syscall(SYS_futex)' 'mmap(0)' 'fork()' \
    'malloc(1)' 'calloc(1, 1)' 'free(p)' 'clock_gettime(0, p)' 'pthread_create(p)' 'pthread_mutex_lock(p)' 'sched_yield()' 'nanosleep(p)' 'x(); /* y */ fork()'; do
    plant seam include/cfutures/queue.h "into cfutures/queue.h '#define PLANT $raw'"
done
plant labels "[Q1] is marked at 1" 'sed -i "s/acquire .Q1./acquire/" include/cfutures/queue.h'
plant labels "[Q2] isn" 'into cfutures/queue.h "/* [Q2] */"'
plant labels "[Q1] is also told" 'sed -i "2a\\ *   [Q1] other" include/cfutures/detail/os.h'
plant globals "counter" 'into cfutures/queue.h "static int counter = 1;"'
plant globals "calls" 'into cfutures/queue.h "static inline int f(void) { static int calls; return ++calls; }"'
plant globals "cf__other" 'into cfutures.h "__attribute__((weak)) __thread void *cf__other;"'
plant globals "cf__current" 'sed -i "s/__attribute__((weak)) __thread/static __thread/" include/cfutures.h'
plant size "the core is too long" 'for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do yes "int x;" | head -n 690 >include/cfutures/$i.h; into cfutures.h "#include \"cfutures/$i.h\""; done'
plant size "more than 700" 'yes "" | head -n 701 >include/cfutures/long.h'
plant size "too many public" 'i=0; while [ $i -lt 121 ]; do echo "cf_f$i("; i=$((i + 1)); done >>include/cfutures/queue.h'
plant names "queue_test isn" 'sed -i s/test_queue_works/queue_test/ tests/unit/test_queue.c'
plant names "test_queue_works never runs" 'sed -i /CMUnitTest/d tests/unit/test_queue.c'
plant names "tests/unit/test_queue.c:8: naps" 'echo "  usleep(10);" >>tests/unit/test_queue.c'
plant paths "README.md:1" 'echo "see ""../sha""red/notes" >README.md'
plant paths "README.md:1" 'echo "in /ho""me/somebody/x" >README.md'
plant paths "tests/unit/away: a link" 'ln -s elsewhere tests/unit/away'
plant paths "stray: doesn" 'echo x >stray'
plant paths "README.md:1" 'echo "from https://""deb.example"".org/x" >README.md'
plant format "include/cfutures/queue.h" 'into cfutures/queue.h "static   int  x ( void ) ;"'
plant version "1.2.3" 'sed -i s/PATCH.3/PATCH\ 4/ include/cfutures.h'
plant tidy "queue.h" 'into cfutures/queue.h "static inline int f(int x) { if (x = 1) return 2; return 3; }"'
[ $bad = 0 ] && echo "every rule found what was planted for it"
exit $bad
