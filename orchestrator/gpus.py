"""Which GPUs workers can use: as CUDA's driver says, not the environment.

The driver is asked in a process of its own, which takes hundredths of a second where there is none:
this one forks, and a fork can't use a CUDA that was started before it.
"""

import os
import runpy
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

_ASK = """
import ctypes
cuda, count, version = ctypes.CDLL("libcuda.so.1"), ctypes.c_int(), ctypes.c_int()
for error in (
    cuda.cuInit(0),
    cuda.cuDeviceGetCount(ctypes.byref(count)),
    cuda.cuDriverGetVersion(ctypes.byref(version)),
):
    if error:
        raise SystemExit(1)
print(count.value, version.value // 1000)
"""
_SECONDS = 60.0  # a driver that is not kept loaded takes some for each GPU


class Gpus(NamedTuple):
    """The GPUs that can be used, or why there are none.

    Attributes:
        names: as `CUDA_VISIBLE_DEVICES` names them.
        why: there are none.
        wrong: whether somebody may think that there are some.
    """

    names: list[str]
    why: str = ""
    wrong: bool = False


def find_gpus() -> Gpus:
    """Returns the GPUs that the driver shows, if this torch is made for the driver."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    wanted = None if visible is None else [name.strip() for name in visible.split(",")]
    if wanted and wanted[0] in ("", "-1"):
        return Gpus([], f"CUDA_VISIBLE_DEVICES is {visible or 'empty'}")
    count, driver = _ask_driver()
    if not count:
        if visible is None:
            return Gpus([], "CUDA's driver finds none")
        text = f"CUDA_VISIBLE_DEVICES is {visible}, of which CUDA's driver finds none"
        return Gpus([], text, wrong=True)
    version, cuda = _torch()
    if not cuda:
        return Gpus([], f"this torch ({version}) is built without CUDA", wrong=True)
    if driver < int(cuda.partition(".")[0]):
        text = f"this torch ({version}) is for CUDA {cuda}, the driver for CUDA {driver}"
        return Gpus([], text, wrong=True)
    # CUDA shows those named before the first that is not there.
    return Gpus(wanted[:count] if wanted else [str(index) for index in range(count)])


def _ask_driver() -> tuple[int, int]:
    """Returns how many GPUs are visible, and the driver's major version of CUDA."""
    command = [sys.executable, "-I", "-S", "-c", _ASK]
    try:
        said = subprocess.run(command, capture_output=True, timeout=_SECONDS, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return 0, 0
    count, version = map(int, said.split())
    return count, version


def _torch() -> tuple[str, str | None]:
    """Returns torch's version and that of its CUDA, without the seconds that its import takes."""
    found = find_spec("torch")
    assert found
    assert found.origin
    values = runpy.run_path(str(Path(found.origin).with_name("version.py")))
    return values["__version__"], values["cuda"]
