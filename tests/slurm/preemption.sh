#!/usr/bin/env bash
# A job of higher priority takes the nodes: the sweep's job is requeued, also when its ranks end within the grace time (where Slurm itself would call it finished), and goes on afterwards.
. "$(dirname "$0")/lib.sh"
cluster 2 PreemptType=preempt/partition_prio PreemptMode=REQUEUE \
  'PartitionName=low Nodes=ALL State=UP PriorityTier=1 GraceTime=5' 'PartitionName=high Nodes=ALL State=UP PriorityTier=10 PreemptMode=OFF'
paced plain 2 60 250 25 'ranks_per_trial = 2;'
calm plain
declare -A id
for launcher in srun mpirun; do
  sed "s|^results = .*|results = \"$T/$launcher\";|" "$T/plain.cfg" >"$T/$launcher.cfg"
  step_log $launcher
  id[$launcher]=$(submitted "$T/$launcher.cfg" --ranks-per-node 2 --launcher $launcher --partition low)
done
until_true 300 has_rows "$T/srun" 2
until_true 300 has_rows "$T/mpirun" 2
urgent=$(sbatch --parsable --partition high --nodes 2 --exclusive --output /dev/null --wrap 'sleep 3')
until_true 300 ended "$urgent"
until_true 300 queue_is_empty
for launcher in srun mpirun; do
  [ "$(restarts "${id[$launcher]}")" -ge 1 ] && pass "$launcher: preempted and requeued" || fail "$launcher: not requeued"
  same_tree "$T/calm" "$T/$launcher" 2
done
lost_at_most srun 0
lost_at_most mpirun 25
[ $failures -eq 0 ] || tail -n 30 "$T"/*/jobs/*.out
done_testing
