#!/usr/bin/env bash
# Two jobs on one tree, and one of them dies: the other, told to --wait, finishes what it leaves; without --wait it says who has the rest.
. "$(dirname "$0")/lib.sh"

echo '[{"learning_rate": 0.0, "one_minus_beta1": 0.1, "beta2": 0.99, "weight_decay": 0, "warmup_factor": 0.05, "label_smoothing": 0.1}]' >"$T/still.json" # learns nothing
write_job() { # NAME ISOLATION: a tree of two trials of 400 steps; the first one hangs once, at step 200 (its rank sleeps for ever)
  job "$T/$1.cfg" "results = \"$T/$1\"; clock = \"steps\"; isolation = \"$2\"; studies = 2; trials = 1; max_steps = 400; max_runtime_s = 1e6; eval_every = 100; ranks_per_trial = 1;" \
    "workloads = ( { name = \"dummy\"; options = { fault = \"hang\"; fault_step = 200; once = \"$T/$1.once\"; } ; } );" 'submissions = ( { submission = "nadamw"; search_space = "still.json"; } );'
}
wait_for() { # WHAT COMMAND...
  local what=$1
  shift
  for _ in $(seq 1 6000); do "$@" && return 0; sleep 0.05; done
  fail "never: $what"
}
done_count() { "$ALGOPERF" status "$T/$1" | awk '$2 == "done" { print $1 }'; }
one_done() { [ "$(done_count "$1")" = 1 ]; }

for isolation in world step; do
  echo "== isolation $isolation"
  write_job $isolation $isolation
  mpirun -n 1 "$ALGOPERF" run "$T/$isolation.cfg" >"$T/first.log" 2>&1 & # hangs in one of the trials
  first=$!
  wait_for "a trial hangs" test -e "$T/$isolation.once"
  expect 0 "1 trial is claimed by other processes, the first .* by process" "$ALGOPERF" run "$T/$isolation.cfg"
  expect 0 "1 running" "$ALGOPERF" status "$T/$isolation"
  one_done $isolation || fail "not one verdict"
  "$ALGOPERF" run "$T/$isolation.cfg" --wait >"$T/second.log" 2>&1 &
  second=$!
  sleep 1
  kill -0 $second 2>/dev/null && pass "it waits" || { fail "it does not wait"; cat "$T/second.log"; }
  kill -KILL $(pgrep -P $first) # the hanging rank, without a word
  wait $first 2>/dev/null
  wait $second
  code=$?
  [ $code -eq 1 ] && grep -q "2 trials: 2 step_cap" "$T/second.log" && pass "it took over and finished" || { fail "exit code $code"; cat "$T/second.log"; }
  grep -q '"repeated_steps":' "$T/$isolation/nadamw/study_0/dummy/trial_1/events.jsonl" "$T/$isolation/nadamw/study_1/dummy/trial_1/events.jsonl" || fail "no trial was resumed"
  [ "$(find "$T/$isolation/.sweep/claims" -type f | wc -l)" -eq 0 ] || fail "claims are left"
done

echo "== a signal ends the wait"
write_job last world
mpirun -n 1 "$ALGOPERF" run "$T/last.cfg" >"$T/first.log" 2>&1 &
first=$!
wait_for "a trial hangs" test -e "$T/last.once"
mpirun -n 2 "$ALGOPERF" run "$T/last.cfg" --wait >"$T/second.log" 2>&1 &
second=$!
wait_for "the other trial is done" one_done last
kill -USR1 $second
wait $second
[ $? -eq 75 ] && pass "75" || { fail "not 75"; cat "$T/second.log"; }
kill -KILL $(pgrep -P $first)
wait $first 2>/dev/null
done_testing
