import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mimsweep.orchestrator.engines.slurm.mail import Log, Up, silence

WRITER = """
import sys
from pathlib import Path
from mimsweep.orchestrator.engines.slurm.mail import Log
log = Log(Path(sys.argv[1]))
for number in range(2000):
    log.append((number, b"x" * (number % 7 * 1000)))
"""


def test_messages_come_once_and_in_order(tmp_path: Path) -> None:
    reader, writer = Log(tmp_path / "log"), Log(tmp_path / "log")
    assert reader.read() == []
    writer.append(Up())
    writer.append([1, "two", {"three": 3.0}])
    assert reader.read() == [Up(), [1, "two", {"three": 3.0}]]
    assert reader.read() == []
    writer.append(4)
    assert reader.read() == [4]
    assert Log(tmp_path / "log").read() == [Up(), [1, "two", {"three": 3.0}], 4]


def test_a_reader_takes_no_half_of_a_message_while_another_process_writes(tmp_path: Path) -> None:
    reader = Log(tmp_path / "log")
    with subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path / "log")]) as process:
        messages: list[object] = []
        while process.poll() is None:
            messages += reader.read()
    assert process.returncode == 0
    messages += reader.read()
    assert messages == [(number, b"x" * (number % 7 * 1000)) for number in range(2000)]


def test_what_is_not_whole_yet_is_read_later(tmp_path: Path) -> None:
    writer = Log(tmp_path / "whole")
    writer.append("a message")
    writer.append("another")
    whole = (tmp_path / "whole").read_bytes()
    reader = Log(tmp_path / "log")
    first = len(whole) - 3
    for content in (whole[:5], whole[:20], whole[:first], whole[:first] + b"\0\0\0"):
        # The last is what a network file system shows of blocks that come later.
        (tmp_path / "log").write_bytes(content)
        assert reader.read() in ([], ["a message"])
    (tmp_path / "log").write_bytes(whole + b"\0" * 40)
    assert reader.read() == ["another"]
    assert reader.read() == []


def test_a_message_that_could_not_be_written_is_replaced_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, writer = Log(tmp_path / "log"), Log(tmp_path / "log")
    writer.append("first")
    small = tmp_path / "log"
    with small.open("ab") as file:
        file.write(b"half of a message")  # as a full disk leaves it
    writer.append("second")
    assert reader.read() == ["first", "second"]
    small.unlink()
    with pytest.raises(FileNotFoundError):
        writer.append("third")
    assert reader.read() == []


def test_silence_is_told_by_the_clock_of_the_files(tmp_path: Path) -> None:
    alive, own = tmp_path / "alive", tmp_path / "own"
    alive.touch()
    own.touch()
    assert silence(alive, own) < 5
    os.utime(alive, (time.time() - 100, time.time() - 100))
    assert 99 < silence(alive, own) < 110
    alive.unlink()
    with pytest.raises(FileNotFoundError):
        silence(alive, own)
