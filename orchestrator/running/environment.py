"""With what a run was made: versions, installed packages, and the state of the user's folder.

None of it may fail or delay a run: git is given seconds, and what can't be had is left out.
"""

import importlib.metadata
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from mimsweep.orchestrator.errors import RefusedError
from mimsweep.orchestrator.tracking.writer import Tracking

PACKAGES, DIFF = "packages.txt", "uncommitted.diff"
"""Artifacts of the parent run."""

MOST_BYTES = 1_000_000
"""Of a diff; more is a data file that was committed, and no code to read."""

GIT_SECONDS = 5.0

# As the user's own settings may colour it, or have it drawn by programs of theirs.
_DIFF = (
    "diff",
    "--no-color",
    "--no-ext-diff",
    "--no-textconv",
    "--ignore-submodules=dirty",
    "HEAD",
)


def environment_tags(folder: Path) -> dict[str, str]:
    """Returns tags that say with what a run was made: versions, and the commit if there is one.

    Args:
        folder: the user's.
    """
    tags = {
        "mimsweep.version": importlib.metadata.version("mimsweep"),
        "mimsweep.torch": importlib.metadata.version("torch"),
        "mimsweep.python": ".".join(map(str, sys.version_info[:3])),
        "mimsweep.cores": str(os.cpu_count()),
    }
    commit, whole = _git(folder, "rev-parse", "--verify", "HEAD")
    if commit and whole:
        tags["mlflow.source.git.commit"] = commit.decode().strip()
    return tags


def keep(tracking: Tracking, parent_id: str, folder: Path) -> None:
    """Stores what tags have no room for on a parent run, unless the store refuses it.

    Raises:
        TrackingError: the store doesn't answer.
    """
    with suppress(RefusedError), tempfile.TemporaryDirectory() as files:
        for name, content in _files(folder).items():
            Path(files, name).write_bytes(content)
        tracking.log_folder(parent_id, Path(files))


def _files(folder: Path) -> Mapping[str, bytes]:
    files = {PACKAGES: _packages()}
    if diff := _diff(folder):
        files[DIFF] = diff
    return files


def _packages() -> bytes:
    """Returns a line for each installed package, as pip's constraints have it."""
    found: dict[str, str] = {}
    for each in importlib.metadata.distributions():  # the first of a name is that which is imported
        with suppress(Exception):  # of broken metadata
            found.setdefault(each.name.lower(), f"{each.name}=={each.version}\n")
    return "".join(found[name] for name in sorted(found)).encode()


def _diff(folder: Path) -> bytes:
    """Returns what a user has changed in files that git knows since the last commit.

    Of files that it doesn't know nothing is in it. A diff that is cut says so in its last line.
    """
    diff, whole = _git(folder, *_DIFF)
    if whole:
        return diff
    why = f"it has more than {MOST_BYTES:,} bytes, or git takes longer than {GIT_SECONDS:.0f} s"
    return diff[: diff.rfind(b"\n") + 1] + f"# The diff is cut here: {why}.\n".encode()


def _git(folder: Path, *command: str) -> tuple[bytes, bool]:
    """Returns the first `MOST_BYTES` of what git prints, and whether that is all.

    Nothing where there is no git, or no repository, or no commit in it.
    """
    options = ("-c", "core.fsmonitor=false", "-c", "core.quotePath=false")
    try:
        git = subprocess.Popen(
            ["git", "-C", str(folder), *options, *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},  # leaves the user's index alone
        )
    except OSError:
        return b"", True
    assert git.stdout
    late = threading.Timer(GIT_SECONDS, git.kill)
    late.start()
    with git:
        printed = git.stdout.read(MOST_BYTES + 1)
        if len(printed) > MOST_BYTES:
            git.kill()
    late.cancel()
    if git.returncode > 0:
        return b"", True
    return printed[:MOST_BYTES], git.returncode == 0 and len(printed) <= MOST_BYTES
