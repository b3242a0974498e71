# The Slurm tests' words, beside those of tests/cli/lib.sh. Each test has a real cluster of its own in its scratch folder: slurmctld, one slurmd a virtual node; it is stopped when the test ends, however it ends.
# shellcheck disable=SC2034,SC2154 # what is set here the tests use, and lib.sh of tests/cli sets T
. "$(dirname "$0")/../cli/lib.sh"
SUBMIT=$SOURCE/slurm/submit
export SLURM_LOCAL_DIR=$T/slurm ALGOPERF ALGOPERF_SCORE=$SCORE
unset SLURM_CONF OMPI_MCA_odls_base_sigkill_timeout # as mpirun is on clusters

for program in slurmctld slurmd munged sbatch cc; do
  PATH=$PATH:/usr/sbin command -v $program >/dev/null || skip "$program is not installed"
done

# Slurm resolves names only where there is an address besides 127.0.0.1.
if [[ -z $(ip -o -4 addr show | grep -v 'inet 127\.0\.0\.1/') ]]; then
  ip addr add 127.0.0.2/32 dev lo 2>/dev/null || skip "no IPv4 address but 127.0.0.1, and no right to add one: ip addr add 127.0.0.2/32 dev lo"
fi

# cluster NODES [SLURM.CONF-LINE...]
cluster() {
  local n=$1
  shift
  printf '%s\n' "$@" >"$T/extra.conf"
  # one after another, or two clusters could find the same ports free; -o: the daemons do not keep the lock
  SLURM_LOCAL_EXTRA=$T/extra.conf flock -o "${TMPDIR:-/tmp}/algoperf-test-clusters.$(id -u)" "$SOURCE/slurm/slurm-local" start "$n" >"$T/cluster.env" 2>"$T/cluster.err" || {
    cat "$T/cluster.err"
    skip "no Slurm cluster can be started here"
  }
  . "$T/cluster.env"
  export OMPI_MCA_rmaps_base_oversubscribe=1
}
slurm_local() { "$SOURCE/slurm/slurm-local" "$@"; }

end_cluster() {
  [ ! -d "$SLURM_LOCAL_DIR" ] || slurm_local stop
  finish
}
trap end_cluster EXIT

# The submission whose steps last as long as the search space says.
cc -std=gnu17 -O2 -ffp-contract=off -shared -fPIC -I "$SOURCE/src" "$SOURCE/tests/slurm/paced.c" -o "$T/paced.so" || skip "the C compiler does not work"

# paced NAME TRIALS STEP_MS STEPS EVERY [JOB-FILE-LINES...]: job file $T/NAME.cfg, results $T/NAME; an evaluation, and so a checkpoint, every EVERY steps.
paced() {
  local name=$1 trials=$2 ms=$3 steps=$4 every=$5
  shift 5
  seq "$trials" | awk -v ms="$ms" 'BEGIN { printf "[" } { printf "%s{\"learning_rate\": %.5f, \"step_ms\": %s}", (NR > 1 ? ", " : ""), 0.1 + $1 / 1e3, ms } END { print "]" }' >"$T/$name.json"
  job "$T/$name.cfg" "results = \"$T/$name\";" "trials = $trials;" 'clock = "steps";' 'max_runtime_s = 1e6;' "max_steps = $steps;" "eval_every = $every;" 'checkpoint_s = 1e6;' \
    'workloads = ( { name = "dummy"; } );' "submissions = ( { submission = \"./paced.so\"; search_space = \"$name.json\"; } );" "$@"
}

# submitted ARGUMENTS...: submits; prints the job's number.
submitted() { "$SUBMIT" "$@" | tee -a "$T/submit.log" | sed -n 's/^job \([0-9]*\):.*/\1/p'; }

# until_true SECONDS COMMAND...: waits until the command succeeds; the seconds are for a test that has gone wrong.
until_true() {
  local end=$((SECONDS + $1))
  shift
  until "$@"; do
    ((SECONDS < end)) || { fail "still not true after its time: $*"; squeue -a; return 1; }
    sleep 0.2
  done
}
state() { squeue -h -j "$1" -o %T 2>/dev/null | sort | uniq | xargs; }
is_state() { [ "$(state "$1")" = "$2" ]; }
ended() { [ -z "$(squeue -h -o %i -j "$1" 2>/dev/null)" ] && scontrol ping | grep -q UP; }
queue_is_empty() { [ -z "$(squeue -h -o %i 2>/dev/null)" ] && scontrol ping | grep -q UP; }
restarts() { scontrol -o show job "$1" | grep -o 'Restarts=[0-9]*' | cut -d= -f2 | sort -n | tail -n 1; }
has_restarted() { [ "$(restarts "$1")" -ge "$2" ]; }
has_line() { grep -q -- "$2" "$1" 2>/dev/null; } # FILE TEXT

