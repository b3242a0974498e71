#!/usr/bin/env bash
# Real time limits: a plain job (mpirun) and an array of two (srun), each with three minutes of work and a limit of one minute, finish by requeue without anyone touching them, and no step is done twice.
. "$(dirname "$0")/lib.sh"
cluster 3
steps=920 every=40 # of 100 ms: a trial lasts 92 s, a job has two of them
paced plain 2 100 $steps $every 'ranks_per_trial = 2;'
paced array 4 100 $steps $every 'ranks_per_trial = 2;'
step_log plain
plain=$(submitted "$T/plain.cfg" --ranks-per-node 2 --time 1 --warn 1 --launcher mpirun)
step_log array
array=$(submitted "$T/array.cfg" --ranks-per-node 2 --time 1 --warn 1 --launcher srun --array 2)
[ -n "$plain" ] && [ -n "$array" ] || { fail "not submitted"; cat "$T/submit.log"; done_testing; }
sed 's|^trials = 2|trials = 4|; s|plain.json|array.json|' "$T/plain.cfg" >"$T/both.cfg"
cp "$T/array.json" "$T/both.json"
sed -i 's|array.json|both.json|' "$T/both.cfg"
calm both
until_true 900 queue_is_empty
for job in "$plain" "${array}_1" "${array}_2"; do
  n=$(restarts "$job")
  [ "$n" -ge 2 ] && pass "job $job: a minute at a time, $n requeues" || fail "job $job was requeued $n times"
  scontrol -o show job "$job" | grep -q 'JobState=COMPLETED' || fail "job $job: $(scontrol -o show job "$job" | grep -o 'JobState=[^ ]*')"
done
# The requeues of one element are its own: both have been started as often as their records say.
for job in "${array}_1" "${array}_2"; do
  starts=$(grep -c '"event": "started"' "$T/array/jobs/$job.jsonl")
  [ "$starts" -eq $(($(restarts "$job") + 1)) ] || fail "job $job: $starts starts recorded, $(restarts "$job") requeues"
done
same_tree "$T/calm" "$T/plain" 2
same_tree "$T/calm" "$T/array" 4
lost_at_most plain 0
lost_at_most array 0
[ "$(cat "$T"/array.steps/* | wc -l)" -eq $((4 * steps)) ] || fail "the array did $(cat "$T"/array.steps/* | wc -l) steps, expected $((4 * steps))"
has_line "$T/plain/jobs/score-1.out" paced || fail "the plain job was not scored"
has_line "$T/array/jobs/score-1.out" paced || fail "the array was not scored"
[ $failures -eq 0 ] || tail -n 40 "$T"/*/jobs/*.out
done_testing
