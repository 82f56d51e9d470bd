"""With what a run was made."""

import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path


def environment_tags() -> dict[str, str]:
    """Returns tags that say with what a run was made: versions, and the commit if there is one."""
    tags = {
        "mimsweep.version": importlib.metadata.version("mimsweep"),
        "mimsweep.torch": importlib.metadata.version("torch"),
        "mimsweep.python": ".".join(map(str, sys.version_info[:3])),
        "mimsweep.cores": str(os.cpu_count()),
    }
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        commit = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return tags
    return {**tags, "mlflow.source.git.commit": commit.stdout.strip()}
