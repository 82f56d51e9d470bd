"""Compiling of numerical loops, and for which processor."""

import os
from collections.abc import Callable
from typing import Any

import numba
import torch
from numba.core import config
from numba.core.codegen import get_host_cpu_features
from numba.core.registry import cpu_target

# A .numba_config.yaml of another tool in the user's folder is read again as each function is
# compiled, and changes numbers as the variables do that the program leaves out.
config._config_fname = os.devnull
config.reload_config()

# LLVM takes half of the widest vectors for some of Intel's processors, as for code that uses them
# now and then. These loops do nothing else: 1.1 to 1.3 times less time, on an 11th generation.
_features: str = get_host_cpu_features()
_given = (vars(config)["CPU_NAME"], vars(config)["CPU_FEATURES"])
if _given == (None, None) and "+avx512f" in _features.split(","):
    vars(config)["CPU_FEATURES"] = f"{_features},-prefer-256-bit"

njit = numba.njit

_VECTORS = ("avx512f", "avx2", "avx")
"""Vector instructions in LLVM's words, widest first."""


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Returns `function` compiled, and kept on disk where there's a folder to keep it in."""
    try:
        return njit(nogil=True, cache=True)(function)
    except RuntimeError:  # neither the package's folder nor the user's cache can be written
        return njit(nogil=True)(function)


def processor(device: str) -> str:
    """Returns the kind of processor behind a torch device: the last bits of numbers depend on it.

    Of a CPU it is LLVM's name, with the widest vector instructions that loops are compiled to:
    "znver4 avx512f", say. torch's libraries choose theirs by the same. Of a GPU it is its name.
    """
    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_name(device)
    # That by which numba tells apart the compiled loops that it keeps on disk.
    _, name, features = cpu_target.target_context.codegen().magic_tuple()
    has = features.split(",")
    return " ".join([name, *[each for each in _VECTORS if f"+{each}" in has][:1]])
