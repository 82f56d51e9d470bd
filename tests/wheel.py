"""The wheel, made from the files of the repository alone, and installed in a folder of its own."""

import os
import subprocess
import sys
from pathlib import Path

from tests.paths import ROOT


def install(folder: Path) -> Path:
    """Makes the wheel in an empty folder, and returns where in it the wheel is installed."""
    source, wheels, site = (folder / name for name in ("source", "wheels", "site"))
    source.mkdir()
    archive = subprocess.run(
        "git ls-files -z --cached --others --exclude-standard"
        " | tar --null --no-recursion --files-from - --create",
        shell=True, cwd=ROOT, capture_output=True, check=True,
    ).stdout  # fmt: skip
    subprocess.run(["tar", "--extract"], cwd=source, input=archive, check=True)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    made = ["wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", wheels, source]
    subprocess.run([*pip, *made], check=True)
    (wheel,) = wheels.iterdir()
    put = ["install", "--no-deps", "--no-index", "--no-compile", "--target", site, wheel]
    subprocess.run([*pip, *put], check=True)
    return site


def environment(installed: Path) -> dict[str, str]:
    """Returns an environment whose `mimsweep` and `python` are those of the installed wheel."""
    folders = [str(installed / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]]
    own = {name: value for name, value in os.environ.items() if not name.startswith("MIMSWEEP")}
    own.pop("MLFLOW_TRACKING_URI", None)
    return {**own, "PATH": os.pathsep.join(folders), "PYTHONPATH": str(installed)}
