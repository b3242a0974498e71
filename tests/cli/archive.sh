#!/bin/bash
# algoperf-score collect, export and check on real runs, and on trees, files and logs that are damaged or made to do harm.
. "$(dirname "$0")/lib.sh"
[ -x "${ALGOPERF:-}" ] || skip "needs the benchmark itself"

job "$T/job.cfg" "results = \"$T/run\"; clock = \"steps\"; max_steps = 24; eval_every = 8; trials = 2; studies = 1; threads = 1;" \
  'workloads = ( { name = "mnist"; scale = "mini"; data = "synthetic"; options = { hidden = 24; }; } );' \
  'submissions = ( { submission = "nadamw"; }, { submission = "momentum"; } );'
timeout 300 "$ALGOPERF" run "$T/job.cfg" >"$T/run.log" 2>&1
[ $? -le 1 ] || { fail "run"; tail -n 5 "$T/run.log"; done_testing; }
trial=nadamw/study_0/mnist/trial_2

# ---- what a run leaves is VALID, as a folder, as a file and trial by trial
expect 0 "run: VALID, 4 verdicts of 4 trials" "$SCORE" check "$T/run"
expect 0 "run.h5: 4 trials" "$SCORE" collect "$T/run" --output "$T/run.h5"
expect 0 "run.h5: VALID, 4 verdicts of 4 trials" "$SCORE" check "$T/run.h5"
expect 0 "VALID, 1 verdict" "$SCORE" check "$T/run/$trial"
expect 0 "SAME: 4 identical" "$SCORE" compare "$T/run" "$T/run.h5"
printf 'workload,role,base_workload,metric,direction,validation_target\nmnist mini (synthetic),base,x,accuracy,max,0.25\n' >"$T/ours.csv"
printf 'workload,role,base_workload,metric,direction,validation_target\nmnist_mini,base,x,accuracy,max,0.25\n' >"$T/theirs.csv"
"$SCORE" score "$T/run" --targets "$T/ours.csv" --csv >"$T/score.folder" || fail "score of the folder"
"$SCORE" score "$T/run.h5" --targets "$T/ours.csv" --csv >"$T/score.file" || fail "score of the file"
expect 0 "official: 4 trials" "$SCORE" export "$T/run.h5" --official "$T/official"
"$SCORE" score "$T/official" --targets "$T/theirs.csv" --csv >"$T/score.official" || fail "score of the official logs"
grep -q '^momentum,1,1' "$T/score.folder" || fail "nothing reached the target: $(cat "$T/score.folder")"
for other in file official; do
  cmp -s "$T/score.folder" "$T/score.$other" && pass "same score from the $other" || fail "another score from the $other: $(cat "$T/score.$other")"
done
expect 0 "official: VALID, 4 official logs" "$SCORE" check "$T/official"
expect 2 "is there already" "$SCORE" export "$T/run" --official "$T/official"
if [ -n "$PYTHON" ]; then
  expect 0 "4 trials, .* cells: equal" "$PYTHON" "$SOURCE/tests/cli/official_log.py" "$T/run" "$T/official"
else
  echo "no Python with h5py: the independent comparison of official logs is left out"
fi

# ---- a run that was killed and resumed, and one that is not over
if [ "$(command -v setsid)" ]; then
  sed "s|$T/run|$T/killed|; s/max_steps = 24/max_steps = 1500/; s/trials = 2/trials = 1/" "$T/job.cfg" >"$T/killed.cfg"
  setsid "$ALGOPERF" run "$T/killed.cfg" >"$T/killed.log" 2>&1 &
  pid=$!
  for _ in $(seq 600); do [ -s "$T/killed/nadamw/study_0/mnist/trial_1/result.h5" ] && break; sleep 0.1; done
  kill -KILL "$pid"
  wait "$pid" 2>/dev/null
  expect 1 "has no verdict yet" "$SCORE" check "$T/killed"
  expect 1 "momentum/study_0/mnist/trial_1: has no result" "$SCORE" check "$T/killed"
  timeout 300 "$ALGOPERF" run "$T/killed.cfg" >>"$T/killed.log" 2>&1
  expect 0 "killed: VALID, 2 verdicts of 2 trials" "$SCORE" check "$T/killed"
fi

