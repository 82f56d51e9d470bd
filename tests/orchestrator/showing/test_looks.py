"""Seeds are added until claims are decided."""

import json
from pathlib import Path

import pandas as pd
import pytest

from mimsweep.orchestrator.errors import SpecError
from mimsweep.orchestrator.files.sweep import Sweep, load_sweep
from mimsweep.orchestrator.running.policy import Options
from mimsweep.orchestrator.showing.looks import could_be_decided, looks_at, run_until_decided
from tests.orchestrator.commands import mimsweep

HEAD = "name: a\nfixed: {dataset: toy4}\n"
SWEEP = HEAD + "grid: {z_dim: [2, 4], seed: 1..4, model: [mim, vae]}\n"
MORE = "  - {claim: more, metric: mi, greater: {model: mim}, than: {model: vae}}\n"
LESS = "  - {claim: low, metric: mi, less: {model: mim}, than: 5}\n"


def load(folder: Path, claims: str = MORE, text: str = SWEEP) -> Sweep:
    (folder / "a.yaml").write_text(f"{text}claims:\n{claims}")
    return load_sweep(folder / "a.yaml")


def complete(sweep: Sweep, seeds: int, apart: float = 1.0) -> pd.DataFrame:
    """MIM's MI is so far above VAE's in all seeds."""
    rows = [
        {"run_key": run.run_key, "mi": 0.1 * run.seed + (run.model == "mim") * apart}
        for run in sweep.with_seeds(20).runs
        if run.seed <= seeds
    ]
    return pd.DataFrame(rows)


def test_seeds_are_those_of_the_file_then_twice_as_many(tmp_path: Path) -> None:
    sweep = load(tmp_path)
    looks = looks_at(sweep, 20)
    assert looks.seeds == [4, 8, 16, 20]
    assert looks.level == 0.05 / 4
    assert looks.sweeps[0].runs == sweep.runs
    added = looks.sweeps[1].runs[len(sweep.runs) :]
    assert [run.seed for run in added] == [seed for seed in (5, 6, 7, 8) for _ in range(4)]
    keys = {run.run_key for run in looks.sweeps[-1].runs}
    assert keys == {run.run_key for run in load_sweep(tmp_path / "a.yaml", ["seed=1..20"]).runs}
    assert (looks_at(sweep, None).seeds, looks_at(sweep, None).level) == ([4], 0.05)


def test_each_look_has_its_share_of_the_level_and_the_first_verdict_counts(tmp_path: Path) -> None:
    sweep = load(tmp_path, MORE + LESS)
    looks = looks_at(sweep, 20)
    assert looks.judge(complete(sweep, 4)).taken == 1
    found = looks.judge(complete(sweep, 8))
    assert (found.taken, [each.verdict for each in found.judgements]) == (2, ["holds"] * 2)
    assert found.judgements[0].p_holds == 2 * 2.0**-8  # below 5 % / 4
    one = looks_at(sweep, 8).judge(complete(sweep, 8))  # two looks
    assert one.taken == 2
    # At 4 seeds it fails; what more seeds say makes no difference to it.
    against = complete(sweep, 4, -1.0)
    fails = looks_at(load(tmp_path, MORE, SWEEP.replace("1..4", "1..7")), 14)
    mixed = pd.concat([complete(sweep, 7, -1.0), complete(sweep, 14)]).drop_duplicates("run_key")
    assert looks.judge(against).judgements[0].verdict == "undecided"
    told = fails.judge(mixed)
    assert (told.taken, told.judgements[0].verdict) == (1, "fails")


def test_a_look_whose_runs_are_not_all_there_is_not_taken(tmp_path: Path) -> None:
    sweep = load(tmp_path)
    looks = looks_at(sweep, 20)
    found = looks.judge(complete(sweep, 7))
    assert (found.taken, found.judgements[0].verdict) == (1, "undecided")
    assert found.line == "looks at 4, 8, 16 and 20 seeds, each at a level of 1.2 %; taken so far: 1"
    none = looks.judge(complete(sweep, 0).reindex(columns=["run_key", "mi"]))
    assert (none.taken, none.judgements[0].reason) == (1, "8 of 8 pairs are missing")


@pytest.mark.parametrize(
    ("text", "most", "sentence"),
    [
        (SWEEP, 4, "--seeds-until-decided 4: it must be more than the 4 that the sweep has"),
        (SWEEP, 10**6, "these are more than 1,000,000 runs"),
        (
            HEAD + "grid:\n- {model: mim, seed: 1..3}\n- {model: vae, seed: 1..2}\n",
            9,
            "to add seeds, all runs must have the same ones",
        ),
    ],
)
def test_what_can_not_be(tmp_path: Path, text: str, most: int, sentence: str) -> None:
    with pytest.raises(SpecError, match=sentence):
        looks_at(load(tmp_path, MORE, text), most)


def test_runs_of_before_are_no_looks(tmp_path: Path) -> None:
    """Of the looks of an invocation none is judged before its runs are trained, or found good."""
    sweep = load(tmp_path)
    looks = looks_at(sweep, 20)
    assert [looks.judge(complete(sweep, 20), most).taken for most in (None, 2, 1)] == [2, 2, 1]
    options = Options(tracking_uri="sqlite:///none.db", data_dir=tmp_path, fresh=True)
    with pytest.raises(SpecError, match="train all 20 anew before, by --set seed=… --fresh"):
        run_until_decided(sweep, 20, options, print)


def test_a_claim_on_certain_seeds_gets_no_more(tmp_path: Path) -> None:
    for where, more in (("seed <= 3", False), ("seed >= 2", True), ("z_dim = 2", True)):
        sweep = load(tmp_path, MORE.replace("vae}}", f"vae}}, where: {where}}}"))
        found = looks_at(sweep, 20).judge(complete(sweep, 4)).judgements
        assert found[0].verdict == "undecided"
        assert could_be_decided(found) == more


def test_a_sweep_without_claims_gets_no_seeds(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(SWEEP)
    with pytest.raises(SpecError, match="has no claims to verify"):
        looks_at(load_sweep(tmp_path / "a.yaml"), 10)


@pytest.mark.slow
def test_run_adds_seeds_until_it_is_decided(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """2⁻ⁿ is below 5 % / 3 with six seeds, twice the file's; the third look is not needed."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.yaml").write_text(
        "name: a\nfixed: {dataset: toy4, model: vae, epochs: 1, warmup: 1}\ngrid: {seed: 1..3}\n"
        "claims:\n- {claim: it trains, metric: epochs_run, greater: {model: vae}, than: 0}\n"
    )
    looks = ("--seeds-until-decided", "10")
    done = mimsweep("run", "a.yaml", *looks, "--engine", "inline")
    assert done.exit_code == 0, done.output
    assert "a: with 3 seeds 0 of 1 claims are decided" in done.stderr
    assert "a: with 6 seeds 1 of 1 claims are decided" in done.stderr
    verified = mimsweep("verify", "a.yaml", *looks, "--json")
    told = json.loads(verified.stdout)
    assert (verified.exit_code, told["looks"], told["taken"]) == (0, [3, 6, 10], 2)
    assert told["claims"][0]["pairs"] == 6
    again = mimsweep("run", "a.yaml", *looks, "--engine", "inline")
    assert "a: all 3 runs are complete" in again.stderr
    assert "a: with 6 seeds 1 of 1 claims are decided" in again.stderr
    plain = mimsweep("verify", "a.yaml", "--json")
    assert (plain.exit_code, json.loads(plain.stdout)["looks"]) == (1, [3])
