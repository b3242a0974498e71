#!/usr/bin/env bash
# The image workloads at their published size on synthetic data, on one rank and on two: tests/bench/full_scale.sh [BUILD] [STEPS]
# ResNet-50 and ViT at 224 x 224 with batch 32, U-Net at 320 x 320 with batch 4. Each must stay below 6 GB a rank, and the
# loss must fall: the mean of the last quarter of 20 steps below that of the first. Half an hour on one core.
set -uo pipefail
cd "$(dirname "$0")/../.."
algoperf=${1:-build/release}/src/cli/algoperf steps=${2:-20} failed=0
limit_mib=$((6 * 1000 * 1000 * 1000 / 1048576))
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_mpi_yield_when_idle=1
for ranks in 1 2; do
  for workload in "imagenet_resnet 32" "imagenet_vit 32" "fastmri 4"; do
    read -r name batch <<<"$workload"
    out=$(mpirun --oversubscribe --bind-to none -n $ranks "$algoperf" bench step "$name" --scale full --batch "$batch" --steps "$steps" 2>&1)
    code=$?
    echo "$out"
    real=$(sed -n 's/^peak memory.*real \([0-9]*\).*/\1/p' <<<"$out")
    read -r first last < <(sed -n 's/.*loss \([0-9.]*\) -> \([0-9.]*\) .*/\1 \2/p' <<<"$out")
    if [ $code -ne 0 ] || [ -z "$real" ] || [ -z "${last:-}" ]; then
      echo "FAIL $name on $ranks: exit code $code"
      failed=1
    elif [ "$real" -ge $limit_mib ] || ! awk "BEGIN { exit !($last < $first) }"; then
      echo "FAIL $name on $ranks: $real MiB (limit $limit_mib), loss $first -> $last"
      failed=1
    else
      echo "PASS $name on $ranks: $real MiB, loss $first -> $last"
    fi
    echo
  done
done
exit $failed
