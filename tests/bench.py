"""A real sweep in a folder of its own, to be disturbed: its orchestrator, workers and server."""

import io
import os
import random
import signal
import socket
import subprocess
import sys
import time
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import psutil
from mlflow import MlflowClient

MIMSWEEP = Path(sys.executable).with_name("mimsweep")
MARK = "MIMSWEEP_FAULT_TEST"
SWEEP = """
name: faults
fixed: {dataset: toy4, mid_dim: 200, epochs: 120, warmup: 20}
grid: {model: [mim, vae], z_dim: [2, 3], seed: 1..3}
"""
RUNS = 12
OWN = ("run_id", "seconds")
"""Columns in which two equal runs may differ."""


@dataclass
class Bench:
    """A sweep in a folder of its own, and its orchestrator.

    Attributes:
        folder: where it runs.
        seed: of the times at which faults come.
        uri: of the store, if it is a server.
    """

    folder: Path
    seed: int
    uri: str = ""
    options: list[str] = field(default_factory=list)
    process: subprocess.Popen[bytes] | None = None
    server: subprocess.Popen[bytes] | None = None
    starts: int = 0

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "faults.yaml").write_text(SWEEP)
        self.random = random.Random(self.seed)
        self.mark = str(self.folder)

    def start(self) -> None:
        """Starts `mimsweep run` in a process of its own."""
        self.starts += 1
        environment = {**os.environ, MARK: self.mark, "MIMSWEEP_CHECKPOINT_SECONDS": "0.3"}
        with (self.folder / "log.txt").open("ab") as log:
            self.process = subprocess.Popen(
                [MIMSWEEP, "run", "faults.yaml", "--device", "cpu", *self._store, *self.options],
                cwd=self.folder,
                env=environment,
                stdout=log,
                stderr=log,
            )

    def wait(self, seconds: float = 600) -> int:
        """Waits for the orchestrator's end; returns its exit code."""
        assert self.process is not None
        return self.process.wait(seconds)

    def complete(self) -> None:
        """Starts the sweep again, as a user would, until it is complete."""
        for _ in range(5):
            if self.process is not None and self.wait() == 0:
                return
            self.start()
        assert self.wait() == 0, self.log()

    def log(self) -> str:
        """Returns what the orchestrators said."""
        return (self.folder / "log.txt").read_text()

    def until_training(self, seconds: float = 60) -> None:
        """Waits until workers train, then for a random part of the sweep's time."""
        deadline = time.monotonic() + seconds
        while not self.checkpoints():
            assert time.monotonic() < deadline, f"no checkpoint: {self.log()}"
            assert self.process is not None
            if self.process.poll() is not None:
                return  # it was quicker than the fault
            time.sleep(0.02)
        time.sleep(self.random.uniform(0, 1.5))

    def checkpoints(self) -> list[Path]:
        """Returns the checkpoints that are there now."""
        return list((self.folder / ".mimsweep" / "checkpoints").rglob("*.safetensors"))

    def workers(self) -> list[psutil.Process]:
        """Returns the living worker processes of the orchestrator."""
        return [process for process in self.processes() if "worker" in " ".join(_command(process))]

    def processes(self) -> list[psutil.Process]:
        """Returns all living processes that come from this bench's orchestrators."""
        return [process for process in psutil.process_iter() if _marked(process, self.mark)]

    def serve(self) -> None:
        """Starts an MLflow server for the sweep's store, on a port that stays the same."""
        if not self.uri:
            with closing(socket.socket()) as free:
                free.bind(("127.0.0.1", 0))
                self.uri = f"http://127.0.0.1:{free.getsockname()[1]}"
        command = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--port", self.port]
        with (self.folder / "server.txt").open("ab") as log:
            self.server = subprocess.Popen(
                [*command, "--backend-store-uri", "sqlite:///server.db"],
                cwd=self.folder,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline:
            with (
                suppress(OSError),
                closing(socket.create_connection(("127.0.0.1", int(self.port)))),
            ):
                return
            time.sleep(0.2)
        raise AssertionError((self.folder / "server.txt").read_text())

    def stop_server(self) -> None:
        """Kills the MLflow server and its children."""
        if self.server is not None:
            os.killpg(self.server.pid, signal.SIGKILL)
            self.server.wait()
            self.server = None

    @property
    def port(self) -> str:
        """The server's port."""
        return self.uri.rpartition(":")[2]

    def results(self) -> pd.DataFrame:
        """Returns the results table, apart from ids and times."""
        command = [MIMSWEEP, "results", "faults.yaml", *self._store]
        text = subprocess.run(command, cwd=self.folder, capture_output=True, check=True).stdout
        table = pd.read_csv(io.BytesIO(text), dtype=str)
        return table.drop(columns=list(OWN))

    def check(self, expected: pd.DataFrame) -> None:
        """Asserts that nothing is missing, changed, twice, left RUNNING, or left over."""
        pd.testing.assert_frame_equal(self.results(), expected)
        store = self.uri or f"sqlite:///{self.folder}/mlflow.db"
        client = MlflowClient(store)
        experiment = client.get_experiment_by_name("faults")
        assert experiment is not None
        runs = client.search_runs([experiment.experiment_id], max_results=1000)
        statuses = [run.info.status for run in runs]
        assert not {"RUNNING", "SCHEDULED"} & set(statuses), statuses
        keys = [
            run.data.tags["mimsweep.run_key"]
            for run in runs
            if run.data.tags.get("mimsweep.complete") == "true"
        ]
        assert len(keys) == len(set(keys)) == RUNS, "a run is complete twice, or missing"
        for run in runs:
            if run.data.tags.get("mimsweep.complete") == "true":
                epochs = [
                    point.step for point in client.get_metric_history(run.info.run_id, "train_loss")
                ]
                assert sorted(epochs) == list(range(1, int(run.data.metrics["epochs_run"]) + 1))
        deadline = time.monotonic() + 10
        while self.processes() and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not self.processes(), "processes are left over"

    def close(self) -> None:
        """Ends everything."""
        for process in self.processes():
            with suppress(psutil.Error):
                process.kill()
        self.stop_server()

    @property
    def _store(self) -> list[str]:
        return ["--tracking-uri", self.uri] if self.uri else []


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _marked(process: psutil.Process, mark: str) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE and process.environ().get(MARK) == mark
    except psutil.Error:
        return False
