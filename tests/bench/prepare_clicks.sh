#!/usr/bin/env bash
# What `algoperf prepare criteo1tb` reads a second, from plain text, gzip and xz, on one rank and on two, and the memory of a rank:
# tests/bench/prepare_clicks.sh TEXT [BUILD] [DAYS...]
# TEXT: Criteo's columns, such as the unpacked train.tsv of flights-criteo; every training day is this file. DAYS: how many of the
# 23 days are it (the others are one row), default 4 and 20: memory must not grow with it, though a packed file of up to 256 MiB is
# held in memory when it is checked at the end. Wall time counts what a busy machine
# takes away, CPU time (of all ranks together) does not. Needs GNU time (Debian: time), about twice 20 times TEXT of disk.
set -euo pipefail
text=$(realpath "$1") build=${2:-$(dirname "$0")/../../build/release}
shift $(($# < 2 ? $# : 2))
algoperf=$(realpath "$build/src/cli/algoperf") days=("${@:-4}")
[ $# -gt 0 ] || days=(4 20)
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_mpi_yield_when_idle=1 OMPI_MCA_hwloc_base_binding_policy=none
work=$(mktemp -d "${TMPDIR:-/tmp}/algoperf-bench.XXXXXX")
trap 'rm -rf "$work"' EXIT
head -n 1 "$text" >"$work/row"
mkdir "$work/form"
ln -s "$text" "$work/form/text"
gzip -c "$text" >"$work/form/text.gz"
xz -1 -c "$text" >"$work/form/text.xz"
printf '%-6s %5s %8s %7s %9s %9s %12s %14s\n' form ranks "text MB" wall "MB/s" "CPU s" "MB/s a CPU s" "MiB, one rank"
for n in "${days[@]}"; do
  for form in "" .gz .xz; do
    rm -rf "$work/in"
    mkdir "$work/in"
    for d in $(seq 0 22); do if [ "$d" -lt "$n" ]; then ln -s "$work/form/text$form" "$work/in/day_$d$form"; else ln -s "$work/row" "$work/in/day_$d"; fi; done
    for p in $(seq -w 0 35); do ln -s "$work/row" "$work/in/day_23_$p"; done
    megabytes=$(($(stat -L -c %s "$text") * n / 1000000))
    for ranks in 1 2; do
      rm -f "$work/out.h5"
      /usr/bin/time -o "$work/cpu" -f '%U %S' mpirun -q -n $ranks /usr/bin/time -a -o "$work/memory" -f %M "$algoperf" prepare criteo1tb --from "$work/in" --to "$work/out.h5" >"$work/log" || { cat "$work/log"; exit 1; }
      wall=$(sed -n 's/.* MB read in \([0-9.]*\) s .*/\1/p' "$work/log")
      read -r user system <"$work/cpu"
      awk -v form="text$form" -v ranks=$ranks -v mb="$megabytes" -v wall="$wall" -v cpu="$(awk "BEGIN { print $user + $system }")" -v memory="$(sort -n "$work/memory" | tail -n 1)" 'BEGIN {
        printf "%-8s %3d %8d %7.1f %9.1f %9.1f %12.1f %14.1f\n", form, ranks, mb, wall, mb / wall, cpu, mb / cpu, memory / 1024 }'
      rm -f "$work/memory"
    done
  done
done
