#!/bin/sh
# tests/delivery/run.sh - each way to get cfutures into a program of one's own, by a project that is built and run.
#
# The program is tests/smoke/smoke.c, in a folder of its own, which sees of this tree only what is delivered: an installed
# prefix (by pkg-config, CMake, meson), a copy of it as a meson subproject, the folder include/, or the single header.
set -u
cd "$(dirname "$0")/../.." || exit 1
root=$(pwd)
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
passed=0 failed=0 skipped=0
# Nothing that is installed on this machine may help.
unset CPATH C_INCLUDE_PATH CPLUS_INCLUDE_PATH PKG_CONFIG_PATH CMAKE_PREFIX_PATH
prefix=$work/prefix
mkdir "$work/user"
cp tests/smoke/smoke.c "$work/user/smoke.c"
cp tests/smoke/smoke.c "$work/user/smoke.cpp"

warnings() { # the flags of tests/support/warnings for language $1
    awk -v language="$1" '!/^#/ && NF > 1 && ($2 == "all" || $2 == language) { printf "%s ", $1 }' "$root/tests/support/warnings"
}

way() { # title, tools, function: one row; each in a folder of its own
    title=$1 tools=$2; shift 2
    for tool in $tools; do
        command -v "$tool" >/dev/null 2>&1 && continue
        printf '%-58s skipped: %s is not installed\n' "$title" "$tool"
        skipped=$((skipped + 1))
        return
    done
    mkdir "$work/way"
    if (cd "$work/way" && set -e && "$@") >"$work/log" 2>&1; then
        printf '%-58s passed\n' "$title"
        passed=$((passed + 1))
    else
        printf '%-58s FAILED\n' "$title"
        tail -n 40 "$work/log"
        failed=$((failed + 1))
    fi
    rm -rf "$work/way"
}

run() { # a program: all that it checks holds
    timeout 60 "$@" || { echo "$*: status $?"; return 1; }
}

install_all() {
    meson setup build "$root" --prefix "$prefix" &&
    meson install -C build --no-rebuild &&
    (cd "$root/include" && find . -name '*.h' | LC_ALL=C sort) >have &&
    (cd "$prefix/include" && find . -type f | LC_ALL=C sort) >got &&
    diff have got
}

by_pkg_config() {
    PKG_CONFIG_PATH=$prefix/share/pkgconfig; export PKG_CONFIG_PATH
    [ "$(pkg-config --modversion cfutures)" = "$(sed -n "s/^ *version: '\([0-9.]*\)'.*/\1/p" "$root/meson.build" | head -n 1)" ] || return 1
    flags="$(warnings c) $(pkg-config --cflags --libs cfutures)"
    # Once more with the headers that cfutures.h doesn't bring.
    { printf '#include <cfutures/%s.h>\n' sandbox postmortem prepare; cat "$work/user/smoke.c"; } >extras.c
    # shellcheck disable=SC2086
    cc -Werror "$work/user/smoke.c" $flags -o smoke && run ./smoke && cc -Werror extras.c $flags -o extras && run ./extras
}

