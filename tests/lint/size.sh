#!/bin/sh
# tests/lint/size.sh ROOT - the core stays readable: 120 public functions, 700 lines a header, and 6,000 lines of code; that
# last one it has outgrown, with maps, queues of every order and stealing, then with all that a process pool survives, and with
# tasks that submit to theirs: 10,000 until it has been cut down again.
#
# The core is what cfutures.h includes; all of include/ while that doesn't exist.  Code is what is neither blank nor
# comment: documentation is to cost nothing here.  A public function is a line that starts with cf_name(, because the
# return type of a definition stands on its own line; counted by name.
set -u
cd "$1/include" || exit 1
core=$(
    if [ -f cfutures.h ]; then
        cc -std=gnu11 -fsyntax-only -I. -MM cfutures.h | tr ' \\' '\n\n' | grep '\.h$' | xargs realpath --relative-to=. | LC_ALL=C sort -u
    else
        find . -name '*.h'
    fi
)
[ -n "$core" ] || exit 1
# shellcheck disable=SC2086
lines=$(cat $core | wc -l)
# shellcheck disable=SC2086
code=$(sed -e 's|/\*.*\*/||' -e '/^[[:space:]]*\/\*/,/\*\//d' $core | grep -c '[^[:space:]]')
# shellcheck disable=SC2086
functions=$(sed -n 's/^\(cf_[a-z0-9][a-z0-9_]*\)(.*/\1/p' $core | sort -u | wc -l)
echo "core: $(printf '%s\n' "$core" | grep -c .) headers, $code lines of code of at most 10000 ($lines with comments), $functions public functions of at most 120"
bad=0
[ "$code" -lt 10000 ] || { echo "the core is too long"; bad=1; }
[ "$functions" -le 120 ] || { echo "too many public functions"; bad=1; }
for header in $(find . -name '*.h' | LC_ALL=C sort); do
    n=$(wc -l <"$header")
    [ "$n" -le 700 ] || { echo "include/${header#./}: $n lines, more than 700: is there a second header inside?"; bad=1; }
done
exit $bad
