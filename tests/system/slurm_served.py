"""A real Slurm of one node: controller, node daemon and munge as children of this process, on loopback alone."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.system.radosgw import free_ports

# More cores than the machine has: four workers of a test are to run side by side anywhere. Memory is handed out and
# watched, so that a job that takes more than it asked for is killed.
CONFIG = """
ClusterName=tested
SlurmctldHost={host}(127.0.0.1)
SlurmctldAddr=127.0.0.1
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
SlurmctldPort={controller}
SlurmdPort={node}
SlurmctldTimeout=30
SlurmdTimeout=30
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
MinJobAge=120
KillWait=2
CompleteWait=0
SlurmdParameters=config_overrides
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
CommunicationParameters=NoAddrCache,NoInAddrAny,NoCtldInAddrAny
NodeName={host} NodeAddr=127.0.0.1 CPUs=16 RealMemory=16000 State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE DefMemPerCPU=900 State=UP
PartitionName=closed Nodes={host} MaxTime=INFINITE DefMemPerCPU=900 State=DOWN
"""
PATIENCE_S = 60


@dataclass(frozen=True, slots=True)
class Served:
    """A running Slurm: its folder, the environment that its commands need, the pids of its daemons."""

    folder: Path
    environment: dict[str, str]
    daemons: tuple[int, ...]

    def listening(self) -> set[str]:
        """The addresses that its daemons listen on, of IPv4 in hexadecimal as the kernel writes them."""
        held = set()
        for file in [it for pid in self.daemons for it in Path(f"/proc/{pid}/fd").iterdir()]:
            with suppress(FileNotFoundError):  # closed in between
                held.add(str(file.readlink()))
        rows = [
            line.split()
            for table in ("tcp", "tcp6")
            for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]
        ]
        return {row[1].partition(":")[0] for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in held}

    def ask(self, *command: str) -> str:
        """What one of Slurm's commands says."""
        done = subprocess.run(
            command,
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
        return done.stdout


def until(ready: Callable[[], object], what: str) -> None:
    """Wait for it."""
    stop = time.monotonic() + PATIENCE_S
    while not ready():
        assert time.monotonic() < stop, what
        time.sleep(0.05)


@contextmanager
def slurm(folder: Path) -> Iterator[Served]:
    """Up, its node idle; all jobs and daemons ended afterwards. folder: a short path, a socket lies in it."""
    host, (controller, node) = socket.gethostname().split(".")[0], free_ports(2)
    for name in ("munge", "state", "spool", "log"):
        (folder / name).mkdir(parents=True)
    config, key = folder / "slurm.conf", folder / "munge" / "key"
    user = os.environ.get("USER") or "root"
    config.write_text(CONFIG.format(folder=folder, host=host, user=user, controller=controller, node=node))
    key.touch(0o600)
    key.write_bytes(secrets.token_bytes(128))
    environment = {"SLURM_CONF": str(config)}
    with ExitStack() as daemons:

        def start(*command: str) -> subprocess.Popen[bytes]:
            with (folder / "log" / f"{Path(command[0]).name}.log").open("wb") as said:
                child = subprocess.Popen(
                    command, env={**os.environ, **environment}, stdout=said, stderr=said, cwd=folder
                )
            daemons.callback(ended, child)
            return child

        lies = folder / "munge"
        start(
            "/usr/sbin/munged",
            "--foreground",
            "--force",
            f"--socket={lies / 'socket'}",
            f"--key-file={key}",
            f"--pid-file={lies / 'pid'}",
            f"--seed-file={lies / 'seed'}",
            f"--log-file={lies / 'log'}",
        )
        until((lies / "socket").exists, "munge did not come up")
        pids = [start("/usr/sbin/slurmctld", "-D", "-c", "-f", str(config)).pid]
        pids.append(start("/usr/sbin/slurmd", "-D", "-f", str(config)).pid)
        served = Served(folder, environment, tuple(pids))
        until(lambda: "idle" in asked(served, "sinfo", "-h", "-p", "main", "-o", "%t"), "no node is idle")
        yield served
        served.ask("scancel", "--state=RUNNING")
        served.ask("scancel", "--state=PENDING")
        until(lambda: not served.ask("squeue", "-h"), "jobs live on")


def asked(served: Served, *command: str) -> str:
    """What a command says, nothing where the controller is not up yet."""
    done = subprocess.run(
        command, env={**os.environ, **served.environment}, capture_output=True, text=True, check=False
    )
    return done.stdout


def ended(child: subprocess.Popen[bytes]) -> None:
    """A daemon, asked to end, then made to."""
    child.terminate()
    try:
        child.wait(10)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
