#!/bin/sh
# tests/lint/globals.sh ROOT - the headers bring no object that can be written, but cf__current and cf__prepared.
#
# Each file that includes us would have its own copy of it, so two files of one program would disagree.  The two
# exceptions are weak, so that a program has one of each: the thread-local "current task", and what main() has prepared
# for process pools, which is a fact about the process and must be found by whoever makes one.
# Every inline function is kept, used or not, for its local statics count as well.  Without position-independent
# code, because there a constant table of pointers lies in a section that the loader writes.
set -u
cd "$1" || exit 1
for tool in gcc readelf; do
    command -v $tool >/dev/null 2>&1 || { echo "$tool isn't installed"; exit 77; }
done
[ -f include/cfutures.h ] || { echo "include/cfutures.h doesn't exist"; exit 1; }
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
bad=0
headers=$(cd include && find . -name '*.h' | sed 's|^\./||' | LC_ALL=C sort)
for header in $headers; do
    printf '#include <%s>\n' "$header" >>"$work/all.c"
done
for file in tests/compile/two_tus_a.c tests/compile/two_tus_b.c "$work/all.c"; do
    gcc -std=gnu11 -O0 -fno-pie -fkeep-inline-functions -fno-common -Iinclude \
        -c "$file" -o "$work/object.o" || exit 1
    # nm shows a weak thread-local like a weak function, so: the writable sections, then the objects that lie in them.
    { readelf -SW "$work/object.o" | sed 's/^ *\[ *\([0-9]*\)\]/SECTION \1/'; readelf -sW "$work/object.o"; } |
        awk -v file="$(basename "$file")" '
            $1 == "SECTION" { for (i = 8; i <= NF; i++) if ($i ~ /^[A-Z]*W[A-Z]*$/) writable[$2] = 1 }
            ($4 == "OBJECT" || $4 == "TLS") && ($7 in writable || $7 == "COM") {
                if ($8 == "cf__current" && $4 == "TLS" && $5 == "WEAK" && $6 == "DEFAULT") next
                if ($8 == "cf__prepared" && $4 == "OBJECT" && $5 == "WEAK" && $6 == "DEFAULT") next
                print file ": " $8 " (" tolower($5 " " $4 " " $6) ")"
                bad = 1
            }
            END { exit bad }' || bad=1
done
[ $bad = 0 ] || echo "writable objects in a header: each file would have its own"
exit $bad
