#!/usr/bin/env bash
# `submit`: what it writes, what it refuses and why, and that a refused job leaves nothing behind.
. "$(dirname "$0")/lib.sh"
cluster 2 # of 2 CPUs
paced plain 2 5 40 10 'ranks_per_trial = 2;'
cd "$T" || exit 1

nothing_written() { [ ! -e "$T/plain" ] && [ -z "$(squeue -h -o %i)" ] || { fail "$1 left something behind"; squeue -a -t all; find "$T/plain"; }; }
expect 2 "give a job file" "$SUBMIT"
expect 3 "no such job file" "$SUBMIT" nowhere.cfg
expect 3 "cannot be read as a job file" "$SUBMIT" "$T"
expect 2 "unknown option --nods" "$SUBMIT" plain.cfg --nods 2
expect 2 "two job files" "$SUBMIT" plain.cfg other.cfg
for n in 0 -1 1.5 two '' 99999999999999999999; do
  expect 2 "whole number from 1" "$SUBMIT" plain.cfg --nodes "$n"
  expect 2 "whole number from 1" "$SUBMIT" plain.cfg --array "$n"
  expect 2 "whole number from 1" "$SUBMIT" plain.cfg --ranks-per-node "$n"
done
for t in 0 0:00 soon 1:2:3:4 1-2-3 -5 '' 1h 00:00:00; do expect 2 "must be minutes, M:S" "$SUBMIT" plain.cfg --time "$t"; done
expect 2 "needs a value" "$SUBMIT" plain.cfg --nodes
expect 2 "needs a value" "$SUBMIT" plain.cfg --time --dry-run
expect 2 "not before the end" "$SUBMIT" plain.cfg --time 2 --warn 120
expect 2 "no partition \"fast\"; there are: main" "$SUBMIT" plain.cfg --partition fast
expect 2 "must be srun, mpirun or auto" "$SUBMIT" plain.cfg --launcher ssh
expect 2 "cannot be split into groups of ranks_per_trial = 2" "$SUBMIT" plain.cfg --ranks-per-node 1
mkdir bin && ln -s "$(command -v bash)" "$(command -v dirname)" bin # and nothing else
expect 7 "this host has no Slurm" env PATH="$T/bin" "$SUBMIT" plain.cfg
expect 7 "no program /nowhere/algoperf" env ALGOPERF=/nowhere/algoperf "$SUBMIT" plain.cfg
expect 2 "by default has 2" "$SUBMIT" plain.cfg --nodes 100
expect 7 "sbatch refused" "$SUBMIT" plain.cfg --ranks-per-node 4 # more than a node's CPUs
sed 's/ranks_per_trial = 2/ranks_per_trial = 0/' plain.cfg >all.cfg
expect 2 "must be a power of two, at most shards = 8" "$SUBMIT" all.cfg --nodes 2 --ranks-per-node 8
expect 2 "must be a power of two" "$SUBMIT" all.cfg --ranks-per-node 3
sed '/^results/d' plain.cfg >none.cfg
expect 3 "results" "$SUBMIT" none.cfg
echo 'nonsense = 1;' | cat - plain.cfg >wrong.cfg
expect 3 "unknown key" "$SUBMIT" wrong.cfg
sed 's/^SlurmctldPort=.*/SlurmctldPort=1/' "$SLURM_CONF" >nobody.conf
SLURM_CONF=$T/nobody.conf expect 7 "Slurm does not answer" "$SUBMIT" plain.cfg
nothing_written "a refused job"

expect 0 "#SBATCH --signal=B:USR1@120" "$SUBMIT" plain.cfg --dry-run --nodes 2 --array 3 --time 1-2 --partition main -- --account=mine --mem=1G
for line in '#!/bin/bash' '#SBATCH --nodes=2' '#SBATCH --ntasks-per-node=2' '#SBATCH --array=1-3' '#SBATCH --time=1-2' '#SBATCH --partition=main' '#SBATCH --requeue' '#SBATCH --open-mode=append' '#SBATCH --account=mine' \
  '#SBATCH --mem=1G' "JOB='$T/plain.cfg'" "RESULTS='$T/plain'" 'SRUN_OPTIONS=(--mpi=pmix --kill-on-bad-exit=1)'; do
  grep -qxF -- "$line" "$T/out" || fail "no line $line in the script"
