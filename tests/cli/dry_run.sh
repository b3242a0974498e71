#!/usr/bin/env bash
# run --dry-run: what there is to do and what it needs; it leaves nothing behind.
. "$(dirname "$0")/lib.sh"

job "$T/job.cfg" "results = \"$T/folder/tree\"; trials = 4; studies = 2; max_runtime_s = 90.0; ranks_per_trial = 2;" \
  'workloads = ( { name = "mnist"; scale = "mini"; data = "synthetic"; } );' 'submissions = ( { submission = "nadamw"; }, { submission = "momentum"; } );'
expect 0 "16 trials, 16 without a verdict" "$ALGOPERF" run "$T/job.cfg" --dry-run
[ -e "$T/folder/tree" ] && fail "a dry run made a tree"
[ -z "$(find "$T" -name '.algoperf-dry-run*')" ] || fail "left: $(find "$T" -name '.algoperf-dry-run*')"
out=$("$ALGOPERF" run "$T/job.cfg" --dry-run 2>"$T/err")
has() { grep -q -- "$1" <<<"$out" && pass "$1" || { fail "no \"$1\" in:"; echo "$out"; cat "$T/err"; }; }
has "101770 parameters, global batch" # 784 x 128 + 128 + 128 x 10 + 10
has "1 group of 2 ranks"
has "at most 0.8 core-hours"          # 16 trials x 90 s x 2 ranks
has "job's own budgets"
# Model 4 bytes a parameter; nadamw keeps two moments, momentum one; 8 shards on 2 ranks: 3 gradient arrays.
has "model 0.4, gradients 1.2, optimizer 0.8"
has "model 0.4, gradients 1.2, optimizer 0.4"
has "grace needed"
out=$(mpirun -n 4 "$ALGOPERF" run "$T/job.cfg" --dry-run 2>"$T/err")
has "2 groups of 2 ranks .*in one world of 4 ranks"
has "all groups at once"
sed -i 's/ranks_per_trial = 2;/ranks_per_trial = 2; isolation = "step";/' "$T/job.cfg"
out=$("$ALGOPERF" run "$T/job.cfg" --dry-run --groups 3 2>"$T/err")
has "3 groups of 2 ranks .*each a world of its own"

echo "== a tree that is partly done"
job "$T/part.cfg" "results = \"$T/part\"; clock = \"steps\"; studies = 3; trials = 1; max_steps = 4; eval_every = 4;" \
  'workloads = ( { name = "dummy"; } );' 'submissions = ( { submission = "nadamw"; } );'
"$ALGOPERF" run "$T/part.cfg" >/dev/null 2>&1
expect 0 "3 trials, 0 without a verdict" "$ALGOPERF" run "$T/part.cfg" --dry-run
"$ALGOPERF" retry "$T/part/nadamw/study_1/dummy/trial_1" >/dev/null
expect 0 "3 trials, 1 without a verdict" "$ALGOPERF" run "$T/part.cfg" --dry-run

echo "== wrong input"
expect 2 "goes with --dry-run" "$ALGOPERF" run "$T/part.cfg" --measure
sed 's/isolation = "step";//' "$T/job.cfg" >"$T/three.cfg"
expect 7 "cannot be split" mpirun -n 3 "$ALGOPERF" run "$T/three.cfg" --dry-run
expect 5 "none.cfg" "$ALGOPERF" run "$T/none.cfg" --dry-run
if [ "$(id -u)" -ne 0 ]; then
  mkdir "$T/closed"
  chmod 500 "$T/closed"
  sed "s|$T/part|$T/closed/x|" "$T/part.cfg" >"$T/closed.cfg"
  expect 5 "no folder can be made" "$ALGOPERF" run "$T/closed.cfg" --dry-run
fi
done_testing
