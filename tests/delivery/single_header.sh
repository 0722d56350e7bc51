#!/bin/sh
# tests/delivery/single_header.sh - prints cfutures.h with all that it includes, as one file for pasting into a project.
#
#   meson compile -C build single-header      makes build/cfutures.h by it
#   sh tests/delivery/single_header.sh >cfutures.h
#
# Each of our headers comes where it's first included; every line stays as it is, but for the #include of a header that is
# there by now.  The include guards stay, so such a file and the headers themselves may meet in one program.
set -u
cd "$(dirname "$0")/../.." || exit 1
version=$(sed -n 's/^#define CF_VERSION_[A-Z]* \([0-9]*\)$/\1/p' include/cfutures.h | paste -sd . -)

printf '/* cfutures %s in one file, made from its headers by tests/delivery/single_header.sh: change those.\n *\n' "$version"
sed -e 's/^/ * /' -e 's/ *$//' LICENSE
printf ' */\n'

# shellcheck disable=SC2016 # awk's, not the shell's
exec awk '
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
function emit(header,    file, line, quoted, directory, target, got) {
    seen[header] = 1
    file = "include/" header
    print "\n/* ======== " header " ======== */"
    while ((got = (getline line <file)) > 0) {
        if (line !~ /^[ \t]*#[ \t]*include[ \t]*"/) { print line; continue }
        split(line, quoted, "\"")
        directory = header
        if (!sub(/\/[^\/]*$/, "/", directory)) directory = ""
        target = normal(directory quoted[2])
        if (!(target in seen)) emit(target)
    }
    if (got < 0) { print file ": cannot be read" >"/dev/stderr"; exit 1 }
    close(file)
}
BEGIN { emit("cfutures.h") }'
