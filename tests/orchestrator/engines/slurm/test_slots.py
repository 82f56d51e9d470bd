import sys
from pathlib import Path

import pytest

from mimsweep.orchestrator.engines import slurm
from mimsweep.orchestrator.engines.choice import choose
from mimsweep.orchestrator.engines.slurm.slots import slurm_slots
from mimsweep.orchestrator.errors import SpecError


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ("Partition=gpu", "it must be a long option of sbatch"),
        ("partition=", "it must be a long option of sbatch, as in partition=gpu"),
        ("partition gpu", "it must be a long option of sbatch"),
        ("comment=a\n#SBATCH --uid=1", "it must be a long option of sbatch"),
        ("array=1-3", "--slurm array: mimsweep sets that itself"),
        ("--output=here", "--slurm output: mimsweep sets that itself"),
        ("clusters=other", "--slurm clusters: mimsweep sets that itself, or can't do with it"),
        ("quiet", "--slurm quiet: mimsweep"),
        ("ntasks-per-gpu=2", "--slurm ntasks-per-gpu: mimsweep"),
    ],
)
def test_an_option_that_no_job_can_have_is_told(said: str, sentence: str) -> None:
    with pytest.raises(SpecError, match=sentence):
        slurm_slots("cpu", 1, 1.0, [said])


def test_the_number_of_jobs_must_be_said() -> None:
    with pytest.raises(SpecError, match="--workers N must say how many jobs"):
        choose("slurm", "cpu", None, 1.0)


def test_a_machine_without_slurm_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SpecError, match="no sbatch is found here; is this a login node"):
        choose("slurm", "cpu", 1, 1.0)


def test_submitit_that_is_not_installed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = "mimsweep.orchestrator.engines.slurm."
    for name in [name for name in sys.modules if name.startswith((ours, "submitit."))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr(slurm, "submission", raising=False)
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(SpecError, match=r"submitit is not installed; pip install 'mimsweep\[slurm"):
        choose("slurm", "cpu", 1, 1.0)


def test_options_of_slurm_are_for_its_engine() -> None:
    with pytest.raises(SpecError, match="--slurm partition=gpu: it is for --engine slurm"):
        choose("local", "cpu", 1, 1.0, ["partition=gpu"])


@pytest.mark.parametrize(
    ("sinfo", "said", "device", "flags"),
    [
        ("nogpu* (null)\nother gpu:2(S:0)", [], "cpu", {}),
        ("cpus (null)\nany* gpu:a100:2", [], "cuda", {"gpus-per-node": "1"}),
        ("gpu-old (null)", ["partition=gpu-old"], "cpu", {"partition": "gpu-old"}),
        ("any* gpu:2", ["gres=lscratch:50"], "cuda", {"gres": "lscratch:50", "gpus-per-node": "1"}),
        ("any* gpu:2", ["gres=gpu:2"], "cuda", {"gres": "gpu:2"}),
        ("any* gpu:2", ["tres-per-task=gres/gpu:1"], "cuda", {"tres-per-task": "gres/gpu:1"}),
    ],
)
def test_gpus_are_what_slurm_calls_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, sinfo: str, said: list[str], device: str,
    flags: dict[str, str],
) -> None:  # fmt: skip
    for name in ("sbatch", "srun", "squeue", "scancel"):
        (tmp_path / name).write_text("#!/bin/sh\n")
    (tmp_path / "sinfo").write_text(f"#!/bin/sh\necho '{sinfo}'\n")
    for command in tmp_path.iterdir():
        command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    assert slurm_slots("auto", 1, 1.0, said) == (device, 1, flags)


@pytest.mark.slow
@pytest.mark.xdist_group("slurm")
@pytest.mark.usefixtures("cluster")
class TestOnACluster:
    @pytest.mark.parametrize(
        ("said", "sentence"),
        [
            ("partition=nope", "invalid partition specified: nope"),
            ("time=soon", "Invalid --time specification"),
            ("nonsense=1", "unrecognized option '--nonsense=1'$"),
            ("cpus-per-task=999", "(More processors|not available)"),
        ],
    )
    def test_what_slurm_refuses_is_told_in_its_words(self, said: str, sentence: str) -> None:
        with pytest.raises(SpecError, match=f"--engine slurm: sbatch: .*{sentence}"):
            slurm_slots("cpu", 1, 1.0, [said])

    def test_auto_is_cpu_where_there_are_no_gpus(self) -> None:
        said = ["partition=cpus", "time=4:00:00", "exclusive"]
        flags = {"partition": "cpus", "time": "4:00:00", "exclusive": True}
        assert slurm_slots("auto", 3, 1.0, said) == ("cpu", 3, flags)
        assert slurm_slots("auto", 3, 1.0, []) == ("cpu", 3, {})

    def test_auto_is_gpus_where_there_are_some(self) -> None:
        flags = {"partition": "gpus", "gpus-per-node": "2"}
        assert slurm_slots("auto", 3, 2.0, ["partition=gpus"]) == ("cuda", 3, flags)
        flags = {"partition": "gpus", "gres": "gpu:2"}
        said = ["partition=gpus", "gres=gpu:2"]
        assert slurm_slots("cuda", 3, 1.0, said) == ("cuda", 3, flags)
        assert slurm_slots("cpu", 3, 1.0, ["partition=gpus"])[0] == "cpu"

    def test_gpus_that_no_job_can_have_are_told(self) -> None:
        with pytest.raises(SpecError, match="a job of Slurm's has whole GPUs"):
            slurm_slots("cuda", 1, 0.5, [])
        with pytest.raises(SpecError, match=r"sbatch: .*(node configuration|generic resource)"):
            slurm_slots("cuda", 1, 9.0, ["partition=gpus"])
