"""Which runs of images are drawn: a picture a data set, a row a kind of run."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from mimsweep.dashboards.drawing import canvas, style
from mimsweep.dashboards.drawing.axes import distinct
from mimsweep.dashboards.figures.images import ImageScene, images_figure
from mimsweep.dashboards.figures.latent import Column
from mimsweep.dashboards.statistics.seeds import facets
from mimsweep.orchestrator.errors import SpecError
from mimsweep.orchestrator.files.spec import RunSpec
from mimsweep.orchestrator.showing.learned.scenes import image_scene, load_weights
from mimsweep.orchestrator.tracking.runs import WEIGHTS

if TYPE_CHECKING:
    from mimsweep.orchestrator.showing.study import Study

MOST_ROWS = 12
"""Of a picture; more kinds of run are not drawn."""


def draw_images(study: Study, folder: Path, data_dir: Path) -> Iterator[str]:
    """Draws what a sweep's models of images have learned, if it has any.

    Yields:
        a line on each picture.

    Raises:
        SpecError: the images are not there.
    """
    for stem, figure in image_figures(study, data_dir).items():
        folder.mkdir(parents=True, exist_ok=True)
        path, _ = canvas.save(figure, folder, stem)
        yield f"{path}: reconstructions, samples, pseudo-inputs and latents"


def image_figures(study: Study, data_dir: Path) -> dict[str, Figure]:
    """Returns a picture of each data set by file name, from the weights that the store has.

    Raises:
        SpecError: the images are not there.
    """
    figures = {}
    for dataset, runs in picked_images(study).items():
        if scenes := _scenes(study, runs, data_dir):
            title = f"{study.sweep.name}: what was learned of {dataset}"
            figures[f"images_{dataset}"] = images_figure(scenes, title, study.sweep.description)
    return figures


def _scenes(
    study: Study, runs: dict[Column, tuple[RunSpec, str]], data_dir: Path
) -> dict[Column, ImageScene]:
    scenes = {}
    for heading, (run, run_id) in runs.items():
        use = partial(_scene, run, data_dir)
        made = study.artifacts.get(run.run_name, run_id, WEIGHTS, use)
        if made is not None:
            scenes[heading] = made
    return scenes


def _scene(run: RunSpec, data_dir: Path, content: bytes) -> ImageScene:
    from mimsweep.models.data.base import DataError  # torch, only for who needs it

    try:
        return image_scene(run, load_weights(content), data_dir)
    except DataError as error:
        raise SpecError(str(error)) from error


def picked_images(study: Study) -> dict[str, dict[Column, tuple[RunSpec, str]]]:
    """Returns the runs that are drawn, and their MLflow ids, by data set and heading.

    Of each combination of what varies in a data set, the lowest seed.
    """
    table = study.drawn
    by_key = study.by_key
    table = table[[by_key[key].of_images for key in table["run_key"]]]
    if table.empty:
        return {}
    x, hue = study.axes["x"], study.axes["hue"]
    rest = [field for field in (x, *facets(table, x, hue)) if field not in ("dataset", "seed")]
    ranks = {value: rank for rank, value in enumerate(style.looks(hue, distinct(table[hue])))}
    table = table.assign(_rank=table[hue].map(ranks)).sort_values(["_rank", *rest, "seed"])
    picked: dict[str, dict[Column, tuple[RunSpec, str]]] = {}
    for row in table.drop_duplicates(["dataset", "_rank", *rest]).to_dict("records"):
        run = by_key[row["run_key"]]
        name = style.looks(hue, [row[hue]])[row[hue]].label
        place = "\n".join(f"{field} = {style.value(row[field])}" for field in rest)
        rows = picked.setdefault(run.dataset, {})
        if len(rows) < MOST_ROWS:
            rows[name, place] = (run, row["run_id"])
    return picked
