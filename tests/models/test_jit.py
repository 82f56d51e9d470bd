"""The kind of processor that loops are compiled for, as others name it."""

import os
import subprocess
import sys

import pytest
import torch
from llvmlite import binding

from mimsweep.models.jit import processor

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


@pytest.mark.gpu
def test_a_gpu_has_its_name() -> None:
    assert processor("cuda") == torch.cuda.get_device_name()
