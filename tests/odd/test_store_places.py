"""Stores in folders whose names a URI has to escape, and URIs that are none."""

import os
from pathlib import Path

import pytest

from mimsweep.orchestrator.errors import TrackingError
from mimsweep.orchestrator.tracking.uri import resolve_uri, sqlite_path
from mimsweep.orchestrator.tracking.writer import Tracking
from tests.odd.ending import SWEEP, started
from tests.orchestrator.commands import mimsweep, refused
from tests.orchestrator.stores import SPECS, start

# MLflow 3.17 uses what SQLAlchemy 2.1 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")

NAMES = [
    "per%20cent",
    "a?b",
    "a?mode=ro",
    "a#b",
    "a+b c:d@e\\",
    "'q\"",
    "é",
    "100%",
    "a\nb",
    "[x",
    "%3F",
]
ALL = "per%20cent ?mode=ro#a+b:c@d'\"é\n\\%"
SEARCH = """\
name: f
fixed: {dataset: toy4, model: vae, mid_dim: 10, epochs: 2}
space: {warmup: {int: [1, 3]}}
objective: {metric: nll, direction: minimize, seeds: mean}
seeds: [1]
trials: 2
"""


@pytest.fixture
def odd(here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose name has all that is odd; there is nothing beside it."""
    folder = here / ALL
    folder.mkdir()
    monkeypatch.chdir(folder)
    (folder / "s.yaml").write_text(SWEEP)
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_the_store_of_a_folder_is_in_it_whatever_its_name(
    name: str, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = here / name
    folder.mkdir()
    monkeypatch.chdir(folder)
    uri = resolve_uri(None)
    assert sqlite_path(uri) == folder / "mlflow.db"
    assert resolve_uri(uri) == uri
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.chdir(here)
    assert resolve_uri(None) == uri


def test_runs_are_written_and_read_in_a_folder_of_an_odd_name(odd: Path) -> None:
    with started("run", "s.yaml", "--workers", "1") as program:
        code, _, err = program.end()
    assert code == 0, err
    assert os.listdir(odd.parent) == [ALL]
    assert sorted(os.listdir()) == [".mimsweep", "mlflow.db", "mlruns", "s.yaml"]
    store = Tracking(resolve_uri(None), create=False)
    for run_id in store.complete("s").values():
        assert store.artifact(run_id, "weights.safetensors")
    assert len(list(odd.glob("mlruns/s/*/artifacts/weights.safetensors"))) == 2
    assert "2/2 complete" in mimsweep("status", "s.yaml").stdout
    said = mimsweep("doctor").stdout.replace("\n", "")
    assert f"artifacts: {odd}/mlruns/s can be written".replace("\n", "") in said
    assert os.listdir(odd.parent) == [ALL]


@pytest.mark.slow
def test_weights_are_drawn_in_a_folder_of_an_odd_name(odd: Path) -> None:
    with started("run", "s.yaml", "--workers", "1") as program:
        assert program.end()[0] == 0
    drawn = mimsweep("figures", "s.yaml", "--latent")
    assert drawn.exit_code == 0, drawn.output
    assert (odd / "figures/s/latent.png").exists()
    assert list(odd.glob("mlruns/s/*/artifacts/**/latent.png"))
    assert os.listdir(odd.parent) == [ALL]


@pytest.mark.slow
def test_a_search_goes_on_in_a_folder_of_an_odd_name(odd: Path) -> None:
    Path("f.yaml").write_text(SEARCH)
    for _ in range(2):
        with started("search", "f.yaml", "--workers", "1") as program:
            code, _, err = program.end(120)
        assert code == 0, err
    assert "all 2 trials are made" in err
    assert Path(".mimsweep/optuna/f.log").stat().st_size
    assert os.listdir(odd.parent) == [ALL]


def test_a_percent_sign_of_a_uri_is_an_escape(here: Path) -> None:
    tracking = Tracking("sqlite:///a%20b.db")
    tracking.create_runs(start(tracking), SPECS[:1], {})
    assert sorted(os.listdir(here)) == ["a b.db"]


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("/some/folder", "it is a path, not a URI; write sqlite:////some/folder if it is a data"),
        ("x.db", "it is a path, not a URI; write sqlite:///x.db if"),
        ("./mlruns", "it is a folder, where MLflow keeps runs no more: `mlflow migrate-filestore`"),
        ("file:./mlruns", "it is a folder, where MLflow keeps runs no more"),
        ("file:///x/y", "it is a path, not a URI; write sqlite:////x/y if"),
        ("sqlite://x.db", "a path comes after three slashes; write sqlite:///x.db"),
        ("sqlite:x.db", "a path comes after three slashes; write sqlite:///x.db"),
        ("sqlite:///mlruns", "it is a folder; write sqlite:///"),
        ("sqlite://", "a path comes after three slashes; write sqlite:///mlflow.db"),
        ("sqlite:///", "a database in memory keeps nothing"),
        ("sqlite:///:memory:", "a database in memory keeps nothing"),
        ("sqlite:///x.db?mode=ro", "SQLAlchemy would pass over the option mode"),
        ("localhost:5000", "it has no scheme; write http://localhost:5000"),
        ("127.0.0.1:5000/", "it has no scheme; write http://127.0.0.1:5000"),
        ("htp://localhost:5000", "did you mean http?"),
        ("postgres://ann:s3cret@host/x", "did you mean postgresql?"),
        ("bogus://ann:s3cret@host/x", "MLflow knows no stores of bogus: write sqlite:///PATH for"),
        ("http://", "it names no host; write http://HOST:PORT"),
        ("http://ann:s3/cret@host", "in a password @ is written %40"),
        ("http://ann:s3cret@host:a", "its host and port can't be read"),
        ("http://host:5000/#/experiments/1", "page of MLflow's; its server is http://host:5000"),
    ],
)
@pytest.mark.parametrize("source", ["--tracking-uri", "MLFLOW_TRACKING_URI"])
def test_what_is_no_stores_uri_is_told_with_what_to_write(
    uri: str, says: str, source: str, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "mlruns").mkdir()
    given = ["--tracking-uri", uri]
    if source != given[0]:
        monkeypatch.setenv(source, uri)
        given = []
    said = refused(mimsweep("plan", "smoke", *given))
    assert said.startswith(f"{source} ")
    assert says in said
    assert "s3" not in said
    assert os.listdir(here) == ["mlruns"]


def test_a_path_that_is_not_utf8_is_told(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = os.fsencode(here) + b"/caf\xe9"
    os.mkdir(folder)
    monkeypatch.chdir(os.fsdecode(folder))
    assert "is not UTF-8: no URI can name a store there" in refused(mimsweep("plan", "smoke"))


@pytest.mark.parametrize("end", ["\r", " ", "\n"])
def test_a_variable_may_end_in_blanks(
    end: str, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///x.db{end}")
    assert resolve_uri(None) == f"sqlite:///{here}/x.db"


def test_a_link_to_a_store_that_is_not_there_yet(here: Path) -> None:
    (here / "mlflow.db").symlink_to("far/real.db")
    with pytest.raises(TrackingError, match="far: No such file or directory"):
        Tracking(resolve_uri(None))
    (here / "far").mkdir()
    tracking = Tracking(resolve_uri(None))
    tracking.create_runs(start(tracking), SPECS[:1], {})
    assert (here / "far/real.db").is_file()
    assert (here / "mlflow.db").is_symlink()


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("sqlite:///a?b.db", "a ? in a path is written %3F"),
        ("sqlite:///no/x.db", "/no; make it first"),
        ("sqlite:///.", "it is a folder; write sqlite:///"),
        ("postgres://ann:s3cret@host/x", "dialects:postgres; write sqlite:///PATH, or the path"),
        ("file:///x.log", "write sqlite:///PATH, or the path of a journal file"),
    ],
)
def test_what_is_no_url_of_a_study_is_told_with_what_to_write(
    url: str, says: str, here: Path
) -> None:
    (here / "f.yaml").write_text(SEARCH)
    said = refused(mimsweep("search", "f.yaml", "--storage", url, "--device", "cpu"))
    assert said.startswith("--storage ")
    assert says in said
    assert "s3cret" not in said
    assert not {"a", "no", "study.db"} & {*os.listdir(here)}
