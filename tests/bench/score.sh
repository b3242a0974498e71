#!/usr/bin/env bash
# CPU time and memory of scoring the published v0.5 external leaderboard (3700 trials): tests/bench/score.sh [BUILD]
# The logs lie beside the repository in ../shared/leaderboard; they are unpacked to a temporary folder first.
set -euo pipefail
cd "$(dirname "$0")/../.."
score=${1:-build/release}/analysis/algoperf-score
logs=../shared/leaderboard/v05_external/logs.tar.xz
[ -e "$logs" ] || { echo "no $logs: nothing to measure"; exit 77; }
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
tar -xJf "$logs" -C "$T"

# measure LABEL ARGUMENTS...: the fastest of five runs after a first that fills the file cache.
measure() {
  local label=$1
  shift
  for _ in 0 1 2 3 4 5; do
    bash -c 'TIMEFORMAT="%U %S %R"; time "$@" >/dev/null 2>"$0"' "$T/log" "$score" "$@" 2>>"$T/times"
  done
  tail -n 5 "$T/times" | sort -n | head -n 1 | awk -v l="$label" '{printf "%-34s %5.2f s user + %5.2f s system, %5.2f s elapsed", l, $1, $2, $3}'
  command -v /usr/bin/time >/dev/null && /usr/bin/time -f ", %M kB" -o "$T/mem" "$score" "$@" >/dev/null 2>&1 && cat "$T/mem" || echo
}
measure "score --csv" score "$T/logs" --targets v05 --csv
measure "score (all text tables)" score "$T/logs" --targets v05
measure "score --json" score "$T/logs" --targets v05 --json
measure "score --confidence 0.95 (10000)" score "$T/logs" --targets v05 --confidence 0.95
