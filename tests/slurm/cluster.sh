#!/usr/bin/env bash
# A real Slurm of several nodes on this one machine, on the loopback interface, for the tests. Never for production: its daemons run as root.
#
#   cluster.sh install              Debian's slurmctld, slurmd and munge
#   cluster.sh up [NODES]           start (2 nodes unless told); does nothing where it is up
#   cluster.sh kill-node NAME       the node's daemon and all that it runs, with signal 9
#   cluster.sh start-node NAME      bring it back
#   cluster.sh down                 stop everything
set -euo pipefail

ROOT=${WDBENCH_SLURM_ROOT:-/tmp/wdbench-slurm}
CONF=$ROOT/slurm.conf

# a daemon that keeps the caller's pipes open would be waited for
daemon() { "$@" < /dev/null >> "$ROOT.log" 2>&1; }

die() { echo "cluster.sh: $*" >&2; exit 1; }

install_packages() {
    command -v slurmctld slurmd munged > /dev/null && return 0
    [ "$(id -u)" = 0 ] || die "installing packages needs root; valid: apt-get install slurmctld slurmd munge"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq > /dev/null
    # the packages would start daemons of their own, without a configuration
    printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d && chmod +x /usr/sbin/policy-rc.d
    apt-get install -y -qq --no-install-recommends slurmctld slurmd slurm-client munge > /dev/null
    rm -f /usr/sbin/policy-rc.d
}

munge_up() {
    pgrep -x munged > /dev/null && return 0
    [ -s /etc/munge/munge.key ] || { dd if=/dev/urandom of=/etc/munge/munge.key bs=1024 count=1 status=none; }
    chown munge:munge /etc/munge/munge.key && chmod 400 /etc/munge/munge.key
    install -d -o munge -g munge -m 755 /run/munge
    daemon runuser -u munge -- munged
}

# nothing is started, killed or removed where somebody else's Slurm may be
ours() {
    [ ! -e /etc/slurm/slurm.conf ] || [ "$(readlink /etc/slurm/slurm.conf)" = "$CONF" ] || die "/etc/slurm/slurm.conf is there and is not ours"
}

write_conf() {
    local nodes=$1 name port=17000
    mkdir -p "$ROOT"/{state,spool} /etc/slurm
    cat > "$CONF" <<CONF
ClusterName=wdbench
SlurmctldHost=$(hostname -s)(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
StateSaveLocation=$ROOT/state
SlurmctldPort=16817
SlurmctldPidFile=$ROOT/slurmctld.pid
SlurmctldLogFile=$ROOT/slurmctld.log
SlurmdSpoolDir=$ROOT/spool/%n
SlurmdPidFile=$ROOT/%n.pid
SlurmdLogFile=$ROOT/%n.log
SlurmdTimeout=20
SlurmctldTimeout=60
MinJobAge=3600
ReturnToService=2
SchedulerParameters=sched_interval=2,batch_sched_delay=0,bf_interval=2
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
CONF
    for name in $(seq -f 'n%g' "$nodes"); do
        port=$((port + 1))
        mkdir -p "$ROOT/spool/$name"
        echo "NodeName=$name NodeHostname=$(hostname -s) NodeAddr=127.0.0.1 Port=$port CPUs=2 RealMemory=8000 State=UNKNOWN" >> "$CONF"
    done
    # the plugin strips SLURM_CONF from its jobs' environment, so the file must be where Slurm looks by itself
    ln -sfn "$CONF" /etc/slurm/slurm.conf
}

up() {
    local nodes=${1:-2}
    [ "$(id -u)" = 0 ] || die "needs root"
    ours
    scontrol ping 2> /dev/null | grep -q "is UP" && return 0
    munge_up
    write_conf "$nodes"
    daemon slurmctld -c
    for name in $(seq -f 'n%g' "$nodes"); do daemon slurmd -N "$name"; done
    for _ in $(seq 120); do
        [ "$(sinfo -h -N -t idle -o %N 2> /dev/null | wc -l)" = "$nodes" ] && return 0
        sleep 0.25
    done
    sinfo >&2 || true
    die "the nodes did not come up in 30 s; their logs are in $ROOT"
}

kill_node() {
    local pid
    pid=$(cat "$ROOT/$1.pid") || die "node $1 is not up"
    # what it runs are slurmstepd processes, children of no one, that name the job; each leads the processes of its step
    for step in $(pgrep -f "slurmstepd: \[" || true); do
        if tr '\0' '\n' < "/proc/$step/environ" 2> /dev/null | grep -q "SLURMD_NODENAME=$1\$" || grep -qs "$1" "/proc/$step/cmdline"; then
            pkill -9 -P "$step" || true
            kill -9 "$step" 2> /dev/null || true
        fi
    done
    kill -9 "$pid"
    # a job's processes may have sessions of their own
    for process in /proc/[0-9]*; do
        tr '\0' '\n' < "$process/environ" 2> /dev/null | grep -q "^SLURMD_NODENAME=$1\$" && kill -9 "${process#/proc/}" 2> /dev/null || true
    done
}

down() {
    ours
    scancel --user=root 2> /dev/null || true
    pkill -9 -x slurmctld || true
    pkill -9 -x slurmd || true
    pkill -9 slurmstepd || true
    pkill -9 -x munged || true
    for _ in $(seq 40); do
        pgrep -x slurmctld > /dev/null || pgrep -x slurmd > /dev/null || pgrep -x munged > /dev/null || break
        sleep 0.1
    done
    rm -f /run/munge/munge.socket* /run/munge/munged.pid
    [ ! -L /etc/slurm/slurm.conf ] || rm -f /etc/slurm/slurm.conf
    rm -rf "$ROOT" "$ROOT.log"
}

case ${1:-} in
    install) install_packages ;;
    up) up "${2:-2}" ;;
    kill-node) kill_node "${2:?a node}" ;;
    start-node) daemon slurmd -N "${2:?a node}" ;;
    down) down ;;
    *) die "value '${1:-}': valid: install, up [NODES], kill-node NAME, start-node NAME, down" ;;
esac
