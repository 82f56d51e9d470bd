"""A real Slurm in a folder of its own: Debian's slurmctld, munged, and a slurmd for each node."""

import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

NEEDED = ("slurmctld", "slurmd", "munged", "sbatch")
NODES = ("cpus", "gpus")
"""Each is a partition, too; to Slurm they have eight CPUs, and the second two GPUs."""

CONF = """
ClusterName=mimsweep
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
SchedulerParameters=batch_sched_delay=0,sched_min_interval=0,sched_interval=1,bf_interval=1
PriorityType=priority/basic
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
MpiDefault=none
GresTypes=gpu
JobRequeue=1
KillWait=2
ReturnToService=2
NodeName=cpus NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=8
NodeName=gpus NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=8 Gres=gpu:2
PartitionName=cpus Nodes=cpus Default=YES PriorityTier=1
PartitionName=urgent Nodes=cpus PriorityTier=9
PartitionName=gpus Nodes=gpus
"""


def free_ports(count: int) -> list[int]:
    opened = [socket.socket() for _ in range(count)]
    try:
        for each in opened:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in opened]
    finally:
        for each in opened:
            each.close()


@contextmanager
def slurm() -> Iterator[Path]:
    """Runs a Slurm; yields its slurm.conf, for SLURM_CONF."""
    missing = [name for name in NEEDED if not shutil.which(name, path=_path())]
    if missing or os.geteuid() != 0:
        why = f"no {missing[0]}: apt-get install slurm-wlm munge" if missing else "not root"
        pytest.skip(f"no Slurm of our own can be had: {why}")
    folder = Path(tempfile.mkdtemp(prefix="mimsweep-slurm-"))
    (folder / "state").mkdir()
    key = folder / "key"
    key.write_bytes(secrets.token_bytes(128))
    key.chmod(0o600)
    conf = folder / "slurm.conf"
    host = socket.gethostname().partition(".")[0]
    conf.write_text(CONF.format(folder=folder, host=host, ports=free_ports(3)))
    for number in range(2):
        (folder / f"gpu{number}").touch()
    (folder / "gres.conf").write_text(f"NodeName=gpus Name=gpu File={folder}/gpu[0-1]\n")
    (folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n")
    commands = [
        ["munged", "--foreground", "--force", "--key-file", key, "--socket", folder / "munge",
         "--pid-file", folder / "munged.pid", "--seed-file", folder / "seed",
         "--log-file", folder / "munged.log"],
        ["slurmctld", "-D", "-f", conf],
        *(["slurmd", "-D", "-f", conf, "-N", node] for node in NODES),
    ]  # fmt: skip
    environment = {**os.environ, "SLURM_CONF": str(conf), "PATH": _path()}
    daemons: list[subprocess.Popen[bytes]] = []
    with (folder / "daemons.txt").open("ab") as log:
        try:
            for command in commands:
                daemons.append(subprocess.Popen(command, stdout=log, stderr=log, env=environment))
                _until((folder / "munge").exists, folder)
            _until(lambda: ask(conf, "sinfo", "-hNt", "idle").count("\n") > len(NODES), folder)
            yield conf
        finally:
            ask(conf, "scancel", "--user=root")
            with suppress(AssertionError):
                _until(lambda: not ask(conf, "squeue", "--noheader"), folder, seconds=10)
            for daemon in reversed(daemons):
                daemon.terminate()
                with suppress(subprocess.TimeoutExpired):
                    daemon.wait(10)
                daemon.kill()
                daemon.wait()
            shutil.rmtree(folder, ignore_errors=True)


def ask(conf: Path, *command: str) -> str:
    """What a command of Slurm's prints."""
    environment = {**os.environ, "SLURM_CONF": str(conf)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return done.stdout


def _path() -> str:
    return f"{os.environ.get('PATH', '')}:/usr/sbin"


def _until(happened: object, folder: Path, seconds: float = 30) -> None:
    assert callable(happened)
    deadline = time.monotonic() + seconds
    while not happened():
        logs = [path.read_text() for path in folder.glob("*.log")]
        assert time.monotonic() < deadline, "\n".join(logs)
        time.sleep(0.1)
