#!/usr/bin/env bash
# The unit tests under the address and undefined-behaviour sanitizers (preset asan), if that build is there: tests/run makes it.
. "$(dirname "$0")/lib.sh"
[ -f "$ASAN_BUILD/CTestTestfile.cmake" ] || skip "no asan build: cmake --preset asan && cmake --build --preset asan"
# Open MPI leaks on exit; our own leaks are looked for in the tests that do not initialise it.
ASAN_OPTIONS=detect_leaks=0 ctest --test-dir "$ASAN_BUILD" -L unit -j 2 --output-on-failure >"$T/log" 2>&1 || { fail "unit tests under the sanitizers"; tail -n 60 "$T/log"; }
tail -n 12 "$T/log" | sed 's/^/    /'
done_testing
