#!/bin/sh
# tests/readme.sh - what README.md shows works as it stands.
#
# In a copy of the tree, in the order of the page:
#   ```sh    each block runs, and must succeed.  A line that .ci/run runs too isn't run a second time; a `git clone`
#            isn't run at all, for the copy is that clone: such a block starts beside it, any other inside.
#   ```c     each program, a block with a main(), is compiled with `cc -Iinclude` and runs;
#            one without a main() is only compiled, behind the #include;
#   ```text  directly after a program is what it prints, to the letter.
#   | `examples/NAME.c` |  at the head of a table's last column: the code in that column stands in that file;
#   cf_ and CF_ names stand in the headers.
set -u
cd "$(dirname "$0")/.." || exit 1
[ -f README.md ] || { echo "README.md doesn't exist"; exit 77; }
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
mkdir "$work/cfutures" "$work/blocks"
if [ -e .git ]; then
    git ls-files -co --exclude-standard
else
    find . -type d \( -name .git -o -name build \) -prune -o -type f -print
fi | tar cf - -T - | tar xf - -C "$work/cfutures" || exit 1
cp .ci/run "$work/ci" || exit 1

# blocks/NNN.sh, .c and .text; a text belongs to the block before when only blank lines stand between.
awk -v dir="$work/blocks" '
/^[ \t]*```/ {
    if (name != "") { close(name); name = ""; after = 1; next }
    kind = $0; sub(/^[ \t]*```/, "", kind); sub(/[ \t].*/, "", kind)
    if (kind == "text" && !after) kind = "other"
    if (kind != "text") n++
    if (kind !~ /^[a-z]+$/) kind = "other"
    name = sprintf("%s/%03d.%s", dir, n, kind)
    printf "" >name
    print FNR >(dir "/" sprintf("%03d.line", n)); close(dir "/" sprintf("%03d.line", n))
    next
}
name != "" { print >name; next }
/[^ \t]/ { after = 0 }' README.md

passed=0 failed=0
result() { # status, what
    if [ "$1" -eq 0 ]; then
        passed=$((passed + 1))
        echo "ok      $2"
    else
        failed=$((failed + 1))
        echo "FAILED  $2"
        head -n 60 "$work/output" | sed 's/^/        /'
    fi
}

for block in "$work"/blocks/*; do
    base=${block%.*}
    place="README.md:$(cat "$base.line")"
    : >"$work/output"
    case $block in
    *.sh)
        start=$work/cfutures
        grep -q '^ *git clone' "$block" && start=$work
        awk -v ci="$work/ci" '
        BEGIN { while ((getline line < ci) > 0) { sub(/^[ \t]+/, "", line); run[line] = 1 } }
        {
            plain = $0; sub(/^[ \t]*(\$ )?/, "", plain); sub(/[ \t]+#.*$/, "", plain); sub(/[ \t]+$/, "", plain)
            if (plain ~ /^git clone/) { print "cd cfutures 2>/dev/null || :"; next }
            if (plain ~ /^cd cfutures$/) next
            if (plain != "" && plain in run) { print ": in .ci/run: " plain; next }
            sub(/^[ \t]*\$ /, ""); print
        }' "$block" >"$work/script"
        # root needs no sudo, and may have none
        if [ "$(id -u)" = 0 ] && ! command -v sudo >/dev/null 2>&1; then
            { echo 'sudo() { "$@"; }'; cat "$work/script"; } >"$work/with" && mv "$work/with" "$work/script"
        fi
        (cd "$start" && timeout 600 sh -eux "$work/script") >"$work/output" 2>&1 </dev/null
        status=$?
        grep '^+ ' "$work/output" | grep -v '^+ cd cfutures' | cut -c3- | sed 's/^: in/  (in/;t end;s/^/  $ /;b;:end;s/$/)/'
        result $status "$place: sh" ;;
    *.c)
        if ! grep -Eq '(^|[^A-Za-z0-9_])main\(' "$block"; then
            (cd "$work/cfutures" && cc -Iinclude -include cfutures.h -fsyntax-only "$block") >"$work/output" 2>&1
            result $? "$place: compiles"
            continue
        fi
        (cd "$work/cfutures" && cc -Iinclude "$block" -o "$base.program") >"$work/output" 2>&1 &&
            timeout 60 "$base.program" >"$base.printed" 2>"$work/output"
        status=$?
        if [ $status -eq 0 ] && [ -f "$base.text" ]; then
            diff -u "$base.text" "$base.printed" >"$work/output"
            status=$?
            result $status "$place: program, and what it prints"
        else
            result $status "$place: program"
        fi ;;
    esac
done
# Of each table whose last column is headed by a program, and the one before by a .py: file, line, code without indentation.
awk -F ' *[|] *' '
!/^\|/ { file = ""; next }
file == "" && /^\| `[a-z_]*\.py` \| `examples\/[a-z_]*\.c` \|$/ { file = $3; gsub(/`/, "", file); next }
file != "" && $(NF - 1) ~ /^`/ { code = $(NF - 1); gsub(/^` *|`$/, "", code); print file "\t" FNR "\t" code }
' README.md >"$work/quotes" || exit 1
tab=$(printf '\t')
# shellcheck disable=SC2013 # a line is a word
for file in $(cut -f1 "$work/quotes" | sort -u); do
    : >"$work/output"
    while IFS=$tab read -r from line code; do
        [ "$from" = "$file" ] || continue
        grep -qF -- "$code" "$file" || echo "README.md:$line: not in $file: $code" >>"$work/output"
    done <"$work/quotes"
    [ ! -s "$work/output" ]
    result $? "README.md: what it quotes of $file"
done

: >"$work/output"
# shellcheck disable=SC2013 # a line is a word
for name in $(grep -Eo '\b(cf|CF)_[A-Za-z_]*[A-Za-z]' README.md | sort -u); do
    grep -rqw -- "$name" include || echo "README.md:$(grep -nwm 1 -- "$name" README.md | cut -d: -f1): no such name: $name" >>"$work/output"
done
[ ! -s "$work/output" ]
result $? "README.md: the names that it uses"

echo
echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