# rows TREE: how many evaluations its logs have.
rows() { cat "$1"/paced/study_0/dummy/trial_*/events.jsonl 2>/dev/null | grep -c '"event": *"evaluation"'; }
has_rows() { [ "$(rows "$1")" -ge "$2" ]; }

# same_tree CALM OTHER TRIALS: every trial has its verdict and the rows and digests of CALM's, and nothing is left over.
same_tree() {
  local i a b left wrong=0
  for i in $(seq "$3"); do
    a=$1/paced/study_0/dummy/trial_$i b=$2/paced/study_0/dummy/trial_$i
    [ -s "$b/events.jsonl" ] || { fail "$b has no log"; wrong=1; continue; }
    [ -n "$(digests "$a")" ] || { fail "$a has no evaluations"; wrong=1; }
    [ "$(digests "$a")" = "$(digests "$b")" ] || { fail "$b differs from the undisturbed one: $(diff <(digests "$a") <(digests "$b") | head -n 5)"; wrong=1; }
    [ "$(grep -c '"event": *"finished"' "$b/events.jsonl")" -eq 1 ] || { fail "$b has not one verdict"; wrong=1; }
    [ -z "$PYTHON" ] || "$PYTHON" "$SOURCE/tests/cli/same_result.py" "$a/result.h5" "$b/result.h5" || { fail "results differ: $b"; wrong=1; }
  done
  left=$(find "$2" -type f \( -path '*/claims/*' -o -name '.*.tmp' -o -name 'checkpoint*' \))
  [ -z "$left" ] || { fail "left over: $left"; wrong=1; }
  [ "$(find "$2" -path '*/trial_*/result.h5' | wc -l)" -eq "$3" ] || { fail "$(find "$2" -path '*/trial_*/result.h5' | wc -l) results, expected $3"; wrong=1; }
  [ $wrong -eq 0 ] && pass "$2: $3 verdicts, every row and digest as undisturbed, nothing left over"
}

# calm NAME: the undisturbed run, outside Slurm, without pauses, into $T/calm.
calm() {
  sed 's/"step_ms": [0-9]*/"step_ms": 0/g' "$T/$1.json" >"$T/calm.json"
  sed "s|^results = .*|results = \"$T/calm\";|; s|$1.json|calm.json|; s|^ranks_per_trial.*||" "$T/$1.cfg" >"$T/calm.cfg"
  timeout 300 env -u AP_TEST_STEP_LOG mpirun -n 2 "$ALGOPERF" run "$T/calm.cfg" >"$T/calm.log" 2>&1
  [ $? -le 1 ] || { fail "the undisturbed run failed"; cat "$T/calm.log"; done_testing; }
}

# ---- lost work, from the steps that the submission itself wrote down

# step_log NAME: from now on jobs submitted write their steps to $T/NAME.steps.
step_log() { mkdir -p "$T/$1.steps" && export AP_TEST_STEP_LOG=$T/$1.steps; }
# pause NAME [STEP]: no step of these jobs' trials is begun beyond that one (none at all), until go_on NAME.
pause() { echo "${2:-}" >"$T/$1.steps/.pause" && mv "$T/$1.steps/.pause" "$T/$1.steps/pause"; }
go_on() { rm -f "$T/$1.steps/pause"; }

# lost_work NAME: "RESUMES SUM MAX": how often a trial went on at a step it had begun before, the steps that were begun again in all, and the most at one time.
lost_work() {
  awk 'FNR == 1 { last = 0 } $1 <= last { n++; lost = last - $1 + 1; sum += lost; if (lost > most) most = lost } { last = $1 } END { printf "%d %d %d\n", n, sum, most }' "$T/$1.steps"/*
}

# lost_at_most NAME STEPS: and every step was begun at least once.
lost_at_most() {
  local n sum most
  read -r n sum most < <(lost_work "$1")
  echo "lost work: $sum steps begun again after $n resumes, at most $most at a time"
  [ "$most" -le "$2" ] || fail "$1: $most steps had to be done again at one time, more than the $2 between checkpoints"
}
