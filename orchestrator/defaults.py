"""What holds where neither the command line nor Python says anything. Loads nothing."""

import os
from pathlib import Path
from typing import Literal

Engine = Literal["local", "ray", "slurm", "inline"]
Device = Literal["auto", "cpu", "cuda"]
Order = Literal["cost", "overview"]

ENGINE: Engine = "local"
DEVICE: Device = "auto"
ORDER: Order = "cost"
GPUS_PER_WORKER = 1.0
COHORT_SIZE: Literal["auto"] = "auto"
RETRIES = 1
FIGURES = Path("figures")
REPORT = Path("reports", "report.html")


def data_dir() -> Path:
    """Returns the folder of data sets."""
    return Path(os.environ.get("MIMSWEEP_DATA_DIR") or "data")
