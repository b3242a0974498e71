#!/usr/bin/env bash
# scancel, under srun and under mpirun: the job does not come back, the tree says what is left and is resumable; the same `submit` goes on with it.
. "$(dirname "$0")/lib.sh"
cluster 1
paced plain 2 20 200 20 'ranks_per_trial = 2;'
calm plain
for launcher in srun mpirun; do
  sed "s|^results = .*|results = \"$T/$launcher\";|" "$T/plain.cfg" >"$T/$launcher.cfg"
  step_log $launcher
  pause $launcher 60
  id=$(submitted "$T/$launcher.cfg" --ranks-per-node 2 --launcher $launcher)
  until_true 300 has_rows "$T/$launcher" 3
  go_on $launcher
  scancel "$id"
  until_true 300 ended "$id"
  scontrol -o show job "$id" | grep -q 'JobState=CANCELLED' || fail "$launcher: $(scontrol -o show job "$id")"
  has_line "$T/$launcher/jobs/$id.out" "submit again to go on" || { fail "$launcher: the job's output does not say how to go on"; cat "$T/$launcher/jobs/$id.out"; }
  until_true 300 has_line "$T/$launcher/jobs/score-1.out" "not scored" && pass "$launcher: the score job says what is left"
  has_rows "$T/$launcher" 20 && fail "$launcher: the sweep was over before scancel"
  id=$(submitted "$T/$launcher.cfg" --ranks-per-node 2 --launcher $launcher)
  until_true 300 ended "$id"
  same_tree "$T/calm" "$T/$launcher" 2
  lost_at_most $launcher 20
  until_true 300 has_line "$T/$launcher/jobs/score-2.out" paced && pass "$launcher: scored"
  [ $failures -eq 0 ] || tail -n 30 "$T/$launcher"/jobs/*.out
done
done_testing
