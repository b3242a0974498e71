#!/usr/bin/env bash
# What `algoperf prepare wmt` reads a second of parallel text on one rank and on two, beside training the pieces, and the memory of a rank:
# tests/bench/prepare_text.sh FOLDER [COPIES]
# FOLDER: {train,valid,test}.{de,en}.gz, such as tatoeba-deen. COPIES: how often its training text is taken, default 8 and 32: memory must not grow
# with it, though a packed file of up to 256 MiB is held in memory when it is checked at the end. Needs GNU time (Debian: time).
set -euo pipefail
folder=$(realpath "$1") algoperf=$(realpath "${ALGOPERF:-$(dirname "$0")/../../build/release/src/cli/algoperf}")
shift
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_mpi_yield_when_idle=1 OMPI_MCA_hwloc_base_binding_policy=none
work=$(mktemp -d "${TMPDIR:-/tmp}/algoperf-bench.XXXXXX")
trap 'rm -rf "$work"' EXIT
printf '%6s %8s %9s %7s %8s %14s\n' ranks copies "text MB" wall MB/s "MiB, one rank"
[ $# -gt 0 ] || set -- 8 32
for copies in "$@"; do
  rm -rf "$work/in" && mkdir "$work/in"
  for side in de en; do
    for split in valid test; do gzip -dc "$folder/$split.$side.gz" >"$work/in/$split.$side"; done
    gzip -dc "$folder/train.$side.gz" >"$work/one"
    for ((k = 0; k < copies; k++)); do cat "$work/one"; done >"$work/in/train.$side"
  done
  for ranks in 1 2; do
    rm -f "$work/out.h5" "$work/memory"
    mpirun -q -n $ranks /usr/bin/time -a -o "$work/memory" -f %M "$algoperf" prepare wmt --from "$work/in" --to "$work/out.h5" --scale mini >"$work/log" || { cat "$work/log"; exit 1; }
    read -r megabytes wall rate < <(sed -n 's/^ *\([0-9.]*\) MB read in \([0-9.]*\) s on .*: \([0-9.]*\) MB.s,.*/\1 \2 \3/p' "$work/log")
    printf '%6d %8d %9s %7s %8s %14d\n' $ranks "$copies" "$megabytes" "$wall" "$rate" $(($(sort -n "$work/memory" | tail -n 1) / 1024))
  done
done
