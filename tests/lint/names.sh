#!/bin/sh
# tests/lint/names.sh ROOT - unit tests are called test_<noun>_<behaviour>, all of them run, and no test naps.
#
# A nap is a guess at how long something takes: wait for a condition instead.  A task that is to take time for
# its own sake says so: a comment with the word NAP: and the reason, on the line or the one above.
set -u
cd "$1/tests" || exit 1
found=$(
    find unit -name '*.c' | LC_ALL=C sort | while read -r file; do
        awk -v file="tests/$file" '
        { # what is registered
            text = $0
            if (text ~ /^#/) text = ""
            while (match(text, /([a-z_]+_test|TEST)\(test_[A-Za-z0-9_]+/)) { # also by a macro of the file
                name = substr(text, RSTART, RLENGTH); sub(/.*\(/, "", name)
                registered[name] = 1
                text = substr(text, RSTART + RLENGTH)
            }
            text = $0
            if (text ~ /^#/) text = ""
            while (match(text, /cmocka_unit_test[a-z_]*\([A-Za-z0-9_]+/)) {
                name = substr(text, RSTART, RLENGTH); sub(/.*\(/, "", name)
                registered[name] = 1
                text = substr(text, RSTART + RLENGTH)
                if (name !~ /^test_[a-z0-9]+_[a-z0-9_]+$/) print file ":" FNR ": " name " isn'\''t test_<noun>_<behaviour>"
            }
        }
        match($0, /^test_[a-z0-9_]+\(void \*\*/) { name = $0; sub(/\(.*/, "", name); defined_at[name] = FNR }
        END { for (name in defined_at) if (!(name in registered)) print file ":" defined_at[name] ": " name " never runs" }
        ' "$file"
    done
    find . \( -name '*.c' -o -name '*.h' \) | LC_ALL=C sort | while read -r file; do
        awk -v file="tests/${file#./}" '
        /(^|[^A-Za-z0-9_])(usleep|sleep|nanosleep|clock_nanosleep|thrd_sleep)\(/ && !/^[ \t]*(\/?\*|\/\/)/ && !/NAP:/ && before !~ /NAP:/ {
            print file ":" FNR ": naps; wait for a condition, or say NAP: and why"
        }
        { before = $0 }' "$file"
    done
)
[ -z "$found" ] && exit 0
printf '%s\n' "$found"
exit 1
