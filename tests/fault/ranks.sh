#!/usr/bin/env bash
# Ranks that stop, compute nonsense, or have a memory error.
. "$(dirname "$0")/lib.sh"

steps='max_steps = 120; eval_every = 20;'
pace='fault_step = 50; fault_rank = 1;'
dummy calm "$steps" "$pace"
run calm
ended calm $? 1 "step_cap"

# The workload itself stops the rank, in step 50.
stops() { # NAME RANK SETTINGS
  dummy "$1" "$steps $3" "fault = \"stop\"; fault_step = 50; fault_rank = $2; once = \"$T/$1.mark\";"
  mpirun -n 2 "$ALGOPERF" run "$T/$1.cfg" >"$T/$1.log" 2>&1 &
  launcher=$!
  wait_for rank_is_stopped $launcher "$2" || fail "$1: rank $2 does not come to step 50"
  stopped=$(pid_of_rank $launcher "$2")
}
rank_is_stopped() { is_stopped "$(pid_of_rank "$1" "$2")"; }

echo "== a stopped rank"
for rank in 0 1; do
  stops stop$rank $rank "watchdog_s = 3.0;"
  (sleep 300; kill -9 $launcher 2>/dev/null) & guard=$!
  wait $launcher
  ended stop$rank $? 7 "rank $rank (host [^)]*) did not arrive"
  kill $guard 2>/dev/null
  wait_for eval "! kill -0 $stopped 2>/dev/null" || { fail "the stopped rank $stopped is still there"; kill -9 "$stopped"; }
  run stop$rank
  ended stop$rank $? 1 "step_cap"
  grep -q '"event":"resumed"' "$(trial_of stop$rank)/events.jsonl" || fail "stop$rank: it started anew"
  tidy stop$rank
done

pause() { # NAME SECONDS WATCHDOG [RANK]: rank 1 of two, and this one, are stopped that long
  stops "$1" 1 "watchdog_s = $3;"
  [ -z "${4:-}" ] || stopped="$stopped $(pid_of_rank $launcher "$4")"
  kill -STOP $stopped
  sleep "$2"
  kill -CONT $stopped
  wait $launcher
  ended "$1" $? 1 "step_cap"
  same "$1" calm
  tidy "$1"
}
pause paused 2 300.0      # goes on before the limit
pause suspended 6 3.0 0   # as a scheduler suspends a job: longer than the limit

echo "== numbers that are none"
for kind in nan inf nan_gradient; do
  for n in 1 2 4; do
    dummy $kind$n "$steps" "fault = \"$kind\"; fault_step = 50; fault_rank = $((n - 1));"
    run_on $n $kind$n
    code=$?
    case $kind in nan) text="the loss of step 50 is not a number" ;; inf) text="the loss of step 50 is infinite" ;; *) text="the loss of step 51 is not a number" ;; esac
    ended $kind$n $code 6 "$text"
    tail -n 1 "$(trial_of $kind$n)/events.jsonl" | grep -q '"verdict":"diverged"' || fail "$kind$n: the verdict is another"
    [ $n -eq 1 ] || same $kind$n ${kind}1
    tidy $kind$n
  done
done

echo "== a memory error in one replica"
flipped() { # NAME RANKS SETTINGS: once, in step 50 of rank 1
  dummy "$1" "$3" "$pace fault = \"flip\"; once = \"$T/$1.mark\";"
  run_on "$2" "$1"
  ended "$1" $? 1 "rank 1 (host [^)]*) has other values of .* after step .*going on from the last checkpoint"
  grep -q '"event":"replicas_differ"' "$(trial_of "$1")/events.jsonl" || fail "$1: the log does not tell"
  same "$1" calm
  tidy "$1"
}
flipped flip2 2 "$steps"
flipped flip4 4 "$steps"
# Checkpoints by time between two evaluations: none may hold the flipped bit.
dummy often "max_steps = 120; eval_every = 120; checkpoint_s = 0.02;" "sleep_ms = 1.0; $pace fault = \"flip\"; once = \"$T/often.mark\";"
run_on 2 often
ended often $? 1 "other values of .* than rank 0 after step \(5\|6\|7\|8\|9\)"
[ "$(digests "$(trial_of often)")" = "$(digests "$(trial_of calm)" | tail -n 1)" ] && pass "often: the last digest of calm" || fail "often: a checkpoint held the flipped bit"
tidy often
# The same again and again is no accident: the trial fails.
dummy always "$steps" "$pace fault = \"flip\";"
run_on 2 always
ended always $? 4 "failed after"
tidy always

if command -v cc >/dev/null; then
  # Optimizer state, which no parameter shows yet when the checkpoint is written: rank 0's own would go into the file.
  cat >"$T/state.c" <<'P'
#include "submission/submission.h"
#include <fcntl.h>
#include <stdlib.h>
static int init(ap_host *h) { return !h->call->state(h, "momentum", 0); }
static int update(ap_host *h) {
    double loss;
    ap_loss_request request = {0};
    if (!h->call->loss_and_gradient(h, &request, &loss)) return 1;
    float *w = h->call->value(h, 0), *g = h->call->gradient(h, 0), *m = h->call->state(h, "momentum", 0);
    for (int64_t k = 0; k < h->call->workload(h)->param[0].size; k++) m[k] = 0.9f * m[k] + g[k], w[k] -= 1e-5f * m[k];
    const char *mark = getenv("FLIP_ONCE");
    if (mark && h->call->rank(h) == 0 && h->call->step(h) == 59 && open(mark, O_CREAT | O_EXCL, 0666) >= 0) m[3] += 1;
    return 0;
}
static const char *const space = "[{\"learning_rate\": 0.1}]";
static const ap_submission table = {.abi = AP_SUBMISSION_ABI, .struct_size = sizeof table, .name = "momentous", .summary = "s", .source = "s", .init_optimizer_state = init, .update_params = update, .search_space = &space};
const ap_submission *ap_submission_entry(void) { return &table; }
P
  cc -O1 -ffp-contract=off -shared -fPIC -I "$SOURCE/src" "$T/state.c" -o "$T/state.so" || fail "the plugin is not built"
  for name in state_calm state; do
    dummy $name "$steps" "$pace" ./state.so
    [ $name = state_calm ] || export FLIP_ONCE=$T/state.mark
    run_on 4 $name
    code=$? text="rank 0 (host [^)]*) has other values of /optimizer/momentum/layer.weight than the other ranks after step 60"
    [ $name = state ] || text=step_cap
    ended $name $code 1 "$text"
  done
  unset FLIP_ONCE
  same state state_calm
fi
done_testing
