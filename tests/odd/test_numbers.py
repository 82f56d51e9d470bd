"""Numbers and lists as people write them: too large, without brackets."""

from pathlib import Path

import pytest

from mimsweep.orchestrator.files.fields import LARGEST
from tests.orchestrator.commands import mimsweep, refused

BIG = "1234567890123456789"
ALLOWED = f"it must be at most {LARGEST}"


pytestmark = pytest.mark.usefixtures("here")


@pytest.mark.parametrize(
    ("grid", "sentence"),
    [
        (f"{{seed: {BIG}}}", f"3:14: grid.seed: {BIG} is not allowed; {ALLOWED}"),
        (f"{{seed: [1, {BIG}]}}", f"3:18: grid.seed: {BIG} is not allowed; {ALLOWED}"),
        (f"{{seed: -{BIG}}}", f"3:14: grid.seed: -{BIG} is not allowed; it must be at least 0"),
        (f"{{seed: 1..{BIG}}}", f"3:14: grid.seed: 1..{BIG} is not allowed; its ends must be"),
        (f"{{seed: 1..{'9' * 300}}}", "3:14: grid.seed: 1..9"),
        (f"{{seed: 1..{LARGEST}}}", "3:7: grid: 999,999,999,999,999,999 runs are more than"),
        (f"{{epochs: {BIG}}}", f"3:16: grid.epochs: {BIG} is not allowed; {ALLOWED}"),
        (f"{{batch_size: {BIG}}}", "3:20: grid.batch_size: 1234567890123456789 is not allowed; it"),
        ("{z_dim: 2,4,8}", "3:17: 4 has no value; a list is written z_dim: [2, 4, 8]"),
        ("{z_dim:2, act: relu}", "3:8: z_dim:2 has no value; write z_dim: 2, with a space"),
        ("{act: tanh, relu}", "3:19: relu has no value; a list is written act: [tanh, relu]"),
        ("\n  z_dim: 2, 4", "4:10: grid.z_dim: '2, 4' is not allowed; it must be an integer; a "
         "list is written [2, 4]"),
        ("\n  act: tanh, relu", "4:8: grid.act: tanh, relu is not allowed; allowed: tanh, swish, "
         "relu; a list is written [tanh, relu]"),
    ],
)  # fmt: skip
def test_a_number_out_of_range_or_a_list_without_brackets(
    grid: str, sentence: str, here: Path
) -> None:
    text = f"name: a\nfixed: {{dataset: toy4, model: mim}}\ngrid: {grid}\n"
    (here / "a.yaml").write_text(text)
    assert refused(mimsweep("validate", "a.yaml")).startswith(f"a.yaml:{sentence}")


SAME = "the group after `than` is the same, so nothing is compared"
SEEDS = "runs of the same seed are compared, so a claim can't be on seeds; choose some with `where`"


@pytest.mark.parametrize(
    ("claim", "sentence"),
    [
        ("less: {model: mim}, than: .inf", "than: inf is not allowed; it must be a mapping of"),
        ("less: {model: mim}, than: .nan", "than: nan is not allowed; it must be a mapping of"),
        (f"less: {{model: mim}}, than: 1{'0' * 400}", "than: '1000"),
        ("less: {model: mim}, than: {model: mim}", SAME),
        ("less: {model: mim}, than: {model: mim}, than_metric: nll", SAME),
        ("less: {seed: 1}, than: {seed: 2}", SEEDS),
        ("falls_with: seed", SEEDS),
        ("less: {model: mim}, than: {model: mim}, than_metric: mi", ""),
        ("less: {seed: 1}, than: 7", ""),
    ],
)
def test_a_claim_that_no_numbers_can_decide(claim: str, sentence: str, here: Path) -> None:
    text = "name: a\nfixed: {dataset: toy4, model: mim}\ngrid: {seed: 1..2}\n"
    (here / "a.yaml").write_text(f"{text}claims:\n- {{claim: c, metric: nll, {claim}}}\n")
    result = mimsweep("validate", "a.yaml")
    assert (result.exit_code == 0) == (not sentence)
    assert not sentence or sentence in refused(result)


def test_an_override_out_of_range(here: Path) -> None:
    (here / "a.yaml").write_text("name: a\nfixed: {dataset: toy4, model: mim}\n")
    told = refused(mimsweep("validate", "a.yaml", "--set", f"seed={BIG}"))
    assert told == f"--set seed={BIG}: {BIG} is not allowed; {ALLOWED}"
    assert mimsweep("validate", "a.yaml", "--set", f"seed={LARGEST}").exit_code == 0


def test_a_search_of_more_runs_than_a_sweep_can_have(here: Path) -> None:
    (here / "a.yaml").write_text(
        "name: a\nfixed: {dataset: toy4, model: mim}\nseeds: 1..999999999\n"
        "space: {warmup: {int: [1, 9]}}\nobjective: {metric: nll, direction: minimize}\ntrials: 2\n"
    )
    told = refused(mimsweep("search", "a.yaml"))
    assert told.startswith("a.yaml:3:8: seeds: 2 trials of 999,999,999 seeds are more than")
