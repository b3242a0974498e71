#!/bin/bash
# algoperf-score as users start it: command line, exit codes, what goes to stdout and what to stderr.
. "$(dirname "$0")/lib.sh"

# log SUBMISSION WORKLOAD SECONDS: one official log that reaches an accuracy of 0.9 in its second row.
log() {
  local folder="$T/logs/$1/study_0/$2/trial_1"
  mkdir -p "$folder"
  printf 'global_step,score,validation/accuracy\n10,1,0.5\n20,%s,0.9\n' "$3" >"$folder/eval_measurements.csv"
}
table="$T/targets.csv"
{
  echo workload,role,base_workload,metric,direction,validation_target
  echo w,base,w,accuracy,max,0.9
} >"$table"
log fast w_jax 10
log slow w_pytorch 20

expect 0 "^  score " "$SCORE" --help
expect 0 "score RESULTS" "$SCORE" score --help
expect 2 "what is to be done is missing" "$SCORE"
expect 2 "did you mean \"score\"" "$SCORE" skore "$T/logs"
expect 2 "folder of results is missing" "$SCORE" score
expect 2 "did you mean --targets" "$SCORE" score "$T/logs" --tagrets v05
expect 2 "did you mean --csv" "$SCORE" score "$T/logs" --cvs
expect 2 "needs a value" "$SCORE" score "$T/logs" --targets
expect 2 "add --targets v05" "$SCORE" score "$T/logs"
expect 2 "neither a published table" "$SCORE" score "$T/logs" --targets v04
expect 5 "No such file" "$SCORE" score "$T/nothing" --targets "$table"
expect 4 "no trial found" "$SCORE" score "$T/logs/fast" --targets "$table"
expect 4 "nothing to score" "$SCORE" score "$T/logs" --targets v05
expect 5 "could not be printed" sh -c "'$SCORE' score '$T/logs' --targets '$table' >/dev/full"
expect 0 "fast  *1.0000" "$SCORE" score "$T/logs" --targets "$table"
expect 0 "^fast,1" "$SCORE" score --csv "$T/logs" --targets="$table"

# Words that options cannot have.
s() { "$SCORE" score "$T/logs" --targets "$table" "$@"; }
export SCORE T table; export -f s
expect 2 "must be time or steps" bash -c 's --metric seconds'
expect 2 "did you mean steps" bash -c 's --metric step'
expect 2 "did you mean self_tuning" bash -c 's --ruleset self-tuning'
expect 2 "one of them" bash -c 's --csv --json'
expect 2 "between 0 and 1" bash -c 's --confidence 95'
expect 2 "between 0 and 1" bash -c 's --confidence 0.9x'
expect 2 "integer from 1" bash -c 's --confidence 0.9 --resamples 0'
expect 2 "integer from 0" bash -c 's --confidence 0.9 --seed=-1'
expect 2 "add --confidence" bash -c 's --seed 1'
expect 2 "there are: fast, slow" bash -c 's --reference quick'
expect 2 "not of steps" bash -c 's --reference fast --metric steps'
expect 2 "takes no value" bash -c 's --strict=yes'

# Tables and logs that are not what they should be: file, line and column are named.
bad_table() { printf '%b' "$2" >"$T/bad.csv"; expect 4 "$1" "$SCORE" score "$T/logs" --targets "$T/bad.csv"; }
head=workload,role,base_workload,metric,direction,validation_target
bad_table "no header line" ""
bad_table "no column \"role\"" "workload,metric\nw,accuracy\n"
bad_table "bad.csv:2: role is \"basis\"" "$head\nw,basis,w,accuracy,max,0.9\n"
bad_table "bad.csv:2: direction is" "$head\nw,base,w,accuracy,up,0.9\n"
bad_table "must be finite" "$head\nw,base,w,accuracy,max,inf\n"
bad_table "is there twice" "$head\nw,base,w,accuracy,max,0.9\nw,base,w,accuracy,max,0.8\n"
bad_table "no base workload of this table" "$head\nw,base,w,accuracy,max,0.9\nv,held_out,x,accuracy,max,0.9\n"
bad_table "has the role base" "$head\nw,variant,w,accuracy,max,0.9\n"
bad_table "bad.csv:2: max_runtime_external_s is \"-3\"" "$head,max_runtime_external_s\nw,base,w,accuracy,max,0.9,-3\n"
bad_table "NUL byte" "$head\nw,base,w,accuracy,max,0.9\n\0"
bad_log() {
  mkdir -p "$T/bad/a/study_0/w_jax/trial_1"
  printf '%b' "$2" >"$T/bad/a/study_0/w_jax/trial_1/eval_measurements.csv"
  expect 4 "$1" "$SCORE" score "$T/bad" --targets "$table"
}
bad_log "csv:2: 2 cells in a table of 3" "global_step,score,validation/accuracy\n1,2\n"
bad_log "csv:2: global_step is \"1.5\"" "global_step,score,validation/accuracy\n1.5,2,0.5\n"
bad_log "csv:2: score is \"-2\"" "global_step,score,validation/accuracy\n1,-2,0.5\n"
bad_log "column \"validation/accuracy\" is \"0x1\"" "global_step,score,validation/accuracy\n1,2,0x1\n"
bad_log "no column \"score\"" "global_step,validation/accuracy\n1,2\n"
bad_log "is there twice" "global_step,score,score\n1,2,3\n"

