#!/usr/bin/env bash
# `algoperf prepare` of LibriSpeech's folders: the same bytes on any number of ranks and after a kill; a model trains on
# what was packed, to the same parameters on any number of ranks.
. "$(dirname "$0")/lib.sh"
"$BUILD/tests/cli/write_speech" "$T/digits"; code=$?
[ $code -ne 77 ] || skip "built without libFLAC"
[ $code -eq 0 ] || { fail "write_speech"; done_testing; }
mkdir "$T/to"
prepare() { # RANKS FILE
  expect 0 "train *32 examples" mpirun -n "$1" "$ALGOPERF" prepare librispeech_deepspeech --from "$T/digits" --to "$2"
}
prepare 1 "$T/to/1.h5"
for n in 2 4; do
  prepare $n "$T/to/$n.h5"
  cmp -s "$T/to/1.h5" "$T/to/$n.h5" && pass "the same bytes on $n ranks" || fail "other bytes on $n ranks"
done

# ---- killed: the parts that are whole are used again
AP_TEST_WRITE_DELAY_MS=100 "$ALGOPERF" prepare librispeech_deepspeech --from "$T/digits" --to "$T/to/killed.h5" >"$T/log" 2>&1 &
pid=$!
for _ in $(seq 600); do [ "$(ls "$T/to/killed.h5.parts" 2>/dev/null | grep -c '^0.*part$')" -ge 2 ] && break; sleep 0.05; done
kill -9 $pid; wait $pid 2>/dev/null
[ ! -e "$T/to/killed.h5" ] || fail "nothing was left to do when it was killed"
expect 0 "[1-9][0-9]* of 12 parts were there" mpirun -n 2 "$ALGOPERF" prepare librispeech_deepspeech --from "$T/digits" --to "$T/to/killed.h5"
cmp -s "$T/to/1.h5" "$T/to/killed.h5" && pass "the same bytes after a kill" || fail "other bytes after a kill"
[ -z "$(ls -A "$T/to" | grep -v '\.h5$')" ] || fail "left: $(ls -A "$T/to")"

# ---- trained on, under a name that has targets
expect 0 "data set fsdd-strings" "$ALGOPERF" prepare librispeech_deepspeech --name fsdd-strings --from "$T/digits" --to "$T/to/named.h5"
for n in 1 2; do
  job "$T/$n.cfg" "results = \"$T/run-$n\"; clock = \"steps\"; max_steps = 2; eval_every = 2; trials = 1;" \
    "workloads = ( { name = \"librispeech_deepspeech\"; scale = \"mini\"; data = \"$T/to/named.h5\"; options = { encoder_dim = 8; }; } );" \
    'submissions = ( { submission = "nadamw"; } );'
  expect 1 "trial" mpirun -n $n "$ALGOPERF" run "$T/$n.cfg"
  digests "$T/run-$n/nadamw/study_0/librispeech_deepspeech/trial_1" >"$T/$n.digests"
done
if [ -s "$T/1.digests" ] && cmp -s "$T/1.digests" "$T/2.digests"; then pass "the same parameters on 2 ranks"; else fail "other parameters on 2 ranks"; fi
done_testing
