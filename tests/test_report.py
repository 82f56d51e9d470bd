"""The report, figures and snapshots, from a store: what is in them; that they come out alike."""

import re
import struct
from html.parser import HTMLParser
from pathlib import Path

import pytest
from click.testing import CliRunner

from mimsweep.orchestrator.cli.main import main
from mimsweep.orchestrator.files.sweep import load_sweep
from mimsweep.orchestrator.tracking.writer import Tracking

SWEEP = """\
name: small
description: MIM & VAE <for a test>
published: points.csv
fixed: {dataset: toy4_20, epochs: 4}
grid: {seed: 1..6, z_dim: [2, 4], model: [mim, vae]}
figures: {x: z_dim, hue: model, metrics: [mi, nll]}
claims:
  - {claim: MIM keeps more, metric: mi, greater: {model: mim}, than: {model: vae}, where: z_dim = 2}
  - {claim: and is likelier, metric: nll, less: {model: mim}, than: {model: vae}, where: z_dim = 2}
  - {claim: it rises, metric: mi, rises_with: z_dim}
"""
POINTS = """\
# error of reading a mean: mi=0.1
metric,model,x,mean,spread
mi,mim,2,1.0,0.1
mi,vae,2,0.5,
"""
TAGS = {"mimsweep.version": "0.1.0", "mimsweep.device": "cpu", "mlflow.source.git.commit": "c0ffee"}
REASON = "the training loss turned <nan> & stayed"


class Page(HTMLParser):
    """What a test asks of a page."""

    void = ("meta", "link", "br", "img", "path", "use", "rect")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.sources: list[str] = []
        self.pictures: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.ids += [value for name, value in attrs if name == "id" and value]
        if tag not in ("a", "use"):
            self.sources += [str(given[n]) for n in ("src", "href", "xlink:href") if given.get(n)]
        if tag == "svg":
            self.pictures.append(given.get("aria-label") or "")
        if tag not in self.void:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.void:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.void:
            assert self.open.pop() == tag


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a sweep file and a store of it, in which one run failed."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.yaml").write_text(SWEEP)
    (tmp_path / "points.csv").write_text(POINTS)
    sweep = load_sweep(tmp_path / "small.yaml")
    tracking = Tracking("sqlite:///mlflow.db")
    parent = tracking.start_sweep(sweep.name, sweep.description, TAGS, {})
    for run, run_id in zip(sweep.runs, tracking.create_runs(parent, sweep.runs, {}), strict=True):
        if run.z_dim == 4 and run.seed == 6 and run.model == "vae":
            tracking.fail(run_id, REASON, {})
            continue
        better = run.model == "mim"
        epochs = [
            (epoch, {"test_loss": 5.0 / epoch + run.seed, "train_loss": 6.0 / epoch, "beta": 1.0})
            for epoch in range(1, 5)
        ]
        tracking.log_epochs(run_id, epochs)
        numbers = {"mi": better + run.seed / 10, "nll": better + run.seed / 9}
        numbers |= {"seconds": 1.5, "epochs_run": 4, "best_epoch": 4, "best_loss": 1.0}
        tracking.finish(run_id, numbers, {})
    tracking.finish_sweep(parent, "FINISHED", {})
    return tmp_path


def invoke(*command: str, code: int = 0) -> str:
    result = CliRunner().invoke(main, command)
    assert result.exit_code == code, result.output
    return result.output


def test_the_page_says_what_there_is_to_say(folder: Path) -> None:
    output = invoke("report", "small.yaml")
    assert "small: 23 of 24 runs" in output
    text = Path("reports/report.html").read_text()
    page = Page(text)
    assert page.open == []
    assert len(page.ids) == len(set(page.ids))
    assert [source for source in page.sources if source != "data:,"] == []
    assert re.findall(r"@import|url\((?!#)", text) == []
    assert len(page.pictures) == 3
    assert all(page.pictures)
    assert "MIM from" in page.pictures[0]
    assert "23 of 24 runs complete" in text
    for verdict in ("holds", "fails", "undecided"):
        assert f'<li class="{verdict}">' in text
    assert "1 of 12 pairs are missing" in text
    assert "the training loss turned &lt;nan&gt; &amp; stayed" in text
    assert "<nan>" not in text
    for fact in ("0.1.0", "c0ffee", "cpu", "toy4_20"):
        assert fact in text
    links = re.findall(r'href="(http[^"]+)"', text)
    assert len(links) == 24
    assert all("/#/experiments/" in link for link in links)
    assert str(folder) not in text


