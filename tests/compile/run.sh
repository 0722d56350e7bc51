#!/bin/sh
# tests/compile/run.sh [--full] - each header by itself, in every language that it promises, without a warning.
#
# A translation unit includes one header twice: the first include shows that it stands alone, the second that
# its guard holds.  Then programs are linked and run: of several files, with functions in each, or declarations and one
# compiled copy (CF_DECLARE_ONLY, CF_IMPLEMENTATION); with every macro; a host with a plugin.  Plain -std=c11 must stop
# with our sentence.  --full adds more standards, optimized builds, every version of gcc and clang that is installed, another
# C library and another machine.  A compiler that is missing is skipped, which fails where CI=true.
set -u
cd "$(dirname "$0")/../.." || exit 1
root=$(pwd)

# What one compilation is: called below through xargs, one line of the job list each.
if [ "${1:-}" = --one ]; then
    work=$2
    row=${3%%|*}; rest=${3#*|}
    header=${rest%%|*}; command=${rest#*|}
    log=$work/log.$row.$(printf %s "$header" | tr '/' '_')
    # shellcheck disable=SC2086 # the command is words on purpose
    if $command "$work/$header.tu" >"$log" 2>&1; then
        echo ok >>"$work/passed.$row"
    else
        echo "$header" >>"$work/failed.$row"
        # One compiler says the same of a header in each standard; its first words are enough.
        seen=$work/seen.${command%% *}.$(printf %s "$header" | tr '/' '_')
        [ -e "$seen" ] || { echo "--- $header: $command"; head -n 30 "$log"; } >>"$work/report"
        : >"$seen"
    fi
    exit 0
fi

full=no
[ "${1:-}" = --full ] && full=yes
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
: >"$work/report"
: >"$work/jobs"
passed=0 failed=0 skipped=0

warnings() { # the flags of tests/support/warnings for language $1
    awk -v language="$1" '!/^#/ && NF > 1 && ($2 == "all" || $2 == language) { printf "%s ", $1 }' \
        tests/support/warnings
}
c_flags="-Werror $(warnings c)"
cxx_flags="-Werror $(warnings c++)"
has() { command -v "$1" >/dev/null 2>&1; }
say() { printf '%s\n' "$*"; }

# Beside gcc and clang, whatever version they are here, all others that are installed: tests/run.sh installs the newest.
cxx_of() { case $1 in gcc*) say "g++${1#gcc}" ;; *) say "clang++${1#clang}" ;; esac; }
others=
for cc in gcc clang; do
    n=5
    while [ $((n += 1)) -lt 60 ]; do
        if has $cc-$n && [ "$($cc-$n -dumpversion)" != "$($cc -dumpversion 2>/dev/null)" ]; then others="$others $cc-$n"; fi
    done
done

headers=$(cd include && find . -name '*.h' | sed 's|^\./||' | LC_ALL=C sort)
public=$(printf '%s\n' "$headers" | grep -v /detail/)
[ "$(printf '%s\n' "$public" | grep -c .)" -gt 0 ] || { say "no header in include/"; exit 1; }
for header in $headers; do
    mkdir -p "$work/$(dirname "$header")"
    printf '#include "%s"\n#include "%s"\ntypedef int not_empty;\n' "$header" "$header" \
        >"$work/$header.tu"
done

rows=0
row() { # compiler, language, words: adds one line of the table
    rows=$((rows + 1))
    eval "row_$rows=\"\$1 \$3\""
    has "$1" || { eval "skip_$rows=yes count_$rows=0"; return; }
    if [ "$2" = c ]; then flags=$c_flags; else flags=$cxx_flags; fi
    # Optimized, which takes its time, those that a program includes; they include all others.
    case " $3 " in *" -O"*) check="-c -o /dev/null" of=$public ;; *) check=-fsyntax-only of=$headers ;; esac
    eval "count_$rows=$(printf '%s\n' "$of" | grep -c .)"
    for header in $of; do
        printf '%s|%s|%s %s %s %s -Iinclude -x %s\n' \
            "$rows" "$header" "$1" "$3" "$flags" "$check" "$2" >>"$work/jobs"
    done
}

