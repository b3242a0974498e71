#!/usr/bin/env bash
# The image workloads at their published size on synthetic data, on one rank and on two: tests/bench/full_scale.sh [WORKLOAD [RANKS]]
# ResNet-50 and ViT at 224 x 224 with batch 32, U-Net at 320 x 320 with batch 4. Each must stay below 6 GB a rank, and the
# loss must fall: the mean of the last quarter of 20 steps below that of the first, on the same examples and with learning
# rates for 20 steps (of the published warm-up, thousands of steps, 20 change nothing that could be seen). Some 3 minutes
# a pair of workload and ranks on one core each, 20 in all. BUILD=build/release and STEPS=20 in the environment say
# otherwise.
set -uo pipefail
cd "$(dirname "$0")/../.."
algoperf=${BUILD:-build/release}/src/cli/algoperf steps=${STEPS:-20} failed=0 found=0
only_workload=${1:-} only_ranks=${2:-}
limit_mib=$((6 * 1000 * 1000 * 1000 / 1048576))
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_mpi_yield_when_idle=1

check() { # WORKLOAD BATCH RANKS
  local out code real first='' last=''
  out=$(mpirun --oversubscribe --bind-to none -n "$3" "$algoperf" bench step "$1" --scale full --batch "$2" --examples "$2" --steps "$steps" 2>&1)
  code=$?
  echo "$out"
  real=$(sed -n 's/^peak memory.*real \([0-9]*\).*/\1/p' <<<"$out")
  read -r first last < <(sed -n 's/.*loss \([0-9.]*\) -> \([0-9.]*\) .*/\1 \2/p' <<<"$out")
  if [ $code -ne 0 ] || [ -z "$real" ] || [ -z "$last" ]; then
    echo "FAIL $1 on $3: exit code $code"
    failed=1
  elif [ "$real" -ge $limit_mib ] || ! awk "BEGIN { exit !($last < $first) }"; then
    echo "FAIL $1 on $3: $real MiB (limit $limit_mib), loss $first -> $last"
    failed=1
  else
    echo "PASS $1 on $3: $real MiB, loss $first -> $last"
  fi
  echo
}

for ranks in 1 2; do
  for pair in "imagenet_resnet 32" "imagenet_vit 32" "fastmri 4"; do
    read -r name batch <<<"$pair"
    if [[ (-z $only_workload || $only_workload = "$name") && (-z $only_ranks || $only_ranks = "$ranks") ]]; then
      found=1
      check "$name" "$batch" "$ranks"
    fi
  done
done
if [ $found = 0 ]; then
  echo "full_scale.sh: nothing is called \"$*\" (WORKLOAD: imagenet_resnet, imagenet_vit or fastmri; RANKS: 1 or 2)" >&2
  exit 2
fi
exit $failed
