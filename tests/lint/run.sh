#!/bin/sh
# tests/lint/run.sh - what the compiler doesn't check about this tree, one script a rule, then the proof that each
# rule can fail (selftest.sh).  A script takes the tree's root as its argument, prints what is wrong,
# and returns 0, 1, or 77 for "a tool is missing"; where CI=true that is a failure.
set -u
cd "$(dirname "$0")/../.." || exit 1

passed=0 failed=0 skipped=0
for rule in layers seam labels globals size names paths format version tidy selftest; do
    output=$(timeout 250 sh "tests/lint/$rule.sh" "$PWD" 2>&1)
    status=$?
    if [ $status -eq 77 ] && [ "${CI:-}" = true ]; then
        status=1
    fi
    case $status in
    0) passed=$((passed + 1)); word=passed ;;
    77) skipped=$((skipped + 1)); word=skipped ;;
    *) failed=$((failed + 1)); word=FAILED ;;
    esac
    printf '%-10s %s\n' "$rule" "$word"
    [ -z "$output" ] || printf '%s\n' "$output" | head -n 60 | sed 's/^/    /'
done

echo
if [ $skipped -gt 0 ]; then
    echo "$passed passed, $failed failed, $skipped skipped"
else
    echo "$passed passed, $failed failed"
fi
[ $failed -eq 0 ]
