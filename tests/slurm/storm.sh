#!/usr/bin/env bash
# shellcheck disable=SC2046,SC2086 # lists of numbers and words
# A sweep of 24 trials under random faults: ranks, groups and a whole job killed, nodes taken down, the controller killed and restarted, requeues; a second job, with isolation = "step", joins midway. In the end, without a word from anyone,
# there are exactly 24 verdicts, every row and digest is as undisturbed, nothing is left over, and no fault cost a trial more than the steps between two checkpoints. SEED repeats the choice of victims (not the moments).
. "$(dirname "$0")/lib.sh"
RANDOM=${SEED:=$$}
echo "seed of this run: SEED=$SEED"
trials=24 steps=200 every=20
faults=${FAULTS:-"rank rank rank rank group group node node controller controller requeue requeue"}
joins=4 dies=8 # after so many faults a second job joins, a job is killed

cluster 4
paced storm $trials 20 $steps $every 'ranks_per_trial = 2;' 'max_attempts = 100;'
calm storm

# ---- victims

# processes NAME [JOB]: pids of this cluster's processes of that name (of that job).
processes() {
  local pid
  for pid in $(grep -lsx -- "$1" /proc/[0-9]*/comm | cut -d/ -f3); do
    grep -qszxF "SLURM_CONF=$SLURM_CONF" "/proc/$pid/environ" || continue
    [ -z "${2:-}" ] || grep -qszxF "SLURM_JOB_ID=$2" "/proc/$pid/environ" || continue
    echo "$pid"
  done
}
variable() { cat "/proc/$1/environ" 2>/dev/null | tr '\0' '\n' | sed -n "s/^$2=//p"; } # PID NAME
rank_of() { # PID: in its world
  local rank
  rank=$(variable "$1" OMPI_COMM_WORLD_RANK)
  echo "${rank:-$(variable "$1" SLURM_PROCID)}"
}
one_of() { [ $# -eq 0 ] || echo "${@:$((RANDOM % $# + 1)):1}"; }
running() { squeue -h -t R -o %A -n algoperf-storm,algoperf-steps; }

# group_of PID: names the world and the pair of ranks in it.
group_of() {
  local world
  world=$(tr '\0' '\n' 2>/dev/null <"/proc/$1/cmdline" | sed -n 's/^--world=//p')
  echo "job $(variable "$1" SLURM_JOB_ID) ${world:+world $world }pair $(($(rank_of "$1") / 2))"
}
ranks() { # the launcher of isolation = "step" is no rank
  local pid
  for pid in $(processes algoperf); do
    [ "$(ps -o comm= -p "$(ps -o ppid= -p "$pid" 2>/dev/null)" 2>/dev/null)" = slurm_script ] || echo "$pid"
  done
}
kill_rank() {
  local pid what
  pid=$(one_of $(ranks)) && [ -n "$pid" ] && what="rank $(rank_of "$pid") of $(group_of "$pid")" && kill -9 "$pid" && echo "$what"
}
kill_group() {
  local pid group other
  pid=$(one_of $(ranks)) && [ -n "$pid" ] && group=$(group_of "$pid") || return 1
  for other in $(ranks); do [ "$(group_of "$other")" != "$group" ] || kill -9 "$other"; done
  echo "group: $group"
}
kill_job() {
  local id
  id=$(one_of $(running)) && [ -n "$id" ] || return 1
  kill -9 $(processes slurm_script "$id") $(processes srun "$id") $(processes mpirun "$id") $(processes algoperf "$id") 2>/dev/null
  echo "job $id, all its processes"
}
lose_node() {
  local node
  node=$(one_of $(scontrol show hostnames "$(squeue -h -t R -o %N -n algoperf-storm,algoperf-steps | paste -sd, -)")) && [ -n "$node" ] || return 1
  slurm_local down "$node" && sleep 1 && slurm_local up "$node" && echo "node $node"
}
# A controller that is killed forgets what it was told in the last seconds, submissions too: one waits until it has written down the last of them.
kill_controller() { until_true 60 [ "$SLURM_LOCAL_DIR/ctld/job_state" -nt "$T/submit.log" ] && slurm_local bounce && echo "slurmctld"; }
requeue_job() {
  local id
  id=$(one_of $(running)) && [ -n "$id" ] && scontrol requeue "$id" && echo "requeue of job $id"
}
strike() {
  case $1 in
  rank) kill_rank ;; group) kill_group ;; job) kill_job ;; node) lose_node ;; controller) kill_controller ;; requeue) requeue_job ;;
  esac
}

# ---- the storm

finished() { cat "$T"/storm/paced/study_0/dummy/trial_*/events.jsonl 2>/dev/null | grep -c '"event": *"finished"'; }
over() { [ "$(finished)" -eq $trials ]; }
work_goes_on() { over || { [ -n "$(processes algoperf)" ] && has_rows "$T/storm" $((seen + 6)); }; }

step_log storm
sed 's/^trials/isolation = "step"; &/' "$T/storm.cfg" >"$T/steps.cfg"
submitted "$T/storm.cfg" --nodes 2 --ranks-per-node 2 --launcher srun --wait >/dev/null
jobs=1 struck=0
for fault in $(printf '%s\n' $faults | shuf --random-source=<(yes "$SEED") | sed "${dies}a job"); do
  seen=$(rows "$T/storm")
  until_true 180 work_goes_on || break
  over && break
  if [ $struck -eq $joins ]; then
    submitted "$T/steps.cfg" --nodes 2 --ranks-per-node 2 --launcher mpirun --wait >/dev/null
    jobs=$((jobs + 1))
    echo "a second job joins after $(finished) verdicts"
  fi
  sleep "0.$((RANDOM % 10))"
  what=$(strike "$fault") && struck=$((struck + 1)) && echo "$(finished) verdicts, $(rows "$T/storm") rows: $what"
done
until_true 400 queue_is_empty

wanted=$(($(wc -w <<<"$faults") + 1))
echo "$struck faults, $jobs submissions, $(cat "$T"/storm/jobs/*.jsonl | grep -c '"event": "started"') starts of jobs"
[ "$struck" -eq "$wanted" ] || fail "only $struck of $wanted faults took place: make the sweep longer"
[ "$(finished)" -eq $trials ] && pass "$trials verdicts" || fail "$(finished) verdicts, expected $trials"
same_tree "$T/calm" "$T/storm" $trials
lost_at_most storm $every
read -r resumes sum most < <(lost_work storm)
awk -v n="$struck" -v sum="$sum" 'BEGIN { printf "lost work: %.1f steps a fault\n", sum / n }'
[ -z "$(processes algoperf)" ] || fail "processes are left: $(processes algoperf)"
[ $failures -eq 0 ] || tail -n 60 "$T"/storm/jobs/*.out
done_testing
