#!/bin/sh
# tests/lint/version.sh ROOT - meson.build and include/cfutures.h name the same version.
#
# meson wants it as a literal to read it without running anything, the preprocessor as numbers.
set -u
cd "$1" || exit 1
meson=$(sed -n "s/^ *version: '\([0-9.]*\)'.*/\1/p" meson.build | head -n 1)
[ -f include/cfutures.h ] || { echo "include/cfutures.h doesn't exist"; exit 1; }
part() { sed -n "s/^#define CF_VERSION_$1 \([0-9][0-9]*\).*/\1/p" include/cfutures.h; }
header=$(part MAJOR).$(part MINOR).$(part PATCH)
[ -n "$meson" ] && [ "$meson" = "$header" ] && exit 0
echo "meson.build says '$meson', include/cfutures.h '$header' (CF_VERSION_MAJOR, _MINOR, _PATCH)"
exit 1
