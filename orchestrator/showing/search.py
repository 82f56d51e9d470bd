"""A search in the store to its section of a report."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from functools import partial
from typing import Any
from xml.etree import ElementTree

from mimsweep.dashboards.report.page import Picture, Section
from mimsweep.orchestrator.files.search import Search
from mimsweep.orchestrator.files.sweep import Figures, Sweep
from mimsweep.orchestrator.showing.report import section
from mimsweep.orchestrator.showing.study import Study
from mimsweep.orchestrator.showing.table import stored_runs, unread
from mimsweep.orchestrator.tracking.writer import Tracking

SUMMARY = "search.json"

_PICTURES = {
    "history": ("Trials", "The value of each trial in the order of trials, and the best so far."),
    "slice": ("Values along each field", "The value of each trial against each searched field."),
    "seeds": ("Seeds of each trial", "The values of single seeds, and their means, by trial."),
    "importance": ("Importance", "How much each searched field matters to each objective."),
    "pareto": ("Pareto front", "Trials by both objectives, and those that none is better than."),
}


def study_of(search: Search, store: Tracking) -> Study:
    """Returns the complete runs of a search, as if they were a sweep."""
    frame = store.frame(search.name)
    runs = stored_runs(frame)
    figures = Figures(
        x=next(iter(search.space)),
        hue="seed" if next(iter(search.space)) == "model" else "model",
        metrics=[objective.metric for objective in search.objectives],
    )
    study = Study(Sweep(search.name, search.description, figures, runs), store)
    study.artifacts.lost += unread(frame, runs)
    return study


def search_section(search: Search, study: Study) -> Section:
    """Returns what a report says of a search: the figures that it stored, its trials, its runs."""
    store = study.store
    # An invocation that runs, or was killed, has drawn nothing; one before it may have.
    parents = [each.run_id for each in reversed(store.invocations(search.name))]
    if study.artifacts.barred:
        parents = []
    drawn_by = next((each for each in parents if store.artifact(each, SUMMARY) is not None), None)
    facts, pictures = _facts(search, {}), []
    if drawn_by:
        read = partial(study.artifacts.get, search.name, drawn_by)
        facts = read(SUMMARY, lambda text: _facts(search, json.loads(text))) or facts
        for stem, (title, alt) in _PICTURES.items():
            if store.artifact(drawn_by, f"{stem}.svg") is None:
                continue  # not all searches have all
            if svg := read(f"{stem}.svg", _document):
                pictures.append(Picture(title, svg, alt))
    made = section(study, pictures)
    return dataclasses.replace(made, facts=[*facts, *made.facts])


def _document(content: bytes) -> str:
    text = content.decode()
    ElementTree.fromstring(text)  # noqa: S314
    return text


def _facts(search: Search, summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    goals = ", ".join(f"{each.direction} {each.metric}" for each in search.objectives)
    facts = [("objective", goals), ("sampler, pruner", f"{search.sampler}, {search.pruner}")]
    counts = [f"{summary[n]} {n}" for n in ("complete", "pruned", "failed") if n in summary]
    if counts:
        facts.append(("trials", ", ".join(counts)))
    best = summary.get("best") or []
    for each in best if isinstance(best, list) else [best]:
        point = ", ".join(f"{name} = {value:g}" if isinstance(value, float) else f"{name} = {value}"
                          for name, value in each["params"].items())  # fmt: skip
        values = ", ".join(f"{value:.4g}" for value in each["values"])
        facts.append((f"best, trial {each['number']}", f"{point}: {values}"))
    return facts
