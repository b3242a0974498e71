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

# A warning goes to stderr: the CSV stays a table that programs read.
log fast other_jax 10
"$SCORE" score "$T/logs" --targets "$table" --csv >"$T/csv" 2>"$T/warnings"
[ "$(wc -l <"$T/csv")" -eq 3 ] && pass "CSV of 3 lines" || fail "CSV is: $(cat "$T/csv")"
grep -q "workload other is not in the table" "$T/warnings" && pass "warning" || fail "stderr is: $(cat "$T/warnings")"
done_testing