# ---- damage of every kind is INVALID with its reason, and stops the others with 4
spoil() { rm -rf "$T/bad"; cp -r "$T/run" "$T/bad"; }
spoil && truncate -s -1 "$T/bad/$trial/result.h5"
expect 1 "$trial: .*it was cut off or added to" "$SCORE" check "$T/bad"
expect 4 "cut off or added to" "$SCORE" collect "$T/bad" --output "$T/bad.h5"
[ -e "$T/bad.h5" ] && fail "a collection was left behind" || pass "nothing half-written"
spoil && truncate -s 0 "$T/bad/$trial/result.h5"
expect 1 "has only 0 bytes" "$SCORE" check "$T/bad"
spoil && printf X | dd of="$T/bad/$trial/result.h5" bs=1 seek=3000 conv=notrunc 2>/dev/null
expect 1 "$trial: .*is damaged: its digest is" "$SCORE" check "$T/bad"
spoil && rm -r "${T:?}/bad/$trial"
expect 1 "$trial: has no result" "$SCORE" check "$T/bad"
spoil && cp -r "$T/bad/$trial" "$T/bad/nadamw/study_0/mnist/trial_3"
expect 1 "trial_3: is no trial of the job" "$SCORE" check "$T/bad"
spoil && cp "$T/bad/nadamw/study_0/mnist/trial_1/result.h5" "$T/bad/$trial/result.h5"
expect 1 "$trial: was run with hyperparameters" "$SCORE" check "$T/bad"
spoil && sed -i '2s/"global_step": *8/"global_step": 9/; 2s/"global_step":8/"global_step":9/' "$T/bad/$trial/events.jsonl"
expect 1 "evaluation 0 is after step 9" "$SCORE" check "$T/bad"
spoil && touch "$T/bad/$trial/.result.h5.elsewhere.77.tmp"
expect 1 "temp file .result.h5.elsewhere.77.tmp" "$SCORE" check "$T/bad"
spoil && rm "$T/bad/$trial/result.h5" && mkfifo "$T/bad/$trial/result.h5"
expect 1 "is not a regular file" "$SCORE" check "$T/bad"
expect 4 "is not a regular file" "$SCORE" score "$T/bad"
spoil && rm "$T/bad/$trial/result.h5" && ln -s /dev/zero "$T/bad/$trial/result.h5"
expect 4 "is not a regular file" "$SCORE" score "$T/bad"
cp "$T/run.h5" "$T/spoilt.h5" && printf X | dd of="$T/spoilt.h5" bs=1 seek=9000 conv=notrunc 2>/dev/null
expect 4 "spoilt.h5: is damaged" "$SCORE" score "$T/spoilt.h5"
expect 1 "spoilt.h5: is damaged" "$SCORE" check "$T/spoilt.h5"

# ---- a file that makes HDF5 run for ever or crash: one line, and the exit code of bad data
expect 4 "run.h5: HDF5 did not finish" env AP_TEST_GUARD=hang "$SCORE" score "$T/run.h5"
expect 1 "INVALID: .*HDF5 did not finish" env AP_TEST_GUARD=hang "$SCORE" check "$T/run"
if [ -z "${ASAN_OPTIONS:-}" ]; then
  expect 4 "HDF5 crashed while reading it" env AP_TEST_GUARD=crash "$SCORE" compare "$T/run" "$T/run.h5"
fi

# ---- names that would write on the terminal
escape=$(printf 'esc\033[2Jape')
mkdir -p "$T/names/$escape/study_0/w_jax/trial_1"
printf 'score,global_step,validation/accuracy\n1,1\n' >"$T/names/$escape/study_0/w_jax/trial_1/eval_measurements.csv"
cp -r "$T/run/momentum" "$T/official/$escape"
for tree in names official; do "$SCORE" score "$T/$tree" --targets "$T/theirs.csv"; "$SCORE" check "$T/$tree"; done >"$T/out" 2>&1
mv "$T/official/$escape" "$T/run/$escape"
{ "$SCORE" score "$T/run"; "$SCORE" check "$T/run"; "$SCORE" compare "$T/run" "$T/run.h5"; } >>"$T/out" 2>&1
rm -r "${T:?}/run/$escape"
grep -q "$(printf '\033')" "$T/out" && fail "an escape sequence came through" || pass "escape sequences are shown as ?"
grep -q 'esc?\[2Jape' "$T/out" || fail "the name is not shown: $(cat "$T/out")"

# ---- command lines
expect 2 "output FILE.h5 is missing" "$SCORE" collect "$T/run"
expect 2 "official DIR is missing" "$SCORE" export "$T/run"
expect 2 "must be jax or pytorch" "$SCORE" export "$T/run" --official "$T/x" --framework tf
expect 2 "folder of results is missing" "$SCORE" check
expect 5 "No such file" "$SCORE" check "$T/nothing"
expect 5 "No such file" "$SCORE" collect "$T/run" --output "$T/no/such/folder/x.h5"
expect 4 "there twice" "$SCORE" collect "$T/run" "$T/run.h5" --output "$T/x.h5"
expect 4 "one trial's result" "$SCORE" collect "$T/run/$trial" --output "$T/x.h5"
expect 4 "is an official log" "$SCORE" collect "$T/official" --output "$T/x.h5"
expect 5 "could not be printed" sh -c "'$SCORE' check '$T/run' >/dev/full"
done_testing
