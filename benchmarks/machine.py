"""What all benchmarks share: the machine in words, Markdown tables, a process with one thread."""

import importlib.metadata
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": "1000000000", "MALLOC_TRIM_THRESHOLD_": "1000000000"}
"""As the workers of a sweep have it (`orchestrator/engines/local.py`)."""


def machine() -> str:
    """Returns a sentence on the processor, the versions of what computes, and the load."""
    cores = len(os.sched_getaffinity(0))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = ", ".join(
        f"{name} {importlib.metadata.version(name)}" for name in ("torch", "numba", "numpy")
    )
    parts = [f"{_processor()}, {cores} cores, {memory:.0f} GiB", *_gpus()]
    parts += [f"Python {platform.python_version()}, {versions}"]
    return f"{'; '.join(parts)}; load average {os.getloadavg()[0]:.1f}."


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Returns a Markdown table; all columns but the first are aligned to the right."""
    marks = ["---", *["---:"] * (len(heads) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (heads, marks, *rows))


def in_one_thread() -> None:
    """Goes on in a process with one thread that keeps its memory, unless this is one."""
    settings = {**ONE_THREAD, **KEEP_MEMORY, "PYTHONPATH": str(ROOT)}
    if any(os.environ.get(name) != value for name, value in settings.items()):
        command = [sys.executable, *sys.argv]
        done = subprocess.run(command, env={**os.environ, **settings}, check=False)
        sys.exit(done.returncode)


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _gpus() -> list[str]:
    command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    try:
        listed = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return [line.strip() for line in listed.stdout.splitlines()]
