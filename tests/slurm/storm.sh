#!/usr/bin/env bash
# shellcheck disable=SC2046,SC2086 # lists of numbers and words
# A sweep of 24 trials under random faults: ranks, groups and a whole job killed, nodes taken down, the controller killed and restarted, requeues; a second job, with isolation = "step", joins midway. In the end
# there are exactly 24 verdicts, every row and digest is as undisturbed, nothing is left over, and no fault cost a trial more than the steps between two checkpoints. An operator does what `algoperf status` says to do about jobs that
# Slurm holds, and resumes nodes that it has drained. SEED repeats the choice of victims (not the moments); SEED=random: another choice. The work pauses while the script looks for its next victim, so that slow machines see as many faults.
. "$(dirname "$0")/lib.sh"
draw
trials=24 steps=200 every=20
faults=${FAULTS:-"rank rank rank rank group group node node controller controller requeue requeue"}
joins=4 dies=8 # after so many faults a second job joins, a job is killed

cluster 4
paced storm $trials 30 $steps $every 'ranks_per_trial = 2;' 'max_attempts = 100;'
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
# Each chooses its victim while the work pauses, then lets it go on, and strikes at a random moment; prints what it has done. False: there is no such victim now.
moment() { go_on storm; sleep "0.$((RANDOM % 5))"; }
kill_rank() {
  local pid what
  pid=$(one_of $(ranks)) && [ -n "$pid" ] && what="rank $(rank_of "$pid") of $(group_of "$pid")" && moment && kill -9 "$pid" && echo "$what"
}
kill_group() {
  local pid group other victims=''
  pid=$(one_of $(ranks)) && [ -n "$pid" ] && group=$(group_of "$pid") || return 1
  for other in $(ranks); do [ "$(group_of "$other")" != "$group" ] || victims="$victims $other"; done
  moment
  kill -9 $victims && echo "group: $group"
}
kill_job() {
  local id victims
  id=$(one_of $(running)) && [ -n "$id" ] || return 1
  victims="$(processes slurm_script "$id") $(processes srun "$id") $(processes mpirun "$id") $(processes algoperf "$id")"
  moment
  kill -9 $victims && echo "job $id, all its processes"
}
lose_node() {
  local node
  node=$(one_of $(scontrol show hostnames "$(squeue -h -t R -o %N -n algoperf-storm,algoperf-steps | paste -sd, -)")) && [ -n "$node" ] || return 1
  moment
  slurm_local down "$node" && pause storm && sleep 1 && slurm_local up "$node" && echo "node $node"
}
# A controller that is killed forgets what it was told in the last seconds, submissions too: one waits until it has written down the last of them.
kill_controller() { until_true 300 written && slurm_local bounce && echo "slurmctld"; }
written() {
  local state=$SLURM_LOCAL_DIR/ctld/job_state
  grep -qs algoperf-storm-score "$state" && { [ $jobs -eq 1 ] || grep -qs algoperf-steps-score "$state"; }
}
requeue_job() {
  local id
  id=$(one_of $(running)) && [ -n "$id" ] && moment && scontrol requeue "$id" && echo "requeue of job $id"
}
strike() {
  case $1 in
  rank) kill_rank ;; group) kill_group ;; job) kill_job ;; node) lose_node ;; controller) kill_controller ;; requeue) requeue_job ;;
  esac
}

# ---- the operator

mended=0 mended_at=0 idle_since=''
# A controller that has forgotten a step cannot end it: if a rank dies in it, the rest of its job waits for ever. Then nobody runs a trial, though a job is there (for two minutes: one that starts needs some time too).
requeue_idle() {
  local id
  [ -n "$(running)" ] && "$ALGOPERF" status "$T/storm" 2>/dev/null | awk '$2 == "stale" { stale = $1 } $2 == "running" { running = $1 } END { exit !(stale > 0 && running == 0) }' || { idle_since=''; return 0; }
  ((SECONDS >= ${idle_since:=$SECONDS} + 120)) || return 0
  idle_since=''
  for id in $(running); do scontrol requeue "$id" && mended=$((mended + 1)) && echo "the operator: scontrol requeue $id"; done
}
mend() {
  local command node
  ((SECONDS >= mended_at + 2)) || return 0
  requeue_idle
  mended_at=$SECONDS
  for node in $(sinfo -h -N -t drained,draining -o %n 2>/dev/null | sort -u); do
    scontrol update "NodeName=$node" State=RESUME && mended=$((mended + 1)) && echo "the operator resumes node $node"
  done
  while read -r command; do
    $command && mended=$((mended + 1)) && echo "the operator: $command"
  done < <("$ALGOPERF" status "$T/storm" 2>/dev/null | grep -o 'scontrol release [0-9_]*')
}

# ---- the storm

finished() { cat "$T"/storm/paced/study_0/dummy/trial_*/events.jsonl 2>/dev/null | grep -c '"event": *"finished"'; }
over() { [ "$(finished)" -eq $trials ]; }
work_goes_on() { over || { mend; has_rows "$T/storm" $((seen + 4)) && [ -n "$(processes algoperf)" ]; }; }
struck() { # as often as it takes to find a victim
  over && return
  what=$(strike "$fault") && return
  go_on storm
  mend
  : $RANDOM
  false
}
at_rest() { mend; queue_is_empty; }

step_log storm
sed 's/^trials/isolation = "step"; &/' "$T/storm.cfg" >"$T/steps.cfg"
submitted "$T/storm.cfg" --nodes 2 --ranks-per-node 2 --launcher srun --wait >/dev/null
jobs=1 faults_done=0
for fault in $(printf '%s\n' $faults | shuf --random-source=<(yes "$SEED") | sed "${dies}a job"); do
  seen=$(rows "$T/storm")
  go_on storm
  until_true 600 work_goes_on || break
  pause storm
  if [ $faults_done -eq $joins ]; then
    submitted "$T/steps.cfg" --nodes 2 --ranks-per-node 2 --launcher mpirun --wait >/dev/null
    jobs=$((jobs + 1))
    echo "a second job joins after $(finished) verdicts"
  fi
  until_true 600 struck || break
  over && break
  faults_done=$((faults_done + 1))
  echo "$(finished) verdicts, $(rows "$T/storm") rows: $what"
done
go_on storm
until_true 900 at_rest

wanted=$(($(wc -w <<<"$faults") + 1))
echo "$faults_done faults, $jobs submissions, $(cat "$T"/storm/jobs/*.jsonl | grep -c '"event": "started"') starts of jobs; the operator was needed $mended times"
[ "$faults_done" -eq "$wanted" ] || fail "only $faults_done of $wanted faults took place: make the sweep longer"
[ "$(finished)" -eq $trials ] && pass "$trials verdicts" || fail "$(finished) verdicts, expected $trials"
same_tree "$T/calm" "$T/storm" $trials
lost_at_most storm $every
read -r resumes sum most < <(lost_work storm)
awk -v n="$faults_done" -v sum="$sum" 'BEGIN { printf "lost work: %.1f steps a fault\n", sum / n }'
[ -z "$(processes algoperf)" ] || fail "processes are left: $(processes algoperf)"
[ $failures -eq 0 ] || tail -n 60 "$T"/storm/jobs/*.out "$SLURM_LOCAL_DIR"/*.log
done_testing
