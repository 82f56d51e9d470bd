import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from mimsweep.orchestrator.cli.main import main
from mimsweep.orchestrator.errors import SpecError
from mimsweep.orchestrator.files.claims.where import parse_where
from mimsweep.orchestrator.files.sweep import Sweep, load_sweep
from mimsweep.orchestrator.tracking.writer import Tracking

HEAD = "name: a\nfixed: {dataset: toy4, model: mim}\n"
SWEEP = """\
name: a
fixed: {dataset: toy4}
grid: {seed: 1..6, z_dim: [2, 4], model: [mim, vae]}
claims:
"""
TRUE = "  - {claim: more, metric: mi, greater: {model: mim}, than: {model: vae}}\n"
FALSE = "  - {claim: lower, metric: mi, less: {model: mim}, than: {model: vae}, where: z_dim > 2}\n"
TREND = "  - {claim: falls, metric: mi, falls_with: z_dim, where: 'model = \"vae\"'}\n"


def load(folder: Path, text: str) -> Sweep:
    path = folder / "a.yaml"
    path.write_text(text)
    return load_sweep(path)


@pytest.mark.parametrize(
    ("text", "conditions"),
    [
        ("", ()),
        ("z_dim >= 4", (("z_dim", ">=", 4),)),
        ("z_dim>=4 and model=vae", (("z_dim", ">=", 4), ("model", "=", "vae"))),
        ("model != 'vae' and lr < 1e-2", (("model", "!=", "vae"), ("lr", "<", 0.01))),
        ('  inv_h == true  and act = "and" ', (("inv_h", "=", True), ("act", "=", "and"))),
    ],
)
def test_where(text: str, conditions: Any) -> None:
    assert parse_where(text) == conditions


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("z_dim", "'z_dim' is not made of comparisons `field op value`, for example z_dim >= 4"),
        ("z_dim >= ", "is not made of comparisons"),
        ("z_dim => 4", "is not made of comparisons"),
        ("z_dim >= 4 or z_dim < 2", "'or' where `and` or the end should be"),
        ("z_dim >= 4 and", "is not made of comparisons"),
        ("zdim >= 4", "'zdim' is not a field; did you mean z_dim?"),
        ("z_dim >= four", "'four' can't be compared with z_dim, which is a number"),
        ("z_dim = true", "true can't be compared with z_dim, which is a number"),
        ("model > vae", "model is no number, so it can only be compared by = and !="),
        ("inv_h = 1", "1 can't be compared with inv_h, which is true or false"),
        ("model = 'vae", "\"'vae\" can't be read"),
        ("__import__('os').system('ls') = 1", "is not made of comparisons"),
    ],
)
def test_a_bad_where_is_refused_and_never_executed(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=r".") as error:
        parse_where(text)
    assert sentence in str(error.value)


