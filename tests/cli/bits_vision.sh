#!/usr/bin/env bash
# The promise for convolutional, recurrent and graph models, and those whose metric is a ranking: parameter and state digests, and metrics, are equal for 1, 2, 4 ranks, 1 and 2 threads and every instruction set, and after a stop and a resume on another number of ranks.
. "$(dirname "$0")/lib.sh"

run() { # LABEL WORKLOAD OPTIONS RANKS THREADS ISA STEPS
  local label=$1 workload=$2 options=$3 ranks=$4 threads=$5 isa=$6 steps=$7
  job "$T/$label.cfg" "results = \"$T/$label\"; clock = \"steps\"; max_steps = $steps; eval_every = 2; trials = 1; threads = $threads;" \
    "workloads = ( { name = \"$workload\"; scale = \"mini\"; data = \"synthetic\"; options = { $options }; } );" \
    'submissions = ( { submission = "nadamw"; } );'
  ALGOPERF_ISA=$isa timeout 600 mpirun -n "$ranks" "$ALGOPERF" run "$T/$label.cfg" >"$T/$label.log" 2>&1
  local code=$?
  [ $code -le 1 ] || { fail "$label: exit code $code"; tail -n 5 "$T/$label.log"; return; }
  digests "$T/$label/nadamw/study_0/$workload/trial_1" >"$T/$label.digests"
  sed -n '/"event": *"evaluation"/{s/.*"preemption_count": *[0-9]*,//;s/"parameter_digest.*//;p}' "$T/$label/nadamw/study_0/$workload/trial_1/events.jsonl" >"$T/$label.metrics"
}
same() { # LABEL REFERENCE: digests, and the metrics of all splits
  if [ -s "$T/$2.digests" ] && cmp -s "$T/$1.digests" "$T/$2.digests" && { [ ! -e "$T/$1.metrics" ] || cmp "$T/$1.metrics" "$T/$2.metrics"; }; then pass "$1"; else fail "$1 differs from $2"; diff "$T/$1.digests" "$T/$2.digests"; fi
}

# Without an fma instruction a convolutional network takes minutes; the unit tests compare the portable kernels bit for bit.
grep -qw avx2 /proc/cpuinfo && grep -qw fma /proc/cpuinfo || skip "no AVX2"
best=avx2
grep -qw avx512f /proc/cpuinfo && best=avx512
each() { # WORKLOAD OPTIONS
  run "$1-1" "$1" "$2" 1 1 $best 4
  [ "$(wc -l <"$T/$1-1.digests")" -eq 2 ] || fail "$1: not two evaluations"
  [ $best = avx2 ] || { run "$1-avx2" "$1" "$2" 1 1 avx2 4; same "$1-avx2" "$1-1"; }
  run "$1-threads" "$1" "$2" 1 2 $best 4; same "$1-threads" "$1-1"
  run "$1-2-ranks" "$1" "$2" 2 1 $best 4; same "$1-2-ranks" "$1-1"
  run "$1-4-ranks" "$1" "$2" 4 1 $best 4; same "$1-4-ranks" "$1-1"
  # killed in the middle, resumed on another number of ranks: the same digests, running statistics included
  job "$T/$1-resumed.cfg" "results = \"$T/$1-resumed\"; clock = \"steps\"; max_steps = 4; eval_every = 2; trials = 1;" \
    "workloads = ( { name = \"$1\"; scale = \"mini\"; data = \"synthetic\"; options = { $2 }; } );" \
    'submissions = ( { submission = "nadamw"; } );'
  local trial=$T/$1-resumed/nadamw/study_0/$1/trial_1
  mpirun -n 2 "$ALGOPERF" run "$T/$1-resumed.cfg" >"$T/$1-killed.log" 2>&1 &
  local job=$!
  for _ in $(seq 600); do
    [ "$(digests "$trial" 2>/dev/null | wc -l)" -ge 1 ] && break
    kill -0 $job 2>/dev/null || break
    sleep 0.1
  done
  kill -USR1 $job 2>/dev/null
  wait $job
  timeout 600 "$ALGOPERF" run "$T/$1-resumed.cfg" >"$T/$1-resumed.log" 2>&1
  digests "$trial" | sort -n -u >"$T/$1-resumed.digests"
  same "$1-resumed" "$1-1"
}
each cifar 'base_width = 4; layers = "1,1,1,1";'
each fastmri 'num_channels = 4; num_pool_layers = 2; image_size = 32;'
each imagenet_vit 'width = 16; depth = 1; mlp_dim = 24; num_heads = 2; patch_size = "7,7";'
each imagenet_resnet 'base_width = 4; layers = "1,1,1,1"; image_size = 28;'
each ogbg 'num_outputs = 5; latent_dim = 8; hidden_dims = "8,12"; num_message_passing_steps = 2;'
each wmt 'ntoken = 200; d_model = 16; d_hid = 16; nhead = 2; nlayers = 1; max_len_pe = 40; beam_size = 2;'
each criteo1tb 'vocab_size = 1024; embed_dim = 4; mlp_bottom_dims = "8,4"; mlp_top_dims = "8,1";'
each librispeech_conformer 'encoder_dim = 8; num_attention_heads = 2; num_encoder_layers = 1; max_samples = 24000;'
each librispeech_deepspeech 'encoder_dim = 8; num_lstm_layers = 1; max_samples = 24000;'
each finewebedu_lm 'vocab_size = 100; model_dim = 16; num_heads = 2; num_layers = 1; seq_len = 12; expanded_model_dim = 24;'
done_testing
