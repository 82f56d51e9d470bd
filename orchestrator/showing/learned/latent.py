"""Which runs' latent pictures are drawn, and the animation of runs that kept their snapshots."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from mimsweep.dashboards.drawing import canvas, style
from mimsweep.dashboards.drawing.axes import distinct, looks_in
from mimsweep.dashboards.figures.latent import Column, Scene, latent_figure, samples_figure
from mimsweep.orchestrator.files.spec import RunSpec
from mimsweep.orchestrator.showing.learned.scenes import (
    chosen,
    drawable,
    load_weights,
    scene,
    snapshot,
)
from mimsweep.orchestrator.tracking.runs import SNAPSHOTS, WEIGHTS

if TYPE_CHECKING:
    from mimsweep.orchestrator.showing.study import Study


def draw_latent(study: Study, folder: Path) -> Iterator[str]:
    """Draws the latent pictures of a sweep's runs of two dimensions, and their animation, if any.

    Yields:
        a line on what was drawn.
    """
    runs = picked(study)
    if not runs:
        return
    scenes = scenes_of(study, runs)
    if not scenes:
        return
    folder.mkdir(parents=True, exist_ok=True)
    name, description = study.sweep.name, study.sweep.description
    canvas.save(latent_figure(scenes, f"{name}: what was learned", description), folder, "latent")
    samples = samples_figure(scenes, f"{name}: samples of p(x|z)", description)
    canvas.save(samples, folder, "latent_samples")
    yield f"{folder}: latent pictures of {len(scenes)} runs"
    yield from _animate(study, runs, folder)


def picked(study: Study) -> dict[Column, tuple[RunSpec, str]]:
    """Returns the runs whose pictures are drawn, and their MLflow ids, by heading.

    Of each value of the hue field, and of the first, second and last value of x, the first seed.
    """
    table = study.drawn
    by_key = study.by_key
    drawn = table[[drawable(by_key[key]) for key in table["run_key"]]]
    if drawn.empty:
        return {}
    x, hue = study.axes["x"], study.axes["hue"]
    drawn = drawn[drawn["seed"] == drawn["seed"].min()]
    found: dict[Column, tuple[RunSpec, str]] = {}
    values = chosen(distinct(drawn[x]))
    for value in values:
        for model, look in looks_in(drawn, hue).items():
            rows = drawn[(drawn[x] == value) & (drawn[hue] == model)]
            for row in rows.head(1).to_dict("records"):
                place = f"{x} = {style.value(value)}" if len(values) > 1 else ""
                name = look.label if hue == "model" else f"{hue} = {look.label}"
                found[name, place] = (by_key[row["run_key"]], row["run_id"])
    return found


def scenes_of(study: Study, runs: dict[Column, tuple[RunSpec, str]]) -> dict[Column, Scene]:
    """Returns what is drawn of runs, from the weights that the store has."""
    scenes = {}
    for heading, (run, run_id) in runs.items():
        made = study.artifacts.get(run.run_name, run_id, WEIGHTS, partial(_scene, run))
        if made is not None:
            scenes[heading] = made
    return scenes


def _scene(run: RunSpec, content: bytes) -> Scene:
    return scene(run, load_weights(content))


def _film(run: RunSpec, content: bytes) -> list[Scene]:
    """Returns what is drawn of a run after each of its epochs."""
    weights = load_weights(content)
    epochs = range(1, len(next(iter(weights.values()))) + 1)
    return [scene(run, snapshot(weights, epoch)) for epoch in epochs]


def _animate(study: Study, runs: dict[Column, tuple[RunSpec, str]], folder: Path) -> Iterator[str]:
    if not study.sweep.snapshots:
        return
    from mimsweep.dashboards.figures.animation import animate

    films = {}
    for heading, (run, run_id) in runs.items():
        film = study.artifacts.get(run.run_name, run_id, SNAPSHOTS, partial(_film, run))
        if film:
            films[heading] = film
    if not films:
        return
    for path in animate(films, study.sweep.name, study.sweep.description, folder):
        yield f"{path}: {max(map(len, films.values()))} frames"
