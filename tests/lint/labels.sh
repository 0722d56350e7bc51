#!/bin/sh
# tests/lint/labels.sh ROOT - each ordering label, like [Q1], stands in its header's top comment and at both ends.
#
# So in at least three places, the ends below the top comment, and the top comment of one header
# only: who greps for a label finds one story.  A label is capitals and a number in brackets, not behind a
# name (which would be an index).
set -u
cd "$1/include" || exit 1
find . -name '*.h' | sed 's|^\./||' | LC_ALL=C sort | xargs awk '
FNR == 1 { top = 1 }
/^#/ { top = 0 }
{
    text = " " $0
    while (match(text, /[^A-Za-z0-9_\])]\[[A-Z]+[0-9]+\]/)) {
        label = substr(text, RSTART + 1, RLENGTH - 1)
        text = substr(text, RSTART + RLENGTH)
        if (!(label in first)) { first[label] = FILENAME ":" FNR; order[++count] = label }
        # "   [Q1] put -> get" opens a story; elsewhere in a top comment the label is only mentioned.
        if (top && $0 ~ ("^ \\*[ \t]*\\" substr(label, 1, length(label) - 1) "\\]") && told[label] != FILENAME) {
            if (told[label] != "") { print "include/" FILENAME ":" FNR ": " label " is also told in include/" told[label]; bad = 1 }
            told[label] = FILENAME
        }
        if (!top) ends[label]++
    }
}
END {
    for (i = 1; i <= count; i++) {
        label = order[i]
        if (told[label] == "") { print "include/" first[label] ": " label " isn'\''t told in any top comment (a line that starts with it)"; bad = 1 }
        if (ends[label] < 2) { print "include/" first[label] ": " label " is marked at " ends[label] + 0 " of its two ends"; bad = 1 }
    }
    exit bad
}'