@pytest.mark.slow
def test_the_page_is_the_same_again_and_on_the_parent_run(folder: Path) -> None:
    invoke("report", "small.yaml", "--output", "a.html")
    invoke("report", "small.yaml", "--output", "b.html")
    assert Path("a.html").read_bytes() == Path("b.html").read_bytes()
    tracking = Tracking("sqlite:///mlflow.db", create=False)
    parent = tracking.latest_parent("small")
    assert parent is not None
    assert tracking.artifact(parent, "a.html") == Path("a.html").read_bytes()
    assert tracking.artifact(parent, "none.html") is None


@pytest.mark.slow
def test_several_sweeps_and_one_without_runs(folder: Path) -> None:
    Path("other.yaml").write_text(SWEEP.replace("name: small", "name: other"))
    output = invoke("report", "small.yaml", "other.yaml")
    assert "other: 0 of 24 runs" in output
    text = Path("reports/report.html").read_text()
    assert len(set(Page(text).ids)) == len(Page(text).ids)
    assert "0 of 24 runs complete" in text
    assert "no sweep has complete runs" in invoke("report", "other.yaml", code=2)


@pytest.mark.slow
def test_figures_are_the_same_again(folder: Path) -> None:
    invoke("figures", "small.yaml", "--output", "a")
    invoke("figures", "small.yaml", "--output", "b", "--latent")
    first = {path.name: path.read_bytes() for path in Path("a/small").iterdir()}
    assert first == {path.name: path.read_bytes() for path in Path("b/small").iterdir()}
    stems = {"mi", "nll", "combined", "learning", "seeds", "durations"}
    assert set(first) == {f"{s}.{e}" for s in stems for e in ("png", "svg")} | {"table.csv"}
    assert b"var(" not in first["mi.svg"]


@pytest.mark.slow
def test_runs_with_fields_replaced_are_drawn_and_reported(folder: Path) -> None:
    assert "small: 8 of 8 runs" in invoke("report", "small.yaml", "--set", "seed=1,2")
    assert "no complete runs" in invoke("figures", "small.yaml", "--set", "z_dim=3", code=2)


def test_a_published_table_without_its_error_of_reading_is_refused(folder: Path) -> None:
    Path("points.csv").write_text("metric,model,x,mean,spread\nmi,mim,2,1,\n")
    assert "no error of reading for mi" in invoke("figures", "small.yaml", code=2)


@pytest.mark.slow
def test_snapshots_of_real_runs_become_pictures_and_an_animation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("film.yaml").write_text(
        "name: film\nsnapshots: true\n"
        "fixed: {z_dim: 2, mid_dim: 5, epochs: 3}\n"
        "grid:\n  - {dataset: toyMIM, model: mim}\n  - {dataset: toyAE, model: ae}\n"
    )
    invoke("run", "film.yaml", "--engine", "inline", "--device", "cpu")
    tracking = Tracking("sqlite:///mlflow.db", create=False)
    for run_id in tracking.frame("film")["run_id"]:
        content = tracking.artifact(run_id, "snapshots.safetensors")
        assert content is not None
        (size,) = struct.unpack("<Q", content[:8])
        assert b'"shape":[3,5,2]' in content[8 : 8 + size]
    output = invoke("figures", "film.yaml", "--latent")
    assert "animation.gif: 3 frames" in output
    first = {path.name: path.read_bytes() for path in Path("figures/film").iterdir()}
    assert {"latent.png", "latent.svg", "latent_samples.png", "animation.gif"} <= set(first)
    invoke("figures", "film.yaml", "--latent", "--output", "again")
    assert first == {path.name: path.read_bytes() for path in Path("again/film").iterdir()}
    invoke("report", "film.yaml")
    assert "What was learned" in Path("reports/report.html").read_text()


@pytest.mark.slow
def test_a_search_gets_a_report_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("tiny.yaml").write_text(
        "name: tiny\n"
        "fixed: {dataset: toy4, model: vae, mid_dim: 5, epochs: 2}\n"
        "seeds: 1..2\nspace: {warmup: {int: [1, 2]}}\n"
        "objective: {metric: nll, direction: minimize}\n"
        "trials: 2\nparallel: 2\nsampler: random\npruner: none\n"
    )
    invoke("search", "tiny.yaml", "--engine", "inline", "--device", "cpu")
    invoke("report", "tiny.yaml", "--output", "a.html")
    text = Path("a.html").read_text()
    page = Page(text)
    assert len(page.ids) == len(set(page.ids))
    assert len(page.pictures) == 3
    assert "minimize nll" in text
    assert "2 complete, 0 pruned, 0 failed" in text
    invoke("report", "tiny.yaml", "--output", "b.html")
    assert Path("b.html").read_text() == text
