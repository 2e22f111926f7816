#!/usr/bin/env bash
# Runs a command beside a Slurm of its own: one node with two pretend GPUs, on loopback. Needs root, and Debian's
# packages slurmctld, slurmd, slurm-client and munge. Ends the daemons when the command ends.
#
#   tests/cluster/one_node_slurm.sh COMMAND…
#
# CPUS      cores that the node seems to have (16)      MEMORY    MB that it seems to have (64000)
# OverTimeLimit and KillWait are short, so that a job that has used up its time ends within seconds.
set -euo pipefail
for program in slurmctld slurmd munged sbatch; do
    command -v "$program" > /dev/null || { echo "one_node_slurm.sh: $program is missing; install Debian's packages slurmctld, slurmd, slurm-client and munge" >&2; exit 3; }
done
[ "$(id -u)" = 0 ] || { echo "one_node_slurm.sh: only root can start Slurm's daemons" >&2; exit 3; }
if [ -e /etc/slurm/slurm.conf ]; then
    echo "one_node_slurm.sh: /etc/slurm/slurm.conf is there: this machine has a Slurm already" >&2
    exit 3
fi
root=$(mktemp -d "${TMPDIR:-/tmp}/slurm.XXXX")
chmod 755 "$root"
host=$(hostname -s)
mkdir -p "$root"/{state,spool,munge} /etc/slurm
head -c 128 /dev/urandom > "$root/munge/key"
chown -R munge: "$root/munge"
chmod 400 "$root/munge/key"
# Clones of /dev/null: Slurm sets CUDA_VISIBLE_DEVICES only for character devices.
for index in 0 1; do mknod "$root/gpu$index" c 1 3; done
cat > "$root/slurm.conf" << CONF
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=16817
SlurmdPort=16818
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$root/munge/socket
StateSaveLocation=$root/state
SlurmdSpoolDir=$root/spool
SlurmctldPidFile=$root/slurmctld.pid
SlurmdPidFile=$root/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
SchedulerParameters=sched_min_interval=0,bf_interval=1
MinJobAge=600
ReturnToService=2
KillWait=10
GresTypes=gpu
NodeName=$host NodeAddr=127.0.0.1 CPUs=${CPUS:-16} RealMemory=${MEMORY:-64000} Gres=gpu:2 State=UNKNOWN
PartitionName=gpu Nodes=$host Default=YES MaxTime=INFINITE State=UP
CONF
echo "NodeName=$host Name=gpu File=$root/gpu[0-1]" > "$root/gres.conf"
# The plugin for Snakemake takes SLURM_CONF out of the environment of jobs.
ln -sf "$root/slurm.conf" "$root/gres.conf" /etc/slurm/
daemons=()
stop() {
    # A second signal must not leave daemons behind.
    trap '' TERM INT HUP
    scancel --state=RUNNING,PENDING 2> /dev/null || true
    sleep 0.5
    kill "${daemons[@]}" 2> /dev/null || true
    wait
    rm -rf "$root" /etc/slurm/slurm.conf /etc/slurm/gres.conf
}
trap stop EXIT
trap 'exit 143' TERM
setpriv --reuid=munge --regid=munge --clear-groups munged --foreground --force --key-file="$root/munge/key" \
    --socket="$root/munge/socket" --pid-file="$root/munge/pid" --log-file="$root/munge/log" \
    --seed-file="$root/munge/seed" 2> /dev/null &
daemons+=($!)
for _ in $(seq 100); do [ -S "$root/munge/socket" ] && break; sleep 0.1; done
slurmctld -D > "$root/slurmctld.log" 2>&1 &
daemons+=($!)
slurmd -D -N "$host" > "$root/slurmd.log" 2>&1 &
daemons+=($!)
for _ in $(seq 300); do [ "$(sinfo -h -o %T 2> /dev/null)" = idle ] && break; sleep 0.1; done
if [ "$(sinfo -h -o %T)" != idle ]; then
    tail -n 20 "$root"/*.log >&2
    echo "one_node_slurm.sh: the node does not come up" >&2
    exit 3
fi
SLURM_TEST_ROOT=$root "$@"