@pytest.mark.parametrize(
    ("claims", "message"),
    [
        ("claims: []\n", "3:9: claims: [] is not allowed; it must have at least 1 value"),
        ("claims:\n- {metric: mi, falls_with: z_dim}\n", "4:3: claims.claim: is required"),
        (
            "claims:\n- {claim: c, metric: mi, falls_with: z_dim, were: x}\n",
            "4:45: claims.were: no such field; did you mean where?",
        ),
        (
            "claims:\n- {claim: c, metric: mi}\n",
            "4:3: claims: give one of greater, less, greater_by, less_by, within, falls_with, "
            "rises_with, ranks; there is none",
        ),
        (
            "claims:\n- {claim: c, metric: mi, greater: {model: mim}}\n",
            "4:3: claims: `than` goes with greater, less, greater_by, less_by and within, "
            "and they with it",
        ),
        (
            "claims:\n- {claim: c, metric: mi, greater: {model: mim}, than: 1, than_metric: nll}\n",
            "4:3: claims: `than_metric` goes with a `than` that chooses runs",
        ),
        (
            "claims:\n- {claim: c, metric: mi, greater: {modl: mim}, than: 1}\n",
            "4:35: claims.greater: 'modl' is not a field; did you mean model?",
        ),
        (
            "claims:\n- {claim: c, metric: mi, less: {model: mim}, than: little}\n",
            "4:52: claims.than: 'little' is not allowed; it must be a mapping of",
        ),
        (
            "claims:\n- {claim: c, metric: mii, falls_with: z_dim}\n",
            "4:22: claims.metric: 'mii' is not a metric; did you mean mi?",
        ),
        (
            "claims:\n- {claim: c, metric: mi, falls_with: model}\n",
            "4:3: claims: model is no number, so nothing falls or rises with it",
        ),
        (
            "claims:\n- {claim: c, metric: mi, falls_with: z_dim, where: z_dim}\n",
            "4:52: claims.where: 'z_dim' is not made of comparisons",
        ),
        (
            "claims:\n- {claim: c, metric: mi, greater_by: 1, than: 2}\n",
            "4:3: claims: `of` goes with greater_by, less_by and within, and they with it",
        ),
        (
            "claims:\n- {claim: c, metric: mi, greater: {model: mim}, within: 1, than: 2}\n",
            "4:3: claims: give one of greater, less, greater_by, less_by, within, falls_with, "
            "rises_with, ranks; there is greater and within",
        ),
        (
            "claims:\n- {claim: c, metric: mi, of: {model: mim}, within: 0, than: 2}\n",
            "4:52: claims.within: 0 is not allowed; it must be greater than 0",
        ),
        (
            "claims:\n- {claim: c, metric: mi, of: {model: mim}, less_by: .nan, than: 2}\n",
            "4:53: claims.less_by: nan is not allowed; it must be a finite number",
        ),
        (
            "claims:\n- {claim: c, metric: mi, of: {model: mim}, within: a bit, than: 2}\n",
            "4:52: claims.within: 'a bit' is not allowed; it must be a number",
        ),
        (
            "claims:\n- {claim: c, metric: mi, of: {modl: mim}, within: 1, than: 2}\n",
            "4:30: claims.of: 'modl' is not a field; did you mean model?",
        ),
        (
            "claims:\n- {claim: c, metric: mi, falls_with: z_dim, holds_in: 9}\n",
            "4:55: claims.holds_in: 9 is not allowed; it must say of how many, for example "
            "9 of 10 cells",
        ),
        (
            "claims:\n- {claim: c, metric: mi, falls_with: z_dim, holds_in: 11 of 10 cells}\n",
            "4:55: claims.holds_in: '11 of 10 cells' is not allowed",
        ),
        (
            "claims:\n- {claim: c, metric: mi, ranks: [mim, vae]}\n",
            "4:33: claims.ranks: ['mim', 'vae'] is not allowed; it must be a list of 3 values or "
            "more",
        ),
        (
            "claims:\n- {claim: c, metric: mi, ranks: [mim, vae, mim]}\n",
            "4:33: claims.ranks: 'mim' is listed twice",
        ),
        (
            "claims:\n- {claim: c, metric: mi, ranks: [2, 4, 8]}\n",
            "4:33: claims.ranks: 2 can't be compared with model, which is text",
        ),
        (
            "claims:\n- {claim: c, metric: mi, ranks: [2, 4, eight], over: z_dim}\n",
            "4:33: claims.ranks: 'eight' can't be compared with z_dim, which is a number",
        ),
        (
            "claims:\n- {claim: c, metric: mi, ranks: [2, 4, 8], over: z_dims}\n",
            "4:50: claims.over: 'z_dims' is not a field; did you mean z_dim?",
        ),
        (
            "claims:\n- {claim: c, metric: mi, ranks: [1, 2, 3], over: seed}\n",
            "4:3: claims: runs of the same seed are compared",
        ),
        (
            "claims:\n- {claim: c, metric: mi, falls_with: z_dim, over: model}\n",
            "4:3: claims: `over` goes with ranks",
        ),
        ("published: nowhere.csv\n", "3:12: published: no such file: "),
    ],
)
def test_bad_claims_are_told_with_their_position(tmp_path: Path, claims: str, message: str) -> None:
    with pytest.raises(SpecError) as error:
        load(tmp_path, HEAD + claims)
    assert str(error.value).removeprefix(f"{tmp_path}/a.yaml:").startswith(message)


def test_claims_do_not_change_runs(tmp_path: Path) -> None:
    plain = load(tmp_path, SWEEP.removesuffix("claims:\n"))
    assert load(tmp_path, SWEEP + TRUE).runs == plain.runs
    assert plain.claims == ()


def store(folder: Path, sweep: Sweep, leave_out: int = 0) -> str:
    """A store in which MIM's MI is 1 above VAE's, and both fall with z_dim."""
    uri = f"sqlite:///{folder}/mlflow.db"
    tracking = Tracking(uri)
    parent = tracking.start_sweep(sweep.name, "", {}, {})
    runs = sweep.runs[leave_out:]
    for run, run_id in zip(runs, tracking.create_runs(parent, runs, {}), strict=True):
        mi = (run.model == "mim") + 0.1 * run.seed - 0.2 * run.z_dim
        tracking.finish(run_id, {"mi": mi}, {})
    tracking.finish_sweep(parent, "FINISHED", {})
    return uri