cmake_project() { # where cfutures is installed
    cp "$work"/user/* .
    cat >CMakeLists.txt <<'END'
cmake_minimum_required(VERSION 3.12)
project(user C CXX)
set(CMAKE_CXX_STANDARD 11)
set(CMAKE_CXX_EXTENSIONS OFF)
find_package(cfutures 99 QUIET)
if(cfutures_FOUND)
  message(FATAL_ERROR "this is not version 99")
endif()
find_package(cfutures 0.0.1 QUIET)
if(cfutures_FOUND)
  message(FATAL_ERROR "0.1 is not compatible with 0.0")
endif()
find_package(cfutures 0.1 REQUIRED)
find_package(cfutures REQUIRED)
foreach(language c cpp)
  add_executable(smoke_${language} smoke.${language})
  target_link_libraries(smoke_${language} PRIVATE cfutures::cfutures)
endforeach()
END
    cmake -S . -B build -DCMAKE_PREFIX_PATH="$1" && cmake --build build && run build/smoke_c && run build/smoke_cpp
}

by_cmake() { cmake_project "$prefix"; }

by_cmake_moved() { # what was installed, elsewhere by now
    cp -R "$prefix" "$work/moved" && mv "$prefix" "$prefix.away" || return 1
    if cmake_project "$work/moved"; then status=0; else status=1; fi
    mv "$prefix.away" "$prefix"
    return $status
}

meson_project() { # words of dependency(): a project whose test is the program
    cp "$work"/user/* .
    printf '%s\n' "project('user', 'c', 'cpp', default_options: ['c_std=gnu11', 'cpp_std=c++11', 'warning_level=3', 'werror=true'])" \
        "cfutures = dependency($1)" \
        "test('c', executable('smoke_c', 'smoke.c', dependencies: cfutures))" \
        "test('cpp', executable('smoke_cpp', 'smoke.cpp', dependencies: cfutures))" >meson.build
}

by_meson() {
    meson_project "'cfutures', version: '>= 0.1'" &&
    PKG_CONFIG_PATH=$prefix/share/pkgconfig meson setup build && meson test -C build --print-errorlogs
}

as_subproject() { # a copy without a wrap file, of which only what a user needs
    meson_project "'cfutures', version: '>= 0.1'" &&
    mkdir -p subprojects/cfutures && cp -R "$root/include" "$root/meson.build" "$root/LICENSE" subprojects/cfutures/ &&
    PKG_CONFIG_LIBDIR=$work meson setup build && meson test -C build --print-errorlogs &&
    DESTDIR=$work/way/destination meson install -C build --no-rebuild && find destination -name cfuturesConfig.cmake | grep .
}

as_folder() { # what the README promises: -Iinclude, -pthread, nothing more
    cp -R "$root/include" . && cc -Iinclude -pthread "$work/user/smoke.c" -o smoke && run ./smoke
}

make_single() {
    # The target, and not only the script behind it.
    meson setup build "$root" && meson compile -C build single-header && mkdir "$work/single" && cp build/cfutures.h "$work/single/"
}

single_is_whole() { # line for line what is in the headers, each header once
    # shellcheck disable=SC2046
    cores=$(cd "$root/include" && cc -fsyntax-only -I. -MM cfutures.h | tr ' \\' '\n\n' | grep '\.h$' | xargs realpath --relative-to=.)
    for header in $cores; do
        [ "$(grep -c "^/\* $header - " "$work/single/cfutures.h")" = 1 ] || { echo "$header isn't there once"; return 1; }
        grep -v '^# *include "' "$root/include/$header" >lines
        # Each line, in this order; others may stand between.
        awk 'NR == FNR { wanted[++n] = $0; next } $0 == wanted[i + 1] { i++ } END { if (i < n) { print "missing: " wanted[i + 1]; exit 1 } }' \
            lines "$work/single/cfutures.h" || return 1
    done
    ! grep '^# *include "' "$work/single/cfutures.h"
}

single_alone() { # twice in one file, without a warning, in every language; then the program
    printf '#include "cfutures.h"\n#include "cfutures.h"\ntypedef int not_empty;\n' >twice.c
    for flags in "cc -std=gnu11 $(warnings c)" "cc -std=gnu11 -DCF_DECLARE_ONLY $(warnings c)" \
        "cc -std=gnu11 -DCF_IMPLEMENTATION $(warnings c)" "c++ -x c++ -std=c++11 $(warnings c++)" "c++ -x c++ -std=c++20 $(warnings c++)"; do
        # shellcheck disable=SC2086
        $flags -Werror -I"$work/single" -fsyntax-only twice.c || return 1
    done
    cp "$work"/user/* "$work/single/cfutures.h" .
    cc -I. -pthread smoke.c -o smoke_c && run ./smoke_c && c++ -std=c++11 -I. -pthread smoke.cpp -o smoke_cpp && run ./smoke_cpp
}

single_one_copy() { # declarations in the program, the bodies compiled once
    printf '#define CF_IMPLEMENTATION\n#include "cfutures.h"\n' >copy.c
    cc -I"$work/single" -DCF_DECLARE_ONLY -pthread "$work/user/smoke.c" copy.c -o smoke && run ./smoke
}

way "installed by meson: every header, nothing else" meson install_all
way "cc and pkg-config, the extra headers as well" "cc pkg-config meson" by_pkg_config
way "CMake: find_package(cfutures), C and C++" "cmake meson" by_cmake
way "CMake: the installed tree was moved" "cmake meson" by_cmake_moved
way "meson: dependency('cfutures') that is installed" "meson pkg-config" by_meson
way "meson: dependency('cfutures') in subprojects/" meson as_subproject
way "the folder include/ and -Iinclude" cc as_folder
way "single header: meson compile single-header" meson make_single
way "single header: whole, line for line" cc single_is_whole
way "single header: alone, twice, C and C++" "cc c++" single_alone
way "single header: declarations, and one compiled copy" cc single_one_copy

if [ "${CI:-}" = true ] && [ $skipped -gt 0 ]; then
    echo "CI installs every tool: a skip is a failure"
    failed=$((failed + skipped)) skipped=0
fi
echo
if [ $skipped -gt 0 ]; then
    echo "$passed passed, $failed failed, $skipped skipped"
else
    echo "$passed passed, $failed failed"
fi
[ $failed -eq 0 ]