row gcc c "-std=gnu11"
row gcc c "-std=gnu11 -DCF_DECLARE_ONLY"
row gcc c "-std=c11 -D_DEFAULT_SOURCE"
row clang c "-std=gnu11"
row g++ c++ "-std=c++11"
row g++ c++ "-std=c++17"
row g++ c++ "-std=c++20"
if [ $full = yes ]; then
    row gcc c "-std=gnu11 -DCF_IMPLEMENTATION"
    row gcc c "-std=gnu11 -DCF_USE_CONDVAR"
    row clang++ c++ "-std=c++11 -DCF_USE_CONDVAR"
    row g++ c++ "-std=c++11 -DCF_DECLARE_ONLY"
    row g++ c++ "-std=c++11 -DCF_IMPLEMENTATION"
    row gcc c "-std=gnu17"
    row gcc c "-std=gnu2x"
    row gcc c "-std=gnu11 -O2"
    row gcc c "-std=gnu11 -O3 -DNDEBUG"
    row gcc c "-std=gnu11 -D_GNU_SOURCE"
    row clang c "-std=c11 -D_DEFAULT_SOURCE"
    row clang c "-std=gnu17"
    row clang c "-std=gnu2x"
    row clang c "-std=gnu11 -O2 -DNDEBUG"
    row g++ c++ "-std=gnu++17 -O2"
    row clang++ c++ "-std=c++11"
    row clang++ c++ "-std=c++17"
    row clang++ c++ "-std=c++20"
    # Here as well those headers that tests/elsewhere/run.sh has no program for.
    row musl-gcc c "-std=gnu11"
    [ "$(uname -m)" = aarch64 ] || row aarch64-linux-gnu-gcc c "-std=gnu11"
    for cc in $others; do
        row "$cc" c "-std=gnu11"
        row "$cc" c "-std=c11 -D_DEFAULT_SOURCE"
        row "$cc" c "-std=gnu2x -O2"
        row "$(cxx_of "$cc")" c++ "-std=c++11"
        row "$(cxx_of "$cc")" c++ "-std=c++20 -O2"
    done
fi

xargs -P "$(nproc)" -I '{}' sh "$root/tests/compile/run.sh" --one "$work" '{}' <"$work/jobs"

printf '%-44s %7s %7s %7s\n' "each header alone and twice" headers passed failed
i=0
while [ $i -lt $rows ]; do
    i=$((i + 1))
    skip=no
    eval "name=\$row_$i; skip=\${skip_$i:-no} count=\$count_$i"
    if [ "$skip" = yes ]; then
        printf '%-44s %7s  skipped: not installed\n' "$name" ''
        skipped=$((skipped + 1))
        continue
    fi
    good=0 bad=0
    [ -f "$work/passed.$i" ] && good=$(grep -c . "$work/passed.$i")
    bad=$((count - good))
    printf '%-44s %7s %7s %7s\n' "$name" "$count" "$good" "$bad"
    passed=$((passed + good)) failed=$((failed + bad))
done

single() { # name, command...: one check that passes, is skipped (77) or fails
    name=$1; shift
    "$@" >"$work/single" 2>&1
    case $? in
    0) printf '%-60s passed\n' "$name"; passed=$((passed + 1)) ;;
    77) printf '%-60s skipped: %s\n' "$name" "$(tail -n 1 "$work/single")"; skipped=$((skipped + 1)) ;;
    *) printf '%-60s FAILED\n' "$name"; failed=$((failed + 1))
       { echo "--- $name"; head -n 40 "$work/single"; } >>"$work/report" ;;
    esac
}

refuses_plain_c11() { # compiler: the first error is our sentence
    has "$1" || { echo "not installed"; return 77; }
    "$1" -std=c11 -Iinclude -fsyntax-only -x c "$work/cfutures/detail/config.h.tu" 2>"$work/plain" && {
        echo "plain -std=c11 compiled"; return 1; }
    grep 'error:' "$work/plain" | head -n 1 | tee /dev/stderr | grep -q 'cfutures: -std=c11 hides what it needs'
}

refuses_other_index() { # compiler, language: cf_for over a function that takes no size_t first is an error that says so
    has "$1" || { echo "not installed"; return 77; }
    {
        echo '#include <cfutures.h>'
        echo 'static void f(int i, size_t n) { (void)i; (void)n; }'
        echo 'CF_TASK_VOID(f, int, size_t);'
        echo 'int main(void) { return cf_for(NULL, f, 0, 10, 1) == CF_OK; }'
    } >"$work/for_int"
    sed 's/int i/size_t i/; s/f, int/f, size_t/' "$work/for_int" >"$work/for_size"
    "$1" -Iinclude -fsyntax-only -x "$2" "$work/for_size" || return 1
    "$1" -Iinclude -fsyntax-only -x "$2" "$work/for_int" && { echo "cf_for with an int compiled"; return 1; }
    "$1" -Iinclude -fsyntax-only -x "$2" "$work/for_int" 2>&1 | grep "error.*cf_for: the first argument of .* must be a size_t"
}