# Submissions left out.
expect 0 "^slow,1" bash -c 's --without fast --csv'
expect 2 "without: there is no submission \"quick\"; there are: fast, slow" bash -c 's --without quick'
expect 2 "nothing is left" bash -c 's --without fast,slow'

# Strict: what a complete set would have.
expect 0 "^fast,1" bash -c 's --strict --csv'
mkdir -p "$T/logs/fast/study_1/w_jax"
cp -r "$T/logs/fast/study_0/w_jax/trial_1" "$T/logs/fast/study_1/w_jax/"
expect 4 "slow: workloads without 2 studies (1): w (1)" bash -c 's --strict'
expect 0 "warning: slow: workloads without 2 studies" bash -c 's --csv'
rm -r "$T/logs/fast/study_1"

# A dated folder is merged into the submission it is named after, and a submission of its own.
log slow-2024-01-31-12-00-00 w_jax 5
expect 0 "is merged into slow" bash -c 's --csv'
s --csv 2>/dev/null >"$T/csv"
[ "$(grep -c '^slow.*,1,1$' "$T/csv")" -eq 2 ] && pass "merged" || fail "CSV is: $(cat "$T/csv")"
rm -r "$T/logs/slow-2024-01-31-12-00-00"

# The text has every table; the JSON is JSON, with the same score; the bootstrap depends on its seed alone.
for title in Workloads Trials "To target, every study" "To target, median" "Probability that one beats the other" Scores; do
  expect 0 "^$title" bash -c 's --confidence 0.9 --resamples 50'
done
expect 0 "^Speedup against slow" bash -c 's --reference slow'
expect 0 "^Step scores" bash -c 's --metric steps'
s --json --confidence 0.9 --resamples 50 2>/dev/null >"$T/json"
if [ -n "$PYTHON" ]; then
  "$PYTHON" - "$T/json" <<'EOF' && pass "JSON" || fail "JSON"
import json, sys
d = json.load(open(sys.argv[1]), parse_constant=lambda name: sys.exit(f"{name} is no JSON"))
assert [s["submission"] for s in d["scores"]] == ["fast", "slow"], d["scores"]
assert d["scores"][0]["score"] == 1 and len(d["scores"][0]["profile"]) == len(d["tau"]) == 100
assert d["trials"][0]["hit_time_s"] == 10 and d["trials"][0]["time_to_best_s"] is None
assert {p["probability"] for p in d["confidence"]["beats"]} == {0, 1}
EOF
fi
s --json --confidence 0.9 --resamples 50 2>/dev/null | cmp -s - "$T/json" && pass "same seed, same text" || fail "same seed, other text"

# Sensitivity: text, CSV and JSON.
v() { "$SCORE" sensitivity "$T/logs" --targets "$table" "$@"; }
export -f v
expect 0 "^Changes" bash -c v
expect 0 "target *0.5 % harder *[a-z]* *[01] *-1.0000" bash -c v
expect 0 "^target,0.5 % harder,fast,0,1,-1$" bash -c 'v --csv'
expect 0 "algoperf-score sensitivity 1" bash -c 'v --json'
expect 2 "one of them" bash -c 'v --json --csv'
expect 2 "folder of results is missing" "$SCORE" sensitivity
[ -z "$PYTHON" ] || v --json | "$PYTHON" -c 'import json, sys; json.load(sys.stdin)' && pass "JSON" || fail "JSON"

# A warning goes to stderr: the CSV stays a table that programs read.
log fast other_jax 10
"$SCORE" score "$T/logs" --targets "$table" --csv >"$T/csv" 2>"$T/warnings"
[ "$(wc -l <"$T/csv")" -eq 3 ] && pass "CSV of 3 lines" || fail "CSV is: $(cat "$T/csv")"
grep -q "workload other is not in the table" "$T/warnings" && pass "warning" || fail "stderr is: $(cat "$T/warnings")"
done_testing
