import errno
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
from torch import Tensor

from mimsweep.models.data.base import Split
from mimsweep.models.data.cache import Cached


@dataclass
class Counted:
    """A data set of 50 random items that counts its draws."""

    drawn: list[tuple[Split, int, int]] = field(default_factory=list)
    dims: int = 3
    classes: int = 4

    def items(self, split: Split) -> int:
        return 50

    def draw(self, split: Split, seed: int, epoch: int) -> tuple[Tensor, Tensor]:
        self.drawn.append((split, seed, epoch))
        source = torch.Generator().manual_seed(1000 * seed + epoch)
        x = torch.randn(50, 3, generator=source)
        return x, torch.randint(4, (50,), generator=source)

    def log_prob(self, x: Tensor) -> None:
        return None


@pytest.mark.parametrize("split", ["train", "knn"])
def test_a_training_pass_is_drawn_once(tmp_path: Path, split: Split) -> None:
    data, other = Counted(), Counted()
    first = Cached(data, "d", tmp_path / "cache", 2**20).draw(split, 1, 2)
    # Another process has a data set of its own, and the same folder.
    second = Cached(other, "d", tmp_path / "cache", 2**20).draw(split, 1, 2)
    assert data.drawn == [(split, 1, 2)]
    assert other.drawn == []
    for a, b, c in zip(first, second, Counted().draw(split, 1, 2), strict=True):
        assert torch.equal(a, b)
        assert torch.equal(a, c)
        assert a.dtype == b.dtype == c.dtype


def test_names_seeds_and_epochs_are_told_apart(tmp_path: Path) -> None:
    data = Counted()
    for name in ("a", "b"):
        for moment in [(1, 1), (1, 2), (2, 1)]:
            Cached(data, name, tmp_path, 2**20).draw("train", *moment)
    assert len(data.drawn) == 6
    assert len(list(tmp_path.iterdir())) == 6


def test_test_sets_are_not_kept(tmp_path: Path) -> None:
    cached = Cached(Counted(), "d", tmp_path / "cache", 2**20)
    cached.draw("final", 1, 0)
    assert not (tmp_path / "cache").exists()


def test_a_full_folder_takes_no_more(tmp_path: Path) -> None:
    data = Counted()
    cached = Cached(data, "d", tmp_path, limit=1)
    for _ in range(2):
        for epoch in (1, 2, 3):
            cached.draw("train", 1, epoch)
    assert [path.name for path in tmp_path.iterdir()] == ["d-train-1-1.safetensors"]
    assert data.drawn == [("train", 1, e) for e in (1, 2, 3, 2, 3)]


def test_a_damaged_file_is_drawn_anew(tmp_path: Path) -> None:
    data = Counted()
    cached = Cached(data, "d", tmp_path, 2**20)
    expected, _ = cached.draw("train", 1, 1)
    file = next(tmp_path.iterdir())
    whole = file.read_bytes()
    assert torch.equal(cached.draw("train", 1, 1)[0], expected)
    assert len(data.drawn) == 1
    for damaged in (whole[:100], whole[:-300], whole[:-300] + bytes(300), b""):
        file.write_bytes(damaged)
        data.drawn.clear()
        assert torch.equal(cached.draw("train", 1, 1)[0], expected)
        assert len(data.drawn) == 1
        assert file.read_bytes() == whole


def test_a_folder_that_cannot_be_written_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    x, _ = Cached(Counted(), "d", tmp_path / "file" / "cache", 2**20).draw("train", 1, 1)
    assert x.shape == (50, 3)


@dataclass
class Slow(Counted):
    """Draws its first pass when it's told to."""

    go: threading.Event = field(default_factory=threading.Event)
    begun: threading.Event = field(default_factory=threading.Event)

    def draw(self, split: Split, seed: int, epoch: int) -> tuple[Tensor, Tensor]:
        self.begun.set()
        assert self.go.wait(10)
        return super().draw(split, seed, epoch)


def test_who_waits_for_a_pass_draws_the_next_meanwhile(tmp_path: Path) -> None:
    slow, other = Slow(), Counted()
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(Cached(slow, "d", tmp_path, 2**20).draw, "train", 1, 1)
        assert slow.begun.wait(10)
        second = threads.submit(Cached(other, "d", tmp_path, 2**20).draw, "train", 1, 1)
        while not other.drawn:
            assert not second.done()
        slow.go.set()
        assert torch.equal(first.result()[0], second.result()[0])
    assert slow.drawn == [("train", 1, 1)]
    assert other.drawn == [("train", 1, 2)]
    assert {path.suffix for path in tmp_path.iterdir()} == {".safetensors"}


def test_who_has_waited_long_enough_draws_the_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mimsweep.models.data.cache.PATIENCE", 0.1)
    slow, other = Slow(), Counted()
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(Cached(slow, "d", tmp_path, 2**20).draw, "knn", 1, 0)
        assert slow.begun.wait(10)
        x, _ = Cached(other, "d", tmp_path, 2**20).draw("knn", 1, 0)
        slow.go.set()
        assert torch.equal(first.result()[0], x)
    assert other.drawn == [("knn", 1, 0)]  # nothing comes after it


def test_the_claim_of_a_killed_process_ends_with_it(tmp_path: Path) -> None:
    path = tmp_path / "d-train-1-1.lock"
    claim = f"import filelock as f; a = f.FileLock({str(path)!r}); a.acquire(); print(); input()"
    with subprocess.Popen(
        [sys.executable, "-c", claim], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"\n"
        cached = Cached(Counted(), "d", tmp_path, 2**20)
        with cached._claim("train", 1, 1, 0) as alone:
            assert not alone
        other.kill()
    assert path.exists()
    with cached._claim("train", 1, 1, 0) as alone:
        assert alone
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_where_there_are_no_locks_each_draws_for_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def flock(*_: object) -> None:
        raise OSError(code, "no locks here")

    monkeypatch.setattr("fcntl.flock", flock)
    data = Counted()
    Cached(data, "d", tmp_path, 2**20).draw("train", 1, 1)
    assert data.drawn == [("train", 1, 1)]
    assert [path.name for path in tmp_path.iterdir()] == ["d-train-1-1.safetensors"]


def test_one_of_many_draws_a_pass(tmp_path: Path) -> None:
    """However the lock's file comes and goes meanwhile."""
    sets = [Counted() for _ in range(8)]
    with ThreadPoolExecutor(8) as threads:
        for epoch in range(1, 20):
            draws = [
                threads.submit(Cached(data, "d", tmp_path, 2**20).draw, "knn", 1, epoch)
                for data in sets
            ]
            assert len({str(draw.result()[0].tolist()) for draw in draws}) == 1
    drawn = [pass_ for data in sets for pass_ in data.drawn]
    assert sorted(drawn) == [("knn", 1, epoch) for epoch in range(1, 20)]
    assert {path.suffix for path in tmp_path.iterdir()} == {".safetensors"}