# What the README promises a program needs: -Iinclude, -pthread, nothing more.
two_tus() { # words: compiler and flags
    [ -f include/cfutures.h ] || { echo "include/cfutures.h doesn't exist"; return 1; }
    has "$1" || { echo "not installed"; return 77; }
    "$@" -Iinclude -pthread -c tests/compile/two_tus_a.c -o "$work/a.o" &&
    "$@" -Iinclude -pthread -c tests/compile/two_tus_b.c -o "$work/b.o" &&
    "$1" -pthread "$work/a.o" "$work/b.o" -o "$work/two_tus" &&
    timeout 60 "$work/two_tus"
}

# One program of three files; which of them get declarations only, and all of cfutures from the one compiled copy, is said
# by letters: m (make), s (submit), a (await).  A file with declarations only must define nothing of ours.
linkage() { # letters, words: compiler and flags
    letters=$1; shift
    has "$1" || { echo "not installed"; return 77; }
    objects=
    for file in make submit await copy; do
        mode=
        case $letters:$file in *m*:make|*s*:submit|*a*:await) mode=-DCF_DECLARE_ONLY ;; esac
        [ $file = copy ] && [ -z "$letters" ] && continue
        # shellcheck disable=SC2086
        "$@" $mode -Iinclude -pthread -c "tests/compile/three_files_$file.c" -o "$work/three_$file.o" || return 1
        [ -z "$mode" ] || declares_only "$work/three_$file.o" || return 1
        objects="$objects $work/three_$file.o"
    done
    # shellcheck disable=SC2086
    "$1" -pthread $objects -o "$work/three_files" && timeout 60 "$work/three_files"
}

declares_only() { # object: no function of ours in it, but C++'s cf_thread_pool() and cf_process_pool(), which are its macros
    nm --defined-only "$1" | awk '$(NF - 1) ~ /[TtWw]/ && $NF ~ /^(_Z[0-9]+)?cf_/ && $NF !~ /^_Z[0-9]+cf_(thread|process)_pool/ { print "defined: " $NF; bad = 1 }
        END { exit bad }'
}

# A host and a plugin, loaded by dlopen() with RTLD_LOCAL and compiled with hidden visibility; `own`: the host exports
# nothing, so the plugin has its own cf__current.
plugin() { # shared or own, words: compiler and flags
    current=$1; shift
    has "$1" || { echo "not installed"; return 77; }
    if [ "$current" = shared ]; then export_all=-rdynamic; else export_all=; fi
    "$@" -Iinclude -pthread -fPIC -fvisibility=hidden -c tests/compile/plugin.c -o "$work/plugin.o" &&
    "$1" -shared -pthread "$work/plugin.o" -o "$work/plugin.so" &&
    "$@" -Iinclude -pthread -c tests/compile/plugin_host.c -o "$work/plugin_host.o" &&
    "$1" -pthread $export_all "$work/plugin_host.o" -o "$work/plugin_host" -ldl &&
    timeout 60 "$work/plugin_host" "$work/plugin.so" "$current"
}

# What our macros write stands in the program's file, where its warnings hold.
macros() { # words: compiler and flags; compiled at every level, run at the last
    has "$1" || { echo "not installed"; return 77; }
    for level in $levels; do
        "$@" "$level" -Iinclude -pthread -c tests/compile/macros.c -o "$work/macros.o" || return 1
    done
    "$1" -pthread "$work/macros.o" -o "$work/macros" && timeout 60 "$work/macros"
}
if [ $full = yes ]; then levels="-O0 -O1 -O3 -O2"; else levels=-O2; fi

