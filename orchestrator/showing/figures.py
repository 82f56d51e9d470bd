"""A sweep in the store to its pictures in a folder."""

from __future__ import annotations

from pathlib import Path

from mimsweep.dashboards.drawing import canvas
from mimsweep.dashboards.figures import curves as figures
from mimsweep.orchestrator.showing.study import Study, as_spec_errors


def draw(study: Study, folder: Path, latent: bool, data_dir: Path) -> list[str]:
    """Draws a sweep that has complete runs into a folder.

    Args:
        study: to be drawn.
        folder: made if missing.
        latent: whether to draw what models of two dimensions, or of images, have learned, too.
        data_dir: where data sets are.

    Returns:
        lines on what was drawn.

    Raises:
        SpecError: it can't be drawn as its file says.
    """
    sweep = study.sweep
    with as_spec_errors(sweep):
        figures.draw(
            study.drawn,
            name=sweep.name,
            description=sweep.description,
            folder=folder,
            published=study.published,
            **study.axes,
        )
        others = {**study.others(), **study.rankings(), "durations": study.durations()}
        for stem, figure in others.items():
            canvas.save(figure, folder, stem)
        more = _draw_latent(study, folder, data_dir) if latent else []
    more_lines = [study.others_line] if study.others_line else []
    if left_out := len(study.table) - len(study.drawn):
        axes = (study.axes["x"], study.axes["hue"])
        lacking = " or ".join(axis for axis in axes if study.table[axis].isna().any())
        more_lines.append(f"{sweep.name}: {left_out} runs have no {lacking}, and are not drawn")
    return [f"{folder}: {len(study.table)} of {len(sweep.runs)} runs", *more_lines, *more]


def _draw_latent(study: Study, folder: Path, data_dir: Path) -> list[str]:
    from mimsweep.orchestrator.showing.learned.images import draw_images
    from mimsweep.orchestrator.showing.learned.latent import draw_latent

    lines = [*draw_latent(study, folder), *draw_images(study, folder, data_dir)]
    if lines or study.artifacts.lost:
        return lines
    nothing = "no complete run has a latent and data of two dimensions, or is of images"
    return [f"{study.sweep.name}: {nothing}"]
