#!/usr/bin/env bash
# One file operation of a sweep fails, is cut short, or is the last before a kill: the program ends with its documented
# code and names the file, leaves no half-written file and no claim, and the next start ends with the rows and digests of
# an undisturbed run. Each point is one operation (of about 150 that write and 500 that read) with one fault. POINTS=N of
# each kind are drawn (SEED=random: others each time); POINTS=all tries every one (of the reads that follow each other on one file:
# the first and the last), PIECE=2/5 every fifth of them from the second, MODES="ENOSPC kill read:EIO" some kinds only.
. "$(dirname "$0")/../cli/lib.sh"
points=${POINTS:-2}
draw

tree=$T/tree
job "$T/job.cfg" "results = \"$tree\"; clock = \"steps\"; max_steps = 6; eval_every = 3; trials = 2; max_attempts = 100;" \
  'workloads = ( { name = "dummy"; } );' 'submissions = ( { submission = "nadamw"; } );'
trials=$(printf "$tree/nadamw/study_0/dummy/trial_%d " 1 2)
run() { timeout 300 "$ALGOPERF" run "$T/job.cfg"; }
with_fault() { # KIND MODE AT LOG: the job under the shim
  LD_PRELOAD=$DISK_SHIM FAULT_PREFIX=$tree FAULT_KIND=$1 FAULT_MODE=$2 FAULT_AT=$3 FAULT_LOG=$4 run
}
rows() { for t in $trials; do digests "$t"; done; }

# What an undisturbed run leaves, and a tree whose owner was killed after its first checkpoint.
run >"$T/calm.log" 2>&1
calm=$?
[ $calm -le 1 ] || { cat "$T/calm.log"; fail "the undisturbed run"; done_testing; }
rows >"$T/calm.rows"
mv "$tree" "$T/calm"
with_fault write EIO 0 "$T/log" >/dev/null 2>&1
rm -rf "$tree"
at=$(awk '$2 == "rename" && /checkpoint/ { print $1 + 1; exit }' "$T/log")
with_fault write kill_after "$at" /dev/null >/dev/null 2>&1
[ -n "$(find "$tree" -type f -name 'claim.*')" ] && mv "$tree" "$T/killed" || fail "no tree of a killed run"

# ---- what must hold

names_file() { # PATH: the message names this file, or the file that a temporary one becomes
  local name
  name=$(basename "$1" | sed -E 's/^\.(.*)\.[^.]+\.[0-9]+\.tmp$/\1/')
  grep -qF -- "$name" "$T/out"
}
left_over() { find "$tree" -name '.*.tmp' 2>/dev/null; }
claims() { # but those of the killed run, which a failed start has not taken over
  find "$tree" -type f -name 'claim.*' 2>/dev/null | while read -r claim; do
    cmp -s "$claim" "$T/killed/${claim#"$tree/"}" || echo "$claim"
  done
}

