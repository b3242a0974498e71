#!/bin/bash
# algoperf-score compare, as a cluster's CI would use it: real runs of one job on other ranks, threads, instruction sets, seeds and clocks.
. "$(dirname "$0")/lib.sh"
[ -x "${ALGOPERF:-}" ] || skip "needs the benchmark itself"

# train NAME RANKS SED-EXPRESSION: results in $T/NAME
train() {
  job "$T/$1.cfg" "results = \"$T/$1\"; clock = \"steps\"; max_steps = 24; eval_every = 8; trials = 2; threads = 1; seed = 1;" \
    'workloads = ( { name = "mnist"; scale = "mini"; data = "synthetic"; options = { hidden = 24; }; } );' \
    'submissions = ( { submission = "nadamw"; } );'
  sed -i "$3" "$T/$1.cfg"
  timeout 300 mpirun -n "$2" "$ALGOPERF" run "$T/$1.cfg" >"$T/$1.log" 2>&1
  [ $? -le 1 ] || { fail "$1"; tail -n 5 "$T/$1.log"; }
}
train one 1 ''
train two 2 's/threads = 1/threads = 2/'
ALGOPERF_ISA=portable train portable 1 ''
train seed 1 's/seed = 1/seed = 2/'
train longer 1 's/max_steps = 24/max_steps = 32/'
train fewer 1 's/trials = 2/trials = 1/'
train wall 1 's/clock = "steps"/clock = "wall"/; s/eval_every = 8/eval_every = 4/; s/max_steps = 24/max_steps = 20/'
train wall_longer 1 's/clock = "steps"/clock = "wall"/'

expect 0 "SAME: 2 identical" "$SCORE" compare "$T/one" "$T/two"
expect 0 "ranks  *should not" "$SCORE" compare "$T/one" "$T/two"
expect 0 "instruction_set  *should not" "$SCORE" compare "$T/one" "$T/portable"
expect 1 "nadamw/study_0/mnist/trial_1: first at step 1: steps/loss" "$SCORE" compare "$T/one" "$T/seed"
expect 1 "trial_seed  *yes" "$SCORE" compare "$T/one" "$T/seed"
expect 1 "which no wall clock explains" "$SCORE" compare "$T/one" "$T/longer"
expect 1 "1 only in A" "$SCORE" compare "$T/one" "$T/fewer"
expect 0 "SAME: 2 same as far as both go" "$SCORE" compare "$T/wall" "$T/wall_longer"
expect 1 "DIFFERENT: 2 same as far as both go" "$SCORE" compare --strict "$T/wall" "$T/wall_longer"
expect 0 "SAME: 1 identical" "$SCORE" compare "$T/one/nadamw/study_0/mnist/trial_1" "$T/two/nadamw/study_0/mnist/trial_1/result.h5"
expect 0 '"same": true' "$SCORE" compare --json "$T/one" "$T/two"

# The same bits print the same text, whatever the times were.
"$SCORE" compare --ignore-time "$T/one" "$T/one" | tail -n +3 >"$T/first"
train one_again 1 ''
"$SCORE" compare --ignore-time "$T/one" "$T/one_again" | tail -n +3 >"$T/second"
cmp -s "$T/first" "$T/second" && pass "same text" || { fail "texts differ"; diff "$T/first" "$T/second"; }

# What is wrong is more than 1, so that CI can tell it from a difference.
expect 2 "one of the two results to compare is missing" "$SCORE" compare "$T/one"
expect 2 "is too much" "$SCORE" compare "$T/one" "$T/two" "$T/seed"
expect 2 "did you mean --strict" "$SCORE" compare "$T/one" "$T/two" --stricd
expect 5 "No such file" "$SCORE" compare "$T/one" "$T/nothing"
expect 4 "two of a kind" "$SCORE" compare "$T/one" "$T/two/nadamw/study_0/mnist/trial_1"
expect 4 "no trial found" "$SCORE" compare "$T/one" "$T/one/nadamw"
cp -r "$T/two" "$T/damaged"
printf X | dd of="$T/damaged/nadamw/study_0/mnist/trial_2/result.h5" bs=1 seek=4000 conv=notrunc 2>/dev/null
expect 4 "damaged/nadamw/study_0/mnist/trial_2/result.h5: is damaged" "$SCORE" compare "$T/one" "$T/damaged"
expect 5 "could not be printed" sh -c "'$SCORE' compare '$T/one' '$T/two' >/dev/full"
done_testing