done
bash -n "$T/out" || fail "the script is no bash"
nothing_written "--dry-run"
expect 0 "USR1@15" "$SUBMIT" plain.cfg --dry-run --time 1
expect 0 "USR1@7" "$SUBMIT" plain.cfg --dry-run --time 10:00 --warn 7

# Two submissions of one job: each has its scripts, the second goes on with the tree of the first.
id=$(submitted plain.cfg)
until_true 300 ended "$id"
again=$(submitted plain.cfg --no-score)
until_true 300 ended "$again"
has_line "$T/plain/jobs/$again.out" "2 trials: 2 step_cap" && pass "submitted again: nothing left to do" || { fail "submitted again"; cat "$T/plain/jobs/$again.out"; }
[ -s "$T/plain/jobs/submit-1.sbatch" ] && [ -s "$T/plain/jobs/submit-2.sbatch" ] || fail "no script of its own for each submission"
[ ! -e "$T/plain/jobs/score-2.sbatch" ] || fail "--no-score has made a scoring job"
[ "$(cat "$T"/plain/paced/study_0/dummy/trial_*/events.jsonl | grep -c '"finished"')" -eq 2 ] || fail "trials were run twice"
until_true 300 queue_is_empty
expect 0 paced cat "$T/plain/jobs/score-1.out"

# Accounting of a site with a database and energy counters: what sacct would say, in its own format.
mkdir sacct
printf '%s\n' '#!/bin/sh' "echo 'REQUEUED|0:0|2026-03-01T10:00:00|2026-03-01T10:01:00|60|n[1-2]|1234'" "echo 'COMPLETED|0:0|2026-03-01T10:02:00|2026-03-01T10:02:30|30|n1|'" >sacct/sacct && chmod +x sacct/sacct
PATH=$T/sacct:$PATH "$SOURCE/slurm/accounting" "$T/plain" || fail "accounting"
has_line "$T/plain/jobs/$id.jsonl" '"source": "sacct", "runs": \[{"state": "REQUEUED", .*"elapsed_s": 60, "nodes": "n\[1-2\]", "energy_J": 1234}, {.*"energy_J": null}\]' || { fail "accounting"; cat "$T/plain/jobs/$id.jsonl"; }
expect 0 "job $id: 1234 J" "$ALGOPERF" inspect "$T/plain/paced/study_0/dummy/trial_1"
printf '%s\n' '#!/bin/sh' 'echo "Slurm accounting storage is disabled" >&2' 'exit 1' >sacct/sacct
PATH=$T/sacct:$PATH "$SOURCE/slurm/accounting" "$T/plain" || fail "accounting without accounting"
expect 0 "job $id: this site keeps no accounting" "$ALGOPERF" inspect "$T/plain/paced/study_0/dummy/trial_1"

# A job that starting again does not mend ends at once, as failed, with its code; and is not requeued.
sed "s|^results.*|results = \"$T/wrong\";|" plain.cfg >wrong.cfg
id=$(submitted wrong.cfg --no-score -- --begin=now+2)
echo 'nonsense = 1;' >>wrong.cfg
until_true 300 ended "$id"
scontrol -o show job "$id" | grep -q 'JobState=FAILED.*Restarts=0.*ExitCode=3:0' && pass "a wrong job file ends the job" || fail "$(scontrol -o show job "$id")"
has_line "$T/wrong/jobs/$id.jsonl" '"how": "failed", "exit_code": 3' || fail "its record: $(cat "$T/wrong/jobs/$id.jsonl")"
# A program that dies at once: tried again, a bounded number of times.
sed "s|^results.*|results = \"$T/lost\";|" plain.cfg >lost.cfg
printf '%s\n' '#!/bin/sh' "case \"\$*\" in *--dry-run) exec '$ALGOPERF' \"\$@\" ;; esac" 'kill -9 $$' >dies && chmod +x dies
id=$(MAX_FAILURES=1 ALGOPERF=$T/dies submitted lost.cfg --no-score)
until_true 300 ended "$id"
has_line "$T/lost/jobs/$id.out" "MAX_FAILURES = 1" && pass "failures are bounded" || { fail "not bounded"; cat "$T/lost/jobs/$id.out"; }
done_testing
