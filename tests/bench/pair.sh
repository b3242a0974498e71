#!/usr/bin/env bash
# A full-size training step here and in PyTorch, one thread, in turn on the same core: the medians of the CPU time, and their ratio.
#     PYTHON=/tmp/torch/bin/python tests/bench/pair.sh WORKLOAD [BATCH] [ROUNDS] [STEPS]        (torch/step.py says how to get PyTorch)
# ALGOPERF: the program (build/release/src/cli/algoperf); TORCH: options of torch/step.py, such as "--optimizer adamw".
set -euo pipefail
cd "$(dirname "$0")/../.."
unset OPENBLAS_CORETYPE MKL_DEBUG_CPU_TYPE
algoperf=${ALGOPERF:-build/release/src/cli/algoperf} python=${PYTHON:-python3} workload=${1:?name a workload, such as wmt}
case $workload in
  ogbg) batch=512 ;;
  criteo1tb) batch=8192 ;;
  finewebedu_lm) batch=1 ;;
  cifar) batch=128 ;;
  imagenet_*) batch=32 ;;
  *) batch=4 ;;
esac
batch=${2:-$batch} rounds=${3:-3} steps=${4:-2}
"$python" -c 'import torch' 2>/dev/null || { echo "$python has no PyTorch: set PYTHON, see tests/bench/torch/step.py" >&2; exit 77; }
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
median() { sort -n "$1" | awk '{x[NR] = $1} END {print NR % 2 ? x[(NR + 1) / 2] : (x[NR / 2] + x[NR / 2 + 1]) / 2}'; }
for ((round = 1; round <= rounds; round++)); do
  "$algoperf" bench step "$workload" --scale full --batch "$batch" --shards 1 --steps "$steps" >"$T/log"
  sed -n 's/^CPU time of the first thread\**  *\([0-9.]*\).*/\1/p' "$T/log" >>"$T/ours"
  "$python" tests/bench/torch/step.py "$workload" --batch "$batch" --steps "$steps" ${TORCH:-} >"$T/log"
  sed -n 's/.* step \([0-9]*\) ms (median.*/\1/p' "$T/log" >>"$T/torch"
  echo "round $round: here $(tail -n 1 "$T/ours") ms, PyTorch $(tail -n 1 "$T/torch") ms"
done
grep -m1 'model name' /proc/cpuinfo | sed 's/.*: //'
echo "$workload batch $batch: here $(median "$T/ours") ms, PyTorch $(median "$T/torch") ms: $(awk "BEGIN {printf \"%.2f\", $(median "$T/torch") / $(median "$T/ours")}") x"
