#!/usr/bin/env bash
# Slurm holds a job whose start fails on its node. Here as it came about in a storm: the controller is killed and has forgotten that it has started the job, starts it once more, and the node, where the first start still is being ended, refuses. Then
# the job waits for ever; `status` says so and what to do, and the job goes on when that is done.
. "$(dirname "$0")/lib.sh"
cluster 1
paced plain 1 50 200 20
calm plain
step_log plain
pause plain 50 # the trial is not to end meanwhile
# The job waits until the controller has written down that it does.
id=$(submitted "$T/plain.cfg" --ranks-per-node 2 --no-score -- --begin=now+15)
written() { grep -qs algoperf-plain "$SLURM_LOCAL_DIR/ctld/job_state"; }
until_true 300 written
cp -a "$SLURM_LOCAL_DIR/ctld" "$T/ctld"
is_state "$id" PENDING && cmp -s "$T/ctld/job_state" "$SLURM_LOCAL_DIR/ctld/job_state" || fail "the job did not wait: $(state "$id")"
until_true 300 has_rows "$T/plain" 2
expect 0 "1 running" "$ALGOPERF" status "$T/plain"
grep -q "Slurm holds" "$T/out" && fail "a running job is called held"

stepds() { # slurmstepd of this cluster's node, known by its log; held up, as on a machine without time for it
  local pid
  for pid in $(grep -lsx slurmstepd /proc/[0-9]*/comm | cut -d/ -f3); do
    [ -z "$(find "/proc/$pid/fd" -lname "$SLURM_LOCAL_DIR/n1.log" 2>/dev/null)" ] || echo "$pid"
  done
}
mapfile -t slow < <(stepds)
kill -STOP "${slow[@]}"
controller=$(cat "$SLURM_LOCAL_DIR/slurmctld.pid")
kill -9 "$controller"
gone() { ! grep -qs '^State:[[:space:]]*[^ZX[:space:]]' "/proc/$controller/status"; }
until_true 300 gone
rm -rf "$SLURM_LOCAL_DIR/ctld"
cp -a "$T/ctld" "$SLURM_LOCAL_DIR/ctld"
slurm_local bounce

is_held() { [ "$(squeue -h -j "$id" -o %r)" = "launch failed requeued held" ]; }
until_true 300 is_held
kill -CONT "${slow[@]}"
until_true 300 is_state "$id" PENDING
is_held && pass "job $id is held" || fail "job $id: $(squeue -h -j "$id")"
expect 0 "Slurm holds job $id (launch failed requeued held).*: scontrol release $id " "$ALGOPERF" status "$T/plain"
"$ALGOPERF" status "$T/plain" --json | grep -q "launch failed requeued held" || fail "--json does not tell"
expect 0 "Duplicate jobid" sinfo -R
scontrol update NodeName=n1 State=RESUME
go_on plain
scontrol release "$id"
until_true 300 ended "$id"
same_tree "$T/calm" "$T/plain" 1
lost_at_most plain 20
[ $failures -eq 0 ] || tail -n 40 "$T"/plain/jobs/*.out "$SLURM_LOCAL_DIR"/*.log
done_testing
