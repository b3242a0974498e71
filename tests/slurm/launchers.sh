#!/usr/bin/env bash
# One job file through `submit` under srun and under mpirun, two nodes of two ranks: the digests of a run without Slurm; the score job runs when the job has ended; job, nodes and accounting are in the results.
. "$(dirname "$0")/lib.sh"
cluster 2

paced plain 2 5 40 10 'ranks_per_trial = 2;'
calm plain
for launcher in srun mpirun; do
  sed "s|^results = .*|results = \"$T/$launcher\";|" "$T/plain.cfg" >"$T/$launcher.cfg"
  id=$(submitted "$T/$launcher.cfg" --nodes 2 --ranks-per-node 2 --launcher $launcher --time 5)
  [ -n "$id" ] || { fail "not submitted"; cat "$T/submit.log"; done_testing; }
  until_true 120 ended "$id"
  out=$T/$launcher/jobs/$id.out
  has_line "$out" "done: algoperf ended with 1" || { fail "the job under $launcher"; cat "$out"; }
  same_tree "$T/calm" "$T/$launcher" 2
  until_true 60 has_line "$T/$launcher/jobs/score-1.out" paced && pass "scored at the end"
  has_line "$T/$launcher/jobs/$id.jsonl" '"event": "accounting".*COMPLETED' || { fail "no accounting"; cat "$T/$launcher/jobs/$id.jsonl"; }
  expect 0 "SLURM_JOB_PARTITION  *main" "$ALGOPERF" inspect "$T/$launcher/paced/study_0/dummy/trial_2"
  grep -q "SLURM_JOB_ID  *$id" "$T/out" || fail "no job id in the provenance"
  grep -q "SLURM_JOB_NODELIST  *n\[1-2\]" "$T/out" || fail "no node list in the provenance"
  grep -q "job $id by accounting.*on n\[1-2\], COMPLETED" "$T/out" || fail "inspect does not show the job's accounting"
done
done_testing
