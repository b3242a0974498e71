#!/usr/bin/env bash
# This cluster's own budgets: measured, written, used by a job, recorded in its results, and never mixed with others.
. "$(dirname "$0")/lib.sh"
cd "$T"

echo "== measuring"
expect 0 "2 ranks x 1 thread a trial" mpirun -n 2 "$ALGOPERF" calibrate --workloads mnist,dummy --scale mini,full --seconds 0.3 --to here.cfg --name here
grep -q 'workload = "mnist"; scale = "full"' here.cfg && pass "mnist full is in the file" || fail "mnist full is not in the file"
expect 0 "written: budgets.cfg" "$ALGOPERF" calibrate --workloads dummy --seconds 0.1
expect 0 "2 ranks a host" mpirun -n 2 "$ALGOPERF" calibrate --workloads dummy --seconds 0.1 --ranks-per-trial 1 --to budgets.cfg
expect 2 "is no budget file" "$ALGOPERF" calibrate --workloads dummy --seconds 0.1 --to "$SOURCE/jobs/quickstart.cfg"
expect 5 "cannot be written" "$ALGOPERF" calibrate --workloads dummy --seconds 0.1 --to no/folder.cfg
expect 3 "did you mean \"mnist\"" "$ALGOPERF" calibrate --workloads mnits
expect 3 "there are: full, mini" "$ALGOPERF" calibrate --scale tiny --workloads mnist
expect 2 "named twice" "$ALGOPERF" calibrate --workloads dummy,dummy --seconds 0.1
expect 2 "whole number from 1 to 1024" "$ALGOPERF" calibrate --threads none
expect 2 "WORKLOAD=FILE" "$ALGOPERF" calibrate --workloads dummy --data here.h5
expect 5 "none.h5" "$ALGOPERF" calibrate --workloads dummy --data dummy=none.h5
expect 3 "letters, digits" "$ALGOPERF" calibrate --workloads dummy --seconds 0.1 --name "a b" --to x.cfg
expect 7 "must be a multiple" mpirun -n 3 "$ALGOPERF" calibrate --workloads dummy --ranks-per-trial 2
[ -e x.cfg ] && fail "a file was left behind" || pass "no file is left behind"

echo "== using"
cat >numbers.cfg <<'C'
name = "numbers"; ranks = 1; threads = 1;
budgets = ( { workload = "dummy"; scale = "mini"; step_hint = 100; batch_size = 32; step_time_s = 0.005;
              max_runtime_s = 0.5; eval_period_s = 0.1; } );
C
dummy() { # NAME SETTINGS
  job "$T/$1.cfg" "results = \"$T/$1\"; trials = 1; clock = \"steps\"; $2" 'workloads = ( { name = "dummy"; } );' 'submissions = ( { submission = "adamw"; } );'
}
dummy own 'budgets = "numbers.cfg"; max_steps = 100;'
timeout 300 "$ALGOPERF" run own.cfg >own.log 2>&1
grep -q "budgets of calibration numbers " own.log && pass "the run says which calibration" || { fail "the run does not say"; cat own.log; }
trial=$T/own/adamw/study_0/dummy/trial_1
expect 0 "calibration  *numbers [0-9a-f]\{32\}" "$ALGOPERF" inspect "$trial"
expect 0 "budget  *0.5 s, an evaluation every 0.1 s" "$ALGOPERF" inspect "$trial"
if command -v h5dump >/dev/null; then expect 0 '"numbers [0-9a-f]\{32\}"' h5dump -a /calibration "$trial/result.h5"; fi
timeout 300 mpirun -n 2 "$ALGOPERF" run own.cfg >two.log 2>&1
grep -q "not measured like this run: 2 ranks a trial, not 1" two.log && pass "other ranks are warned about" || { fail "no warning"; cat two.log; }
sed 's/ 0.5;/ 0.6;/' numbers.cfg >others.cfg
sed 's/numbers.cfg/others.cfg/' own.cfg >mixed.cfg
expect 3 "belongs to another job: it has \"calibration = numbers" "$ALGOPERF" run mixed.cfg
sed 's/budgets = "numbers.cfg"; //' own.cfg >published.cfg
expect 3 "belongs to another job" "$ALGOPERF" run published.cfg
sed -i 's/dummy/dumy/' others.cfg
expect 3 "others.cfg:2: workload: there is no workload \"dumy\"; did you mean \"dummy\"" "$ALGOPERF" run mixed.cfg
dummy plain 'max_steps = 20;'
timeout 300 "$ALGOPERF" run plain.cfg >/dev/null 2>&1
expect 0 "calibration  *-" "$ALGOPERF" inspect "$T/plain/adamw/study_0/dummy/trial_1"
done_testing
