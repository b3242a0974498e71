#!/usr/bin/env bash
# Real time limits: plain jobs (under srun and under mpirun) and an array of two (isolation = "step"), each with three minutes of work and a limit of one minute, finish by requeue without anyone touching them, and no step is done twice.
. "$(dirname "$0")/lib.sh"
cluster 4
steps=920 every=40 # of 100 ms: a trial lasts 92 s, a job has two of them
for name in srun mpirun; do paced $name 2 100 $steps $every 'ranks_per_trial = 2;'; done
paced array 4 100 $steps $every 'ranks_per_trial = 2;' 'isolation = "step";'
limit=(--ranks-per-node 2 --time 1 --warn 3)
for name in srun mpirun; do
  step_log $name
  ids+=("$(submitted "$T/$name.cfg" "${limit[@]}" --launcher $name)")
done
step_log array
array=$(submitted "$T/array.cfg" "${limit[@]}" --launcher srun --array 2)
ids+=("${array}_1" "${array}_2")
sed 's/^isolation.*//' "$T/array.cfg" >"$T/undisturbed.cfg"
sed -i 's/array.json/undisturbed.json/' "$T/undisturbed.cfg"
cp "$T/array.json" "$T/undisturbed.json"
calm undisturbed # meanwhile; the plain jobs have its first two trials
until_true 900 queue_is_empty

for job in "${ids[@]}"; do
  n=$(restarts "$job")
  [ "${n:-0}" -ge 2 ] && pass "job $job: a minute at a time, $n requeues" || fail "job $job was requeued $n times"
  scontrol -o show job "$job" | grep -q 'JobState=COMPLETED' || fail "job $job: $(scontrol -o show job "$job" | grep -o 'JobState=[^ ]*')"
done
# The requeues of one element are its own: both have been started as often as their records say.
for job in "${array}_1" "${array}_2"; do
  starts=$(grep -c '"event": "started"' "$T/array/jobs/$job.jsonl")
  [ "$starts" -eq $(($(restarts "$job") + 1)) ] || fail "job $job: $starts starts recorded, $(restarts "$job") requeues"
done
for name in srun:2 mpirun:2 array:4; do
  trials=${name#*:} name=${name%:*}
  same_tree "$T/calm" "$T/$name" "$trials"
  lost_at_most $name 0
  done_steps=$(cat "$T/$name.steps"/* | wc -l)
  [ "$done_steps" -eq $((trials * steps)) ] || fail "$name did $done_steps steps, expected $((trials * steps))"
  has_line "$T/$name/jobs/score-1.out" paced || fail "$name was not scored"
done
[ $failures -eq 0 ] || tail -n 40 "$T"/*/jobs/*.out
done_testing
