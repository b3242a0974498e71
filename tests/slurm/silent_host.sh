#!/usr/bin/env bash
# A host is lost without a word (its cable is pulled) under mpirun, which by itself would wait for more than ten minutes: the keepalives of the batch script's template end it in seconds, and the job goes on with the host that is left. Hosts in
# network namespaces; no Slurm, whose nodes here are one host to the network.
. "$(dirname "$0")/lib.sh"
unset OMPI_MCA_btl_vader_backing_directory # the hosts have a /dev/shm of their own
export NETNS_HOSTS_DIR=$T/hosts
hosts() { "$SOURCE/tests/hosts/netns-hosts" "$@"; }
hosts start 2 >"$T/hosts.log" 2>&1 || skip "no network namespaces here: $(cat "$T/hosts.log")"
end_hosts() { hosts stop; end_cluster; }
trap end_hosts EXIT

eval "$(grep '^export OMPI_MCA_oob_tcp_keepalive' "$SOURCE/slurm/algoperf.sbatch")"
[ -n "${OMPI_MCA_oob_tcp_keepalive_time:-}" ] || fail "the template sets no keepalives"
patience=$((OMPI_MCA_oob_tcp_keepalive_time + OMPI_MCA_oob_tcp_keepalive_intvl * OMPI_MCA_oob_tcp_keepalive_probes))

paced plain 1 30 200 20
sed "s|^results = .*|results = \"$T/lost\";|" "$T/plain.cfg" >"$T/lost.cfg"
calm plain
step_log lost
pause lost 60
timeout -k 5 400 "$SOURCE/tests/hosts/netns-hosts" mpirun -n 4 "$ALGOPERF" run "$T/lost.cfg" >"$T/lost.log" 2>&1 &
launcher=$!
until_true 300 has_rows "$T/lost" 3
hosts link h2 down
go_on lost
pulled=$SECONDS
gone() { ! kill -0 $launcher 2>/dev/null; }
until_true 300 gone
wait $launcher
code=$?
[ $code -ne 0 ] && [ $code -ne 1 ] && pass "mpirun ended with $code, $((SECONDS - pulled)) s after the cable was pulled (keepalives: $patience s)" || fail "mpirun ended with $code"
has_rows "$T/lost" 10 && fail "the trial was over before the host was lost"
timeout 300 "$SOURCE/tests/hosts/netns-hosts" run h1 mpirun -n 2 --allow-run-as-root --bind-to none --mca mpi_yield_when_idle 1 "$ALGOPERF" run "$T/lost.cfg" >"$T/again.log" 2>&1
[ $? -le 1 ] || { fail "it does not go on"; cat "$T/lost.log" "$T/again.log"; }
same_tree "$T/calm" "$T/lost" 1
lost_at_most lost 20
done_testing