def verify(folder: Path, claims: str, *options: str, leave_out: int = 0) -> tuple[int, str]:
    sweep = load(folder, SWEEP + claims)
    uri = store(folder, sweep, leave_out)
    command = ["verify", str(folder / "a.yaml"), "--tracking-uri", uri, *options]
    result = CliRunner().invoke(main, command)
    return result.exit_code, result.output


@pytest.fixture(autouse=True)
def _in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # artifacts go beside the store


def test_verify_says_that_all_hold(tmp_path: Path) -> None:
    code, output = verify(tmp_path, TRUE + TREND)
    assert code == 0, output
    assert output.count("holds   ") == 2
    assert "12 pairs in 2 cells" in output
    assert "Kendall’s τ −1, n = 6" in output


def test_verify_says_what_fails(tmp_path: Path) -> None:
    code, output = verify(tmp_path, TRUE + FALSE, "--json")
    told = json.loads(output)
    assert (code, told["all_hold"]) == (1, False)
    assert [claim["verdict"] for claim in told["claims"]] == ["holds", "fails"]
    (cell,) = told["claims"][1]["cells"]
    assert cell["fields"] == {}
    assert cell["difference"] == pytest.approx(1)
    assert (cell["pairs"], cell["planned"], cell["delta"]) == (6, 6, pytest.approx(1))


def test_verify_says_what_is_missing(tmp_path: Path) -> None:
    code, output = verify(tmp_path, TRUE, leave_out=3)
    assert code == 1
    assert "undecided more" in output
    assert "2 of 12 pairs are missing" in output


def test_verify_of_an_empty_store_and_of_no_claims(tmp_path: Path) -> None:
    load(tmp_path, SWEEP + TRUE)
    result = CliRunner().invoke(main, ["verify", "a.yaml", "--json"])
    assert result.exit_code == 3
    assert "there is no tracking store at " in result.output
    Tracking(f"sqlite:///{tmp_path / 'mlflow.db'}")
    result = CliRunner().invoke(main, ["verify", "a.yaml", "--json"])
    assert result.exit_code == 1
    assert json.loads(result.output)["claims"][0]["cells"][0]["difference"] is None
    load(tmp_path, HEAD)
    result = CliRunner().invoke(main, ["verify", "a.yaml"])
    assert result.exit_code == 2
    assert "has no claims to verify" in result.output


MORE = """\
  - {claim: by far, metric: mi, of: {model: mim}, greater_by: 0.5, than: {model: vae}}
  - {claim: near, metric: mi, of: {model: mim}, within: 1.5, than: {model: vae}}
  - {claim: once, metric: mi, greater: {model: mim}, than: 1, holds_in: 1 of 2 cells}
"""


def test_verify_of_margins_and_some_cells(tmp_path: Path) -> None:
    code, output = verify(tmp_path, MORE)
    assert code == 1
    verdicts = [line.split()[0] for line in output.splitlines() if not line.startswith(" ")]
    assert verdicts == ["holds", "holds", "undecided"]
    assert "seeds in all would decide it 4 times in 5" in output


RANKS = SWEEP.replace("[mim, vae]", "[mim, amim, vae]") + (
    "  - {claim: in order, metric: mi, ranks: [mim, amim, vae]}\n"
)


@pytest.mark.slow
def test_verify_and_figures_of_ranks(tmp_path: Path) -> None:
    sweep = load(tmp_path, RANKS)
    uri = store(tmp_path, sweep)
    options = [str(tmp_path / "a.yaml"), "--tracking-uri", uri]
    result = CliRunner().invoke(main, ["verify", *options, "--json"])
    (claim,) = json.loads(result.output)["claims"]
    assert claim["verdict"] == "undecided"
    ranking = claim["cells"][0]["ranking"]
    assert ranking["mean_ranks"][0] == {"value": "mim", "rank": 1}
    assert ranking["pairs"][0] == {"values": ["mim", "amim"], "p": pytest.approx(3 * 2.0**-5)}
    assert claim["seeds_to_decide"] is None or claim["seeds_to_decide"] > 6
    drawn = CliRunner().invoke(main, ["figures", *options, "--output", "drawn"])
    assert drawn.exit_code == 1  # no run of this store has losses by epoch
    assert [path.name for path in tmp_path.glob("drawn/**/ranks.*")]
