#!/usr/bin/env bash
# The walk-through of docs/reproducibility.md: one job file, two clusters (two rank counts, two instruction sets, two hosts in network namespaces), compared.
. "$(dirname "$0")/lib.sh"
unset OMPI_MCA_btl_vader_backing_directory # the hosts have a /dev/shm of their own
cd "$T"
job=$SOURCE/jobs/reproducibility.cfg
hosts=$SOURCE/tests/hosts/netns-hosts

# study FOLDER COMMAND...: runs the job there.
study() {
  local folder=$1 code=0
  shift
  mkdir -p "$folder"
  (cd "$folder" && timeout 300 "$@" "$ALGOPERF" run "$job" >log 2>&1) || code=$?
  [ $code -eq 1 ] && pass "$folder: ran" || { fail "$folder: exit code $code"; tail -n 5 "$folder/log"; }
}

isas=portable
grep -qw fma /proc/cpuinfo && grep -qw avx2 /proc/cpuinfo && isas="avx2 $isas"
grep -qw avx512f /proc/cpuinfo && isas="avx512 $isas"
set -- $isas # the two fastest
one=$1 other=${2:-$1}
study a env ALGOPERF_ISA="$other" mpirun -n 1
study b env ALGOPERF_ISA="$one" mpirun -n 4
expect 0 "SAME: 4 identical" "$SCORE" compare a/results b/results
expect 0 "ranks  *should not" "$SCORE" compare a/results b/results
[ "$one" = "$other" ] || expect 0 "instruction_set  *should not" "$SCORE" compare a/results b/results

sed 's/^seed = 1/seed = 2/' "$job" >other.cfg
job=$T/other.cfg study seed mpirun -n 2
expect 1 "first at step 1" "$SCORE" compare a/results seed/results
expect 1 "^  seed  *yes" "$SCORE" compare a/results seed/results

export NETNS_HOSTS_DIR=$T/netns
if [ "$(id -u)" -ne 0 ]; then
  echo "two hosts: not tried, network namespaces need root"
elif ! "$hosts" start 2 >netns.log 2>&1; then
  echo "two hosts: not tried, network namespaces cannot be made here: $(tail -n 1 netns.log)"
else
  trap '"$hosts" stop; finish' EXIT
  study h "$hosts" mpirun -n 2 --map-by node
  expect 0 "SAME: 4 identical" "$SCORE" compare a/results h/results
  # ... and with 2 ms more each way: a relay between the hosts, since not every kernel has netem
  if [ -n "$PYTHON" ] && "$SOURCE/tests/hosts/delay" --check 2>/dev/null; then
    "$SOURCE/tests/hosts/delay" "$NETNS_HOSTS_DIR" 2 >delay.log 2>&1 &
    relay=$!
    for _ in $(seq 1 100); do grep -q ready delay.log && break; sleep 0.1; done
    if grep -q ready delay.log; then
      "$hosts" run h1 ping -c 3 198.18.0.2 2>/dev/null | tail -n 1
      job=$SOURCE/jobs/reproducibility.cfg study slow "$hosts" mpirun -n 2 --map-by node
      expect 0 "SAME: 4 identical" "$SCORE" compare a/results slow/results
    else
      fail "the relay did not start: $(cat delay.log)"
    fi
    kill $relay
  else
    echo "latency: not tried, it needs Python and /dev/net/tun"
  fi
fi
done_testing
