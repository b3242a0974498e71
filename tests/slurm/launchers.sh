#!/usr/bin/env bash
# One job file through `submit`, two nodes of two ranks, under srun and under mpirun, in one world and in a world for each group: the digests of a run without Slurm; the score job runs when the job has ended; job, nodes and accounting are in
# the results.
. "$(dirname "$0")/lib.sh"
cluster 2

paced plain 4 5 40 10 'ranks_per_trial = 2;'
calm plain
for isolation in world step; do
  for launcher in srun mpirun; do
    name=$isolation-$launcher
    sed "s|^results = .*|results = \"$T/$name\"; isolation = \"$isolation\";|" "$T/plain.cfg" >"$T/$name.cfg"
    id=$(submitted "$T/$name.cfg" --nodes 2 --ranks-per-node 2 --launcher $launcher --time 5)
    [ -n "$id" ] || { fail "not submitted"; cat "$T/submit.log"; done_testing; }
    until_true 300 ended "$id"
    out=$T/$name/jobs/$id.out
    has_line "$out" "done: every trial has its verdict" || { fail "the job of $name"; cat "$out"; }
    same_tree "$T/calm" "$T/$name" 4
    until_true 300 has_line "$T/$name/jobs/score-1.out" paced && pass "scored at the end"
    has_line "$T/$name/jobs/$id.jsonl" '"event": "accounting".*COMPLETED' || { fail "no accounting"; cat "$T/$name/jobs/$id.jsonl"; }
    expect 0 "SLURM_JOB_PARTITION  *main" "$ALGOPERF" inspect "$T/$name/paced/study_0/dummy/trial_2"
    grep -q "SLURM_JOB_ID  *$id" "$T/out" || fail "no job id in the provenance"
    grep -q "SLURM_JOB_NODELIST  *n\[1-2\]" "$T/out" || fail "no node list in the provenance"
    grep -q "job $id by accounting.*on n\[1-2\], COMPLETED" "$T/out" || fail "inspect does not show the job's accounting"
  done
done
done_testing
