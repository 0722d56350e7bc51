#!/bin/sh
# tests/lint/paths.sh ROOT - no file speaks of a place outside the repository.
#
# Such as the folder that this clone lies in, a home directory, a folder beside the clone, or the host of a package registry:
# what works only on one machine; nor is one a link.  The top level holds what it always does and hidden files.  A parent too
# common to mean anything (/, /tmp, /home ...) isn't searched for.
set -u
cd "$1" || exit 1
if [ -e .git ] && command -v git >/dev/null 2>&1; then
    files=$(git ls-files -co --exclude-standard)
else
    files=$(find . -type d \( -name .git -o -name build \) -prune -o \( -type f -o -type l \) -print | sed 's|^\./||')
fi
bad=0
search() { # grep's options and pattern...
    # shellcheck disable=SC2086 # our own files have no blanks in their names
    found=$(grep -nI "$@" -- $files 2>/dev/null | cut -c1-160)
    [ -z "$found" ] || { printf '%s\n' "$found"; bad=1; }
}
for place in "$(dirname "$PWD")" "${HOME:-/}"; do
    case $place in
    /|/tmp|/var/tmp|/home|/usr|/usr/src|/opt|/mnt|/srv|/src|/root|/tmp/tmp.*) ;;
    *) search -F -e "$place/" ;;
    esac
done
search -E -e '\.\./shared(/|[^a-z._-]|$)' -e '(^|[^A-Za-z0-9._/-])/(work|home|root|Users)/[A-Za-z0-9_.-]+'
# Hosts of package registries have a telling first word; a link to documentation doesn't.
search -E -e '(^|[^a-z0-9.-])(deb|ftp|archive|security|registry|files|proxy|index|static|pypi|crates|rubygems|repo[0-9]?)\.[a-z0-9.-]+\.?(org|io|com|net)([^a-z0-9]|$)' \
    -e '(^|[^a-z0-9.-])(pypi|crates|rubygems)\.(org|io)([^a-z0-9]|$)'
for file in $files; do
    [ ! -L "$file" ] || { echo "$file: a link"; bad=1; }
    case $file in
    .* | include/* | examples/* | tests/* | bench/* | meson.build | LICENSE | README.md) ;;
    *) echo "$file: doesn't belong at the top level"; bad=1 ;;
    esac
done
[ $bad = 0 ] || echo "places outside the repository, or files in the wrong place"
exit $bad
