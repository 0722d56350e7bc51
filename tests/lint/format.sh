#!/bin/sh
# tests/lint/format.sh ROOT - C files look as .clang-format says.
#
# By version 14 only, because each version of clang-format breaks lines in its own way; another one is as good as none.
set -u
cd "$1" || exit 1
tool=
for candidate in clang-format-14 clang-format; do
    if "$candidate" --version 2>/dev/null | grep -q 'version 14\.'; then
        tool=$candidate
        break
    fi
done
[ -n "$tool" ] || { echo "clang-format 14 isn't installed"; exit 77; }
find include tests bench examples \( -name '*.c' -o -name '*.h' \) 2>/dev/null | LC_ALL=C sort |
    xargs "$tool" --dry-run -Werror 2>&1 | grep 'error:' | cut -d: -f1,2 | uniq -c |
    awk '{ split($2, place, ":"); n[place[1]]++; if (!first[place[1]]) first[place[1]] = place[2] }
         END { for (file in n) print file ":" first[file] ": " n[file] " lines want clang-format -i"; exit length(n) > 0 }'
