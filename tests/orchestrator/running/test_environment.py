"""With what a run was made: tags, packages, commit and diff of the user's folder, by a real git."""

import importlib.metadata
import subprocess
import time
from pathlib import Path

import pytest

from mimsweep.orchestrator.errors import RefusedError
from mimsweep.orchestrator.running import environment
from mimsweep.orchestrator.running.environment import DIFF, PACKAGES, environment_tags, keep
from mimsweep.orchestrator.tracking.writer import MlflowClient, Tracking

COMMIT = "mlflow.source.git.commit"


def git(folder: Path, *command: str) -> str:
    own = ("-c", "user.name=A", "-c", "user.email=a@b", "-c", "init.defaultBranch=main")
    done = subprocess.run(
        ["git", "-C", str(folder), *own, *command], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's repository, of one commit, and a folder in it."""
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    folder = tmp_path / "study"
    (folder / "sweeps").mkdir(parents=True)
    (folder / "loss.py").write_text("ALPHA = 1\n")
    (folder / "sweeps" / "a.yaml").write_text("name: a\n")
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", "Begin")
    return folder


def kept(folder: Path, tracking: Tracking, client: MlflowClient) -> dict[str, str]:
    """What is stored of a folder."""
    parent = tracking.start_sweep("a", "", {}, {})
    keep(tracking, parent, folder)
    tracking.finish_sweep(parent, "FINISHED", {})
    files = [each.path for each in client.list_artifacts(parent)]
    return {file: Path(client.download_artifacts(parent, file)).read_text() for file in files}


def test_the_commit_is_that_of_the_users_folder(repository: Path, tmp_path: Path) -> None:
    commit = git(repository, "rev-parse", "HEAD")
    assert environment_tags(repository)[COMMIT] == commit
    assert environment_tags(repository / "sweeps")[COMMIT] == commit
    alone = tmp_path / "alone"
    alone.mkdir()
    assert COMMIT not in environment_tags(alone)
    git(alone, "init", "--quiet")  # a repository without a commit
    assert COMMIT not in environment_tags(alone)


def test_without_git_there_are_packages_alone(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    tracking: Tracking, client: MlflowClient,
) -> None:  # fmt: skip
    (repository / "loss.py").write_text("ALPHA = 2\n")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert COMMIT not in environment_tags(repository)
    assert [*kept(repository, tracking, client)] == [PACKAGES]


def test_what_is_not_committed_is_stored_but_not_what_git_does_not_know(
    repository: Path, tracking: Tracking, client: MlflowClient
) -> None:
    stored = kept(repository, tracking, client)
    assert [*stored] == [PACKAGES]  # nothing is changed
    lines = stored[PACKAGES].splitlines()
    assert f"numpy=={importlib.metadata.version('numpy')}" in lines
    assert lines == sorted(set(lines), key=lambda line: line.partition("==")[0].lower())

    (repository / "loss.py").write_text("ALPHA = 2\n")
    (repository / "añadido.py").write_text("BETA = 3\n")
    (repository / "secret.txt").write_text("password\n")
    git(repository, "add", "añadido.py")
    git(repository, "config", "diff.external", "false")
    git(repository, "config", "color.ui", "always")
    diff = kept(repository / "sweeps", tracking, client)[DIFF]
    assert "-ALPHA = 1\n+ALPHA = 2\n" in diff
    assert "+++ b/añadido.py" in diff
    assert "+BETA = 3\n" in diff
    assert "secret" not in diff
    assert "password" not in diff
    assert "\x1b" not in diff


def test_it_can_be_applied(
    repository: Path, tmp_path: Path, tracking: Tracking, client: MlflowClient
) -> None:
    (repository / "loss.py").write_text("ALPHA = 2\n")
    diff = kept(repository, tracking, client)[DIFF]
    git(repository, "checkout", "--quiet", "loss.py")
    (tmp_path / "stored.diff").write_text(diff)
    git(repository, "apply", str(tmp_path / "stored.diff"))
    assert (repository / "loss.py").read_text() == "ALPHA = 2\n"


def test_a_large_diff_is_cut_and_says_so(
    repository: Path, tracking: Tracking, client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    (repository / "loss.py").write_text("".join(f"ALPHA = {n}\n" for n in range(200_000)))
    monkeypatch.setattr(environment, "MOST_BYTES", 10_000)
    diff = kept(repository, tracking, client)[DIFF]
    assert 9_000 < len(diff) < 10_200
    last = diff.splitlines()[-1]
    assert last.startswith("# The diff is cut here: it has more than 10,000 bytes")
    assert diff.splitlines()[-2].startswith("+ALPHA = ")


def test_the_version_of_a_package_is_that_which_is_imported(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    tracking: Tracking, client: MlflowClient,
) -> None:  # fmt: skip
    for folder, metadata in (
        ("first", "Name: twice\nVersion: 2.0\n"),
        ("second", "Name: Twice\nVersion: 1.0\n"),
        ("third", "Version: 1.0\n"),
    ):
        info = tmp_path / folder / f"{folder}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\n{metadata}")
    for folder in ("third", "second", "first"):
        monkeypatch.syspath_prepend(tmp_path / folder)
    lines = kept(repository, tracking, client)[PACKAGES].splitlines()
    assert [line for line in lines if line.lower().startswith("twice")] == ["twice==2.0"]


def test_a_slow_git_is_not_waited_for(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    tracking: Tracking, client: MlflowClient,
) -> None:  # fmt: skip
    slow = tmp_path / "bin" / "git"
    slow.parent.mkdir()
    slow.write_text("#!/bin/sh\nprintf 'diff --git a b\\n+half'\nexec sleep 60\n")
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", f"{slow.parent}:/usr/bin:/bin")
    monkeypatch.setattr(environment, "GIT_SECONDS", 0.5)
    start = time.monotonic()
    diff = kept(repository, tracking, client)[DIFF]
    assert time.monotonic() - start < 20
    assert diff.startswith("diff --git a b\n# The diff is cut here: ")
    assert COMMIT not in environment_tags(repository)


def test_a_store_that_refuses_it_fails_nothing(
    repository: Path, tracking: Tracking, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = tracking.start_sweep("a", "", {}, {})

    def refuse(*_: object) -> None:
        raise RefusedError("no")

    monkeypatch.setattr(tracking, "log_folder", refuse)
    keep(tracking, parent, repository)
