"""The kind of processor that loops are compiled for, as others name it."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from llvmlite import binding

from mimsweep.models.jit import njit, processor

PRINT = "from mimsweep.models.jit import processor; print(processor('cpu'), end='')"
HOST = binding.get_host_cpu_name()


def test_a_cpu_has_its_name_and_its_widest_instructions() -> None:
    widest = {"AVX512": " avx512f", "AVX2": " avx2"}
    assert processor("cpu") == HOST + widest.get(torch.backends.cpu.get_cpu_capability(), "")


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [("NUMBA_CPU_NAME", "generic", "generic"), ("NUMBA_ENABLE_AVX", "0", HOST)],
)
def test_it_is_what_loops_are_compiled_for(name: str, value: str, expected: str) -> None:
    found = subprocess.run(
        [sys.executable, "-c", PRINT],
        env={**os.environ, name: value},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout == expected


@pytest.mark.skipif("avx512f" not in processor("cpu"), reason="no vectors of 512 bits here")
def test_loops_use_the_widest_vectors() -> None:
    @njit
    def doubled(values: np.ndarray) -> None:  # type: ignore[type-arg]
        for index in range(len(values)):
            values[index] += values[index]

    doubled(np.ones(100, np.float32))
    assert "zmm" in next(iter(doubled.inspect_asm().values()))


@pytest.mark.gpu
def test_a_gpu_has_its_name() -> None:
    assert processor("cuda") == torch.cuda.get_device_name()
