"""Figures look the same whatever the user's matplotlib is set to, and leave it as it was."""

from pathlib import Path

import matplotlib
import pytest
from matplotlib.figure import Figure

from mimsweep.dashboards.drawing.canvas import save, styled

OTHERS = (True, False, 7.5, 3, "red", "bold", "serif", "right", "center", "--", "x", [], None)


@styled
def drawn(folder: Path, title: str) -> dict[str, bytes]:
    figure = Figure(layout="constrained")
    left, right = figure.subplots(1, 2)
    figure.suptitle(title)
    left.plot([1, 2, 3], [4, -6.5, 5], marker="o", label="$x^2$")
    left.scatter([1, 2], [3, 4], label="points")
    left.errorbar([1, 2], [1, 2], [0.5, 0.2])
    left.legend(title="legend")
    left.set(title="left", xlabel="across", ylabel="up")
    right.imshow([[1, 2], [3, 4]])
    right.hist([1, 2, 2])
    right.contour([[1, 2], [3, 5]])
    right.boxplot([1, 2, 3, 9])
    return {path.name: path.read_bytes() for path in save(figure, folder, "figure")}


def changed() -> dict[str, object]:
    """All settings of matplotlib that can be something else, with what."""
    settings: dict[str, object] = {}
    for key, value in matplotlib.rcParamsDefault.items():
        if key.startswith(("backend", "_internal", "text.hinting_factor", "text.kerning_factor")):
            continue
        for other in OTHERS:
            try:
                got = matplotlib.rcParams.validate[key](other)
            except (ValueError, TypeError, AttributeError, RuntimeError):
                continue
            if got != value:
                settings[key] = other
                break
    return settings


def test_no_setting_changes_a_figure_and_none_is_changed(tmp_path: Path) -> None:
    expected = drawn(tmp_path, "plain")
    settings = changed()
    assert len(settings) > 250
    with matplotlib.rc_context(settings):
        before = dict(matplotlib.rcParams)
        assert drawn(tmp_path, "plain") == expected
        assert dict(matplotlib.rcParams) == before


@pytest.mark.parametrize("title", ["多次训练", "複数回", "여러 번", "कई बार", "🙂", "\U0010fffd"])
def test_any_text_is_drawn_without_a_warning(
    title: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = drawn(tmp_path, f"{title} plain")
    assert f"{title} plain" in files["figure.svg"].decode()  # its title, to search for
    assert caplog.records == []
