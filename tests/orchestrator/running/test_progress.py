import time

import pytest
from rich.console import Console

from mimsweep.orchestrator.running import progress
from mimsweep.orchestrator.running.progress import Active, ProgressState, duration, rate, view


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 0 s"),
        (185, "3 min 5 s"),
        (3599.7, "1 h 0 min"),
        (7800, "2 h 10 min"),
        (360_000, "100 h 0 min"),
    ],
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("epochs", "text"),
    [
        (1234.4, "1234 epochs/s"),
        (1.0, "1 epochs/s"),
        (0.5, "30 epochs/min"),
        (0.002, "0.12 epochs/min"),
        (0.0, "0 epochs/min"),
    ],
)
def test_rate(epochs: float, text: str) -> None:
    assert rate(epochs) == text


def test_line() -> None:
    state = ProgressState("toy", total=12, complete=3, failed=1, running=4, epochs=500, cost=8.0)
    state.active = {0: Active("mim toy4", 2, 200), 1: Active("vae toy4", 2, 200)}
    state.started = time.monotonic() - 100
    counts = "toy: 3/12 runs complete, 4 running, 1 failed, 2 cohorts, 5 epochs/s"
    assert state.line() == counts
    state.active[0] = Active("mim toy4", 2, 200, cost=4.0, epoch=50)
    assert state.line() == f"{counts}, at most 11 min 40 s left"  # a quarter of half of it is done
    state.active[0].cost = 0.0
    state.cost_done = 2.0
    assert state.line() == f"{counts}, about 5 min 0 s left"
    state.cost_done = 8.0
    assert state.line() == counts


def test_line_of_a_state_that_has_just_begun() -> None:
    assert (
        ProgressState("toy", 1, 0).line().startswith("toy: 0/1 runs complete, 0 running, 0 failed")
    )


@pytest.mark.parametrize("colour", [None, "1"])  # which a notebook sets
def test_plain_lines_where_there_is_no_terminal(
    colour: str | None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    if colour:
        monkeypatch.setenv("FORCE_COLOR", colour)
    state = ProgressState("toy", 2, 0)
    with view() as shown:
        shown.show(state)
        shown.show(state)  # too soon for another line
        shown.say("a run [toy4] failed: " + "because " * 40)
        monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
        state.complete = 1
        shown.show(state)
    out, err = capsys.readouterr()
    assert out == ""
    first, said, second = err.splitlines()
    assert first.startswith("toy: 0/2 runs complete")
    assert said.startswith("a run [toy4] failed: because")
    assert second.startswith("toy: 1/2 runs complete")
    assert "\x1b" not in err


def test_the_live_view_follows_the_cohorts() -> None:
    console = Console(force_terminal=True, record=True, width=80, file=open("/dev/null", "w"))  # noqa: SIM115
    live = progress._Live(console)
    with console.file, live.display:
        state = ProgressState("toy", total=4, complete=1)
        state.active[7] = Active("mim toy4_20 z20 m500 ×3", 3, 200, ended=1, epoch=12)
        live.show(state)
        sweep, cohort = live.bars.tasks
        assert (sweep.completed, sweep.total) == (1, 4)
        assert (cohort.completed, cohort.total) == (1, 3)
        lines = console.render_lines(live.display.renderable, pad=False)
        shown = ["".join(segment.text for segment in line).rstrip() for line in lines]
        assert shown[0].startswith("toy: 1/4 runs complete")
        assert [line[20:] for line in shown[-2:]] == [
            " 1/4 runs",
            " 1/3 mim toy4_20 z20 m500 ×3, epoch 12 of at most 200",
        ]
        del state.active[7]
        state.failed = 1
        live.show(state)
        assert [task.completed for task in live.bars.tasks] == [2]
        live.say("[toy4] is said as it is")
    assert "[toy4] is said as it is" in console.export_text()


def test_silence_is_broken_before_anything_is_shown_and_while_nothing_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.1)
    state = ProgressState("toy", 2, 0)
    state.active = {0: Active("mim toy4", 2, 200)}
    with view() as shown:
        time.sleep(0.3)
        shown.show(state)
        time.sleep(0.3)
    time.sleep(0.3)
    ready, *lines = capsys.readouterr().err.splitlines()
    assert ready == "getting ready: the store, data sets, workers; 0 s so far"
    assert len(lines) >= 2
    assert lines[-1] == lines[-2]
    assert lines[-1].endswith("1 cohorts, no epoch yet: workers load and compile first")
    assert len(lines) <= 6


def test_line_of_cohorts_that_wait_for_a_worker() -> None:
    state = ProgressState("toy", total=12, complete=3, running=6)
    why = "for Slurm job 7_0 and 3 more, pending (Priority)"
    state.active = {0: Active("mim toy4", 2, 200), 1: Active("vae toy4", 4, 200, waits=why)}
    waiting = f"toy: 3/12 runs complete, 2 running, 4 waiting {why}, 0 failed, 2 cohorts, "
    assert state.line().startswith(waiting)
    assert state.active[1].line() == f"vae toy4, waits {why}"
    assert state.active[0].line() == "mim toy4, epoch 0 of at most 200"
