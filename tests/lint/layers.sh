#!/bin/sh
# tests/lint/layers.sh ROOT - an include of one of our headers by another points down.
#
# Each header but cfutures.h, which stands above all, says `LAYER n.` in its top comment.  It may include
# headers of a lower layer, and of its own as long as no chain of includes comes back.  By relative
# path, so that a copy of include/ works wherever it lies.
set -u
cd "$1/include" || exit 1
find . -name '*.h' | sed 's|^\./||' | LC_ALL=C sort | xargs awk '
function fail(text) { print text; bad = 1 }
function normal(path,    part, n, i, out, depth) { # a/b/../c -> a/c
    n = split(path, part, "/"); depth = 0
    for (i = 1; i <= n; i++) {
        if (part[i] == "..") depth--
        else if (part[i] != ".") out[++depth] = part[i]
    }
    path = out[1]
    for (i = 2; i <= depth; i++) path = path "/" out[i]
    return path
}
function visit(header, chain,    i, below) { # depth first; state 1: on the way down, 2: done
    state[header] = 1
    for (i = 1; i <= edges[header]; i++) {
        below = edge[header, i]
        if (state[below] == 1) fail("include/" header ": a circle of includes: " chain " -> " below)
        else if (!state[below]) visit(below, chain " -> " below)
    }
    state[header] = 2
}
FNR == 1 { headers[++count] = FILENAME; exists[FILENAME] = 1; comment = 1 }
comment && match($0, /LAYER [0-9]+\./) && !(FILENAME in layer) {
    layer[FILENAME] = substr($0, RSTART + 6, RLENGTH - 7) + 0
}
/\*\// { comment = 0 }
/^[ \t]*#[ \t]*include[ \t]*<cfutures/ {
    fail("include/" FILENAME ":" FNR ": include our own headers by relative path, in quotes")
}
/^[ \t]*#[ \t]*include[ \t]*"/ {
    split($0, quoted, "\"")
    directory = FILENAME
    if (!sub(/\/[^\/]*$/, "/", directory)) directory = ""
    target = normal(directory quoted[2])
    edge[FILENAME, ++edges[FILENAME]] = target
    line[FILENAME, edges[FILENAME]] = FNR
}
END {
    layer["cfutures.h"] = 99
    for (i = 1; i <= count; i++)
        if (!(headers[i] in layer)) fail("include/" headers[i] ": no `LAYER n.` in its top comment")
    for (i = 1; i <= count; i++)
        for (j = 1; j <= edges[headers[i]]; j++) {
            from = headers[i]; to = edge[from, j]; place = "include/" from ":" line[from, j] ": "
            if (!(to in exists)) fail(place "there is no include/" to)
            else if (layer[to] > layer[from])
                fail(place "layer " layer[from] " includes " to " of layer " layer[to])
        }
    for (i = 1; i <= count; i++)
        if (!state[headers[i]]) visit(headers[i], headers[i])
    exit bad
}'