single "gcc: plain -std=c11 stops with our sentence" refuses_plain_c11 gcc
single "clang: plain -std=c11 stops with our sentence" refuses_plain_c11 clang
single "gcc: cf_for wants a size_t first" refuses_other_index gcc c
single "g++: cf_for wants a size_t first" refuses_other_index g++ c++
single "clang: cf_for wants a size_t first" refuses_other_index clang c
# shellcheck disable=SC2086
single "gcc: two files include cfutures.h, linked and run" two_tus gcc $c_flags
# shellcheck disable=SC2086
single "g++: the same as C++11" two_tus g++ -std=c++11 $cxx_flags -x c++
# shellcheck disable=SC2086
single "gcc: three files, functions in each" linkage '' gcc $c_flags
# shellcheck disable=SC2086
single "gcc: three files, declarations and one copy" linkage msa gcc $c_flags
# shellcheck disable=SC2086
single "gcc: three files, mixed" linkage s gcc $c_flags
# shellcheck disable=SC2086
single "g++: three files, declarations and one copy" linkage msa g++ -std=c++11 $cxx_flags -x c++
# shellcheck disable=SC2086
single "gcc: our macros in a program with all warnings" macros gcc $c_flags
# shellcheck disable=SC2086
single "g++: the same as C++11" macros g++ -std=c++11 $cxx_flags -x c++
# shellcheck disable=SC2086
single "gcc: a plugin that shares cf__current with its host" plugin shared gcc -O2 $c_flags
# shellcheck disable=SC2086
single "gcc: a plugin with its own cf__current" plugin own gcc -O2 $c_flags
if [ $full = yes ]; then
    for standard in 17 20; do
        # shellcheck disable=SC2086
        single "g++: our macros as C++$standard" macros g++ -std=c++$standard $cxx_flags -x c++
    done
    for cc in gcc clang; do
        # shellcheck disable=SC2086
        single "$cc: our macros as C11" macros $cc -std=c11 -D_DEFAULT_SOURCE $c_flags
        # shellcheck disable=SC2086
        single "$cc: our macros as C2x" macros $cc -std=gnu2x $c_flags
    done
    for cc in clang $others; do
        # shellcheck disable=SC2086
        single "$cc: our macros, -O0 to -O3" macros $cc $c_flags
        # shellcheck disable=SC2086
        single "$(cxx_of $cc): the same as C++11" macros "$(cxx_of $cc)" -std=c++11 $cxx_flags -x c++
        # shellcheck disable=SC2086
        single "$(cxx_of $cc): the same as C++20" macros "$(cxx_of $cc)" -std=c++20 $cxx_flags -x c++
    done
    for cc in $others; do
        single "$cc: plain -std=c11 stops with our sentence" refuses_plain_c11 "$cc"
        # shellcheck disable=SC2086
        single "$cc: three files, declarations and one copy" linkage msa "$cc" -O2 $c_flags
        # shellcheck disable=SC2086
        single "$cc: a plugin with its own cf__current" plugin own "$cc" -O2 $c_flags
    done
    for current in shared own; do
        # shellcheck disable=SC2086
        single "g++: a plugin, $current" plugin $current g++ -std=c++11 $cxx_flags -x c++
        # shellcheck disable=SC2086
        single "clang: a plugin, $current" plugin $current clang -O2 $c_flags
        # shellcheck disable=SC2086
        single "clang++: a plugin, $current" plugin $current clang++ -O2 -std=c++17 $cxx_flags -x c++
        # shellcheck disable=SC2086
        single "gcc: a plugin, $current, condition variables" plugin $current gcc -DCF_USE_CONDVAR $c_flags
    done
    # shellcheck disable=SC2086
    single "clang: two files, -O2" two_tus clang -O2 $c_flags
    # shellcheck disable=SC2086
    single "clang++: two files, as C++20" two_tus clang++ -std=c++20 $cxx_flags -x c++
    for way in '' msa ma s; do
        # shellcheck disable=SC2086
        single "clang: three files, -O2, ${way:-none} with declarations only" linkage "$way" clang -O2 $c_flags
        # shellcheck disable=SC2086
        single "clang++: the same as C++17" linkage "$way" clang++ -O2 -std=c++17 $cxx_flags -x c++
    done
fi

cat "$work/report"
if [ "${CI:-}" = true ] && [ $skipped -gt 0 ]; then
    say "CI installs every compiler: a skip is a failure"
    failed=$((failed + skipped)) skipped=0
fi
say
if [ $skipped -gt 0 ]; then
    say "$passed passed, $failed failed, $skipped skipped"
else
    say "$passed passed, $failed failed"
fi
[ $failed -eq 0 ]
