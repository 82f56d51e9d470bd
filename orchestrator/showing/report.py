"""A sweep in the store to its section of a report."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

import pandas as pd

from mimsweep.dashboards.drawing.canvas import title_of
from mimsweep.dashboards.figures.latent import latent_figure
from mimsweep.dashboards.report.page import Failure, Picture, Section, alt_of_curves
from mimsweep.orchestrator.showing.learned.images import image_figures
from mimsweep.orchestrator.showing.learned.latent import picked, scenes_of
from mimsweep.orchestrator.showing.means import for_report
from mimsweep.orchestrator.tracking.runs import Invocation

if TYPE_CHECKING:
    from mimsweep.orchestrator.showing.study import Study

LOCAL_PAGES = "http://127.0.0.1:5000"
"""Where `mimsweep ui` shows a store that has no address of its own."""

_TAGS = {
    "mimsweep.version": "mimsweep",
    "mlflow.source.git.commit": "commit",
    "mimsweep.torch": "PyTorch",
    "mimsweep.python": "Python",
    "mimsweep.device": "device",
    "mimsweep.cores": "CPU cores",
}
_ALTS = {
    "learning": "Test and training losses of each epoch with bands over seeds.",
    "seeds": "Every run as a point, for each metric.",
    "rate_distortion": "Distortion against rate, on lines of equal ELBO.",
    "kl_profile": "KL divergence of each latent dimension, from the largest to the smallest.",
}
_TITLES = {
    "learning": "Learning curves",
    "seeds": "Every run",
    "rate_distortion": "Rate and distortion",
    "kl_profile": "KL per dimension",
}


def section(study: Study, pictures: Sequence[Picture]) -> Section:
    """Returns what a report says of a sweep, with pictures if it has complete runs."""
    sweep, invocations = study.sweep, study.store.invocations(study.sweep.name)
    pages = _pages(study.store.uri, invocations)
    whole = len(study.table) == len(sweep.runs)  # then none has failed for good
    states = {} if whole else study.store.statuses(sweep.name)
    failures = [
        Failure(run.run_name, state.reason or "", f"{pages}{state.run_id}" if pages else "")
        for run in sweep.runs
        if (state := states.get(run.run_key)) is not None and state.status == "FAILED"
    ]
    fields = [{"run_key": run.run_key, **run.own_fields()} for run in sweep.runs]
    planned = pd.DataFrame(fields) if fields else pd.DataFrame(columns=["run_key"])  # of a search
    empty = study.table.empty
    axes = {"x": "seed", "hue": "model", "metrics": []} if empty else study.axes
    means = "" if empty else for_report(study, invocations)
    return Section(
        name=sweep.name,
        description=sweep.description,
        facts=_facts(study, invocations),
        planned=planned,
        runs=study.table,
        pictures=[] if empty else pictures,
        judgements=study.judgements,
        failures=failures,
        means=means,
        links={run_id: f"{pages}{run_id}" for run_id in study.table["run_id"]} if pages else {},
        **axes,
    )


def own_pictures(study: Study, data_dir: Path) -> list[Picture]:
    """Returns the pictures of a sweep: curves, what was learned, and `Study.others`.

    Raises:
        SpecError: the data that pictures of images need are not there.
    """
    if study.table.empty:
        return []
    name, description, axes = study.sweep.name, study.sweep.description, study.axes
    alt = alt_of_curves(study.drawn, **axes)
    pictures = [Picture("Comparison", study.curves().combined(name, description), alt)]
    if scenes := scenes_of(study, picked(study)):
        shown = ", ".join(" ".join(heading) for heading in scenes)
        alt = f"Reconstructions over P(x), and q(z|x) over P(z), of {shown}."
        figure = latent_figure(scenes, f"{name}: what was learned")
        pictures.append(Picture("What was learned", figure, alt))
    for stem, figure in image_figures(study, data_dir).items():
        dataset = stem.removeprefix("images_")
        alt = f"Reconstructions, samples, pseudo-inputs and t-SNE of latents, of {dataset}."
        pictures.append(Picture(f"What was learned of {dataset}", figure, alt))
    for stem, figure in study.others().items():
        key = next(key for key in _TITLES if stem.startswith(key))
        dataset = stem.removeprefix(key).removeprefix("_")
        title = f"{_TITLES[key]} of {dataset}" if dataset else _TITLES[key]
        alt = f"{_ALTS[key]} {axes['x']} by {axes['hue']}."
        pictures.append(Picture(title, figure, alt))
    for figure in study.rankings().values():
        title = f"Critical differences: {title_of(figure).removeprefix(f'{name}: ')}"
        alt = "Mean ranks in each cell; those that can't be told apart are joined by a bar."
        pictures.append(Picture(title, figure, alt))
    return pictures


def _facts(study: Study, invocations: list[Invocation]) -> list[tuple[str, str]]:
    if not invocations:
        return []
    facts = []
    for tag, label in _TAGS.items():
        if values := list(dict.fromkeys(i.tags[tag] for i in invocations if tag in i.tags)):
            facts.append((label, ", ".join(value[:12] for value in values)))
    ends = [i.end for i in invocations if i.end is not None]
    facts.append(("started", _moment(invocations[0].start)))
    if ends:
        facts.append(("ended", _moment(max(ends))))
        spent = sum(i.end - i.start for i in invocations if i.end is not None)
        facts.append(("elapsed", duration(spent / 1000)))
    if len(invocations) > 1:
        facts.append(("invocations", str(len(invocations))))
    if not study.table.empty:
        origins = sorted(study.table["from_chardata"].dropna().unique())
        if origins:
            names = ["chardata.mat" if origin else "the raw images" for origin in origins]
            facts.append(("Omniglot made from", ", ".join(names)))
        facts.append(("training time of all runs", duration(float(study.table["seconds"].sum()))))
    return facts


def _pages(uri: str, invocations: list[Invocation]) -> str:
    """Returns the beginning of the address of a run's page in MLflow, without a password."""
    if not invocations:
        return ""
    base = LOCAL_PAGES
    if uri.startswith(("http://", "https://")):
        parts = urlsplit(uri)
        host = parts.netloc.rpartition("@")[2]
        base = urlunsplit((parts.scheme, host, parts.path.rstrip("/"), "", ""))
    return f"{base}/#/experiments/{invocations[-1].experiment_id}/runs/"


def _moment(ms: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(ms / 1000))


def duration(seconds: float) -> str:
    """Returns a time as `1 h 02 min`, `3 min 05 s` or `7.2 s`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