# Operations whose failure costs nothing: removing what is not needed any more, or looking for it (the next start does
# it), closing what was only read, and a look that HDF5 takes at the file it is about to replace. A failed read may go
# unsaid where nothing came of it.
harmless() { # NAME PATH MODE
  [ "$3" != short ] || return 0
  case $1 in
  unlink | ftruncate | open | opendir | readdir) return 0 ;;
  mkdir) return 0 ;;                          # tried again, part by part
  read) [[ $2 == */.sweep/verdicts/* ]] ;; # an index: the result itself is read
  close) [ "$kind" = read ] || [[ $2 == *events.jsonl || $2 == *result.h5 ]] ;;
  *) false ;;
  esac
}

tried=0 refused=0
check_fault() { # MODE CODE NAME PATH
  local mode=$1 code=$2 name=$3 path=$4
  case $mode in
  kill*) [ "$code" -eq 137 ] || say_bad "exit code $code after SIGKILL" ;;
  *)
    if [ "$code" -eq 5 ]; then
      refused=$((refused + 1))
      [ -n "$sticky" ] || names_file "$path" || say_bad "the message does not name $path"
      [ -z "$(left_over)" ] || [ "$name" = unlink ] || say_bad "left over: $(left_over)"
      [ -z "$(claims)" ] || [ "$name" = unlink ] || [ "$kind" = read ] || say_bad "claims: $(claims)"
    elif [ "$code" -eq "$calm" ]; then
      harmless "$name" "$path" "$mode" || { [ "$kind" = read ] && ! grep -q "unfinished\|runs again\|anew" "$T/out"; } || say_bad "$name failed and nothing was said"
    else
      say_bad "exit code $code"
    fi
    ;;
  esac
}
check_next_start() { # what the next start leaves
  local code=0
  run >"$T/again" 2>&1 || code=$?
  [ $code -eq $calm ] || { say_bad "the next start ended with $code"; tail -n 3 "$T/again"; }
  rows | cmp -s - "$T/calm.rows" || say_bad "rows differ after the next start"
  [ -z "$(left_over)$(find "$tree" -type f -name 'claim.*')" ] || [ "$operation" = "unlink $(left_over)$(claims)" ] || say_bad "left after the next start: $(left_over) $(claims)"
  [ -z "$(find "$tree" -name 'checkpoint_*')" ] || grep -q 'warning: .*\(removed\|listed\).*does not need it' "$T/out" ||
    say_bad "checkpoints left: $(find "$tree" -name 'checkpoint_*')"
  for t in $trials; do
    [ "$(grep -c '"event":"finished"' "$t/events.jsonl")" -eq 1 ] || say_bad "$t has not one last line"
    tail -n 1 "$t/events.jsonl" | grep -q '"event":"finished"' || say_bad "the last line of $t is another"
  done
  [ "$scene" = fresh ] || grep -q '"event":"resumed",.*"global_step":3' "$tree/nadamw/study_0/dummy/trial_1/events.jsonl" ||
    say_bad "the trial did not go on from its checkpoint"
}
say_bad() {
  fail "$scene $kind $mode at operation $at ($operation): $*"
  sed 's/^/    /' "$T/out" | tail -n 3
}

# ---- the points

try_point() { # AT: one point of $scene, $kind, $mode
  at=$1
  rm -rf "$tree"
  [ $scene = fresh ] || cp -a "$T/killed" "$tree"
  local code=0
  rm -f "$T/log"
  with_fault "$kind" "$mode" "$at" "$T/log" >"$T/out" 2>&1 || code=$?
  operation=$(sed -n "${at#-}p" "$T/log" | cut -d' ' -f2-)
  [ -n "$operation" ] || { say_bad "there is no such operation"; return; }
  tried=$((tried + 1))
  check_fault "$mode" "$code" "${operation%% *}" "${operation#* }"
  check_next_start
  [ -z "$PYTHON" ] || for t in 1 2; do cp "$tree/nadamw/study_0/dummy/trial_$t/result.h5" "$T/results/$t.$tried.h5"; done
}
chosen() { # the numbers of the operations to try, of those in $T/log
  local n piece=${PIECE:-1/1}
  n=$(wc -l <"$T/log")
  if [ "$points" != all ]; then
    for _ in $(seq 1 "$points"); do echo $((RANDOM % n + 1)); done
  elif [ "$kind" = write ]; then
    seq 1 "$n"
  else # first and last of those on one file
    awk '{ key = $2 " " $3; if (key != last) { if (NR > 1 && shown != NR - 1) print NR - 1; print NR; shown = NR } last = key } END { if (shown != NR) print NR }' "$T/log"
  fi | awk -v from="${piece%/*}" -v of="${piece#*/}" 'NR % of == from % of'
}
points_of() { # SCENE MODE: points of this kind; MODE is FAULT, FAULT- (from there on all fail) or read:FAULT
  scene=$1 kind=write mode=${2#read:} sticky=
  [ "$mode" = "$2" ] || kind=read
  [ "$mode" = "${mode%-}" ] || sticky=-
  mode=${mode%-}
  rm -rf "$tree" "$T/log"
  [ $scene = fresh ] || cp -a "$T/killed" "$tree"
  with_fault "$kind" EIO 0 "$T/log" >/dev/null 2>&1
  local before=$tried list
  list=$(chosen)
  for i in $list; do try_point "$sticky$i"; done
  echo "$scene $kind $mode${sticky:+ from there on}: $((tried - before)) points"
}
mkdir "$T/results"
for scene in ${SCENES:-fresh resumed}; do
  for mode in ${MODES:-ENOSPC EIO EDQUOT EROFS short kill kill_after ENOSPC- read:EIO read:EMFILE read:short}; do points_of $scene "$mode"; done
done
[ -z "$PYTHON" ] || for t in 1 2; do
  "$PYTHON" "$SOURCE/tests/cli/same_result.py" "$T/calm/nadamw/study_0/dummy/trial_$t/result.h5" "$T"/results/$t.*.h5 || fail "results differ"
done
echo "$tried points, $refused of them ended with code 5"
done_testing
