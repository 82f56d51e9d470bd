"""Run by `test_kernel.py`: compiles the kernel for a kind of GPU, which need not be there.

    python -m tests.models.steps.gpu.compiled 90 16

The second number is D, padded.

Prints a JSON object: registers of a thread, bytes that it spills, bytes of shared memory.
"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import triton
from triton import knobs
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from mimsweep.models.steps.gpu import launch
from mimsweep.models.steps.gpu.kernel import epoch_of_runs

FLOATS = [
    *("weights", "first", "second", "gradient", "totals", "sizes", "correction", "factors"),
    *("x", "means", "scale"),
]
TYPES = {
    **dict.fromkeys(FLOATS, "*fp32"),
    "keys": "*i64",
    **dict.fromkeys(["epochs", "both"], "*i32"),
    **dict.fromkeys(["S", "R", "P", "D", "Z", "H", "M", "n", "start"], "i32"),
    **dict.fromkeys(["minimum", "RATE1", "KEEP2", "RATE2", "EPSILON"], "fp32"),
}


def mim(features: int) -> dict[str, int | bool]:
    """Constants of MIM on a toy, whose features are padded."""
    return {
        "DP": features, "ZP": launch.LEAST_FEATURES, "HT": launch.TILE,
        "N": 128, "ITEMS": 128, "ACT": 0, "HEADS": 2, "BOTH": True, "LEARN": True, "GIVEN": False,
        "BLOCK": launch.BLOCK,
    }  # fmt: skip


def main(capability: int, features: int) -> None:
    names = epoch_of_runs.arg_names
    signature = {name: TYPES.get(name, "constexpr") for name in names}
    constants = {(names.index(name),): value for name, value in mim(features).items()}
    source = ASTSource(epoch_of_runs, signature=signature, constexprs=constants)
    target = GPUTarget("cuda", capability, 32)
    kernel = triton.compile(source, target=target, options={"num_warps": launch.WARPS})
    with tempfile.TemporaryDirectory() as folder:
        ptx = Path(folder, "kernel.ptx")
        ptx.write_text(kernel.asm["ptx"])
        name = re.search(r"\.target (sm_\w+)", kernel.asm["ptx"])
        assert name is not None
        command = [knobs.nvidia.ptxas.path, "-v", f"--gpu-name={name[1]}", ptx, "-o", "/dev/null"]
        told = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    found = {
        "registers": int(re.findall(r"Used (\d+) registers", told)[-1]),
        "spilled": sum(map(int, re.findall(r"(\d+) bytes spill stores", told))),
        "shared": kernel.metadata.shared,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
