"""A real SLURM on this machine: a controller and two nodes, which run as daemons and keep their files in one folder.

It needs neither root nor systemd nor control groups, and it does not change the machine outside of its folder.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from getpass import getuser
from pathlib import Path

import psutil

from conftest import environment, wait_until

NODES = ("node1", "node2")
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch")
PLACES = ("/usr/sbin", "/sbin")  # daemons are here, which is often not on the path
CONFIGURATION = """\
ClusterName=triptych
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={control}
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
SlurmUser={user}
SlurmdUser={user}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
TaskProlog={folder}/prolog
MpiDefault=none
MailProg=/bin/true
ReturnToService=2
SlurmdTimeout=5
KillWait=5
MinJobAge=86400
SchedulerType=sched/builtin
SchedulerParameters=sched_min_interval=1
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
{nodes}
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""
NODE = "NodeName={name} NodeHostname=localhost NodeAddr=127.0.0.1 Port={port} CPUs=1 State=UNKNOWN"
PROLOG = """\
#!/bin/sh
mkdir -p {folder}/disk-$SLURMD_NODENAME
echo export SLURM_TMPDIR={folder}/disk-$SLURMD_NODENAME
"""  # gives each node a disk of its own, as the prolog of a real cluster does


def missing() -> str:
    """Return a message if SLURM is not installed, else an empty string."""
    if all(map(_program, PROGRAMS)):
        return ""
    return "there is no SLURM here: install it, on Debian with `apt-get install slurm-wlm munge`"


def _program(name: str) -> str | None:
    return shutil.which(name, path=os.pathsep.join((os.environ["PATH"], *PLACES)))


@dataclass
class Cluster:
    """The daemons of the cluster, and its command-line tools."""

    folder: Path
    daemons: dict[str, subprocess.Popen] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        return environment() | {"SLURM_CONF": str(self.folder / "slurm.conf")}

    def start(self) -> None:
        for name in ("state", "log"):
            (self.folder / name).mkdir()
        ports = _free_ports(len(NODES) + 1)
        nodes = "\n".join(NODE.format(name=name, port=port) for name, port in zip(NODES, ports, strict=False))
        text = CONFIGURATION.format(folder=self.folder, user=getuser(), control=ports[-1], nodes=nodes)
        (self.folder / "slurm.conf").write_text(text)
        (self.folder / "prolog").write_text(PROLOG.format(folder=self.folder))
        (self.folder / "prolog").chmod(0o755)
        key = self.folder / "munge.key"
        key.touch(0o600)
        key.write_bytes(secrets.token_bytes(128))
        names = {"key-file": "key", "socket": "socket", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
        places = [f"--{option}={self.folder}/munge.{name}" for option, name in names.items()]
        self._start("munged", "--foreground", "--force", *places)
        wait_until((self.folder / "munge.socket").exists)
        self._start("slurmctld", "-D")
        for node in NODES:
            self.revive(node)
        wait_until(lambda: self.nodes() == dict.fromkeys(NODES, "idle"))

    def stop(self) -> None:
        with suppress(subprocess.CalledProcessError):
            self.ask("scancel", "--full", "--signal=KILL", f"--user={getuser()}")
        for daemon in reversed(self.daemons.values()):
            daemon.terminate()
        for daemon in self.daemons.values():
            daemon.wait()
        for process in self._processes():
            with suppress(psutil.NoSuchProcess):
                process.kill()

    def revive(self, node: str) -> None:
        """Start a node, for the first time or after `cut_power`."""
        self._start("slurmd", "-D", "-N", node, name=node)

    def ask(self, *words: str) -> str:
        """Run a SLURM command and return its output."""
        done = subprocess.run(words, env=self.environment, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def nodes(self) -> dict[str, str]:
        """Return the state of each node, or nothing while the controller does not answer."""
        with suppress(subprocess.CalledProcessError):
            return dict(line.split() for line in self.ask("sinfo", "-h", "-N", "-o", "%N %t").splitlines())
        return {}

    def queue(self) -> dict[str, str]:
        """Return the state of each job that has not ended."""
        return dict(line.split() for line in self.ask("squeue", "-h", "-r", "-o", "%i %T").splitlines())

    def job(self, number: str) -> dict[str, str]:
        """Return SLURM's fields of a job, such as `BatchHost`, `Restarts` and `JobState`."""
        words = self.ask("scontrol", "show", "job", "--oneliner", number).split()
        return dict(word.split("=", 1) for word in words if "=" in word)

    def start_soon(self, number: str) -> None:
        """Start a requeued job without SLURM's delay of two minutes, but not in the second in which it was stopped.

        SLURM refuses a start in the same second: "Job credential revoked".
        """
        self.ask("scontrol", "update", f"jobid={number}", "starttime=now+5")

    def cut_power(self, node: str) -> None:
        """Kill a node's daemon first, then all its processes, so that SLURM gets no message; remove the node's disk."""
        self.daemons[node].kill()
        self.daemons.pop(node).wait()
        ours = [process for process in self._processes() if _variable(process, "SLURMD_NODENAME") == node]
        steps = {parent for process in ours for parent in process.parents() if "slurmstepd" in parent.name()}
        for process in (*steps, *ours):
            with suppress(psutil.NoSuchProcess):
                process.kill()
        shutil.rmtree(self.folder / f"disk-{node}")

    def _processes(self) -> list[psutil.Process]:
        """Return all processes that the jobs of this cluster have started."""
        place = str(self.folder / "slurm.conf")
        return [
            process
            for process in psutil.process_iter()
            if _variable(process, "SLURM_CONF") == place and _variable(process, "SLURM_JOB_ID")
        ]

    def _start(self, program: str, *words: str, name: str = "") -> None:
        path = _program(program)
        assert path, missing()
        with (self.folder / "log" / f"{name or program}.log").open("a") as log:
            self.daemons[name or program] = subprocess.Popen(
                [path, *words], env=self.environment, stdout=log, stderr=log, start_new_session=True
            )


def _variable(process: psutil.Process, name: str) -> str | None:
    try:
        return process.environ().get(name)
    except (psutil.Error, OSError):
        return None


def _free_ports(count: int) -> list[int]:
    with _sockets(count) as found:
        return [each.getsockname()[1] for each in found]


@contextmanager
def _sockets(count: int) -> Iterator[list[socket.socket]]:
    found = [socket.socket() for _ in range(count)]
    try:
        for each in found:
            each.bind(("127.0.0.1", 0))
        yield found
    finally:
        for each in found:
            each.close()
