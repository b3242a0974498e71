#!/usr/bin/env bash
# A node of a running job goes down, under srun and under mpirun: the job is requeued and finishes; at most the steps since the last checkpoint are done again.
. "$(dirname "$0")/lib.sh"
cluster 4 # the node that is lost comes back at once and is used again
paced plain 2 30 200 20 'ranks_per_trial = 2;'
calm plain
declare -A id
for launcher in srun mpirun; do
  sed "s|^results = .*|results = \"$T/$launcher\";|" "$T/plain.cfg" >"$T/$launcher.cfg"
  step_log $launcher
  pause $launcher 50
  id[$launcher]=$(submitted "$T/$launcher.cfg" --nodes 2 --ranks-per-node 2 --launcher $launcher)
done
for launcher in srun mpirun; do
  until_true 300 has_rows "$T/$launcher" 4
  lost=$(scontrol show hostnames "$(squeue -h -j "${id[$launcher]}" -o %N)" | tail -n 1) # not the batch script's
  slurm_local down "$lost"
  go_on $launcher
  until_true 300 has_restarted "${id[$launcher]}" 1 && pass "$launcher: requeued after the loss of $lost"
  slurm_local up "$lost" || fail "node $lost does not come back"
done
until_true 300 queue_is_empty
for launcher in srun mpirun; do
  same_tree "$T/calm" "$T/$launcher" 2
  lost_at_most $launcher 20
done
[ $failures -eq 0 ] || tail -n 30 "$T"/*/jobs/*.out
done_testing
