"""A sweep and what the store has of it, as tables and pictures."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from mimsweep.dashboards.drawing.style import METHOD
from mimsweep.dashboards.figures import curves as figures
from mimsweep.dashboards.figures.kl import kl_profile, runs_profiled
from mimsweep.dashboards.figures.learning import learning_curves
from mimsweep.dashboards.figures.panels import runs_drawn
from mimsweep.dashboards.figures.plane import rate_distortion
from mimsweep.dashboards.figures.ranks import critical_difference
from mimsweep.dashboards.figures.strips import strips
from mimsweep.dashboards.statistics.claims.claim import Judgement
from mimsweep.dashboards.statistics.published import read_published
from mimsweep.dashboards.statistics.seeds import facets
from mimsweep.orchestrator.errors import SpecError
from mimsweep.orchestrator.files.spec import RunSpec
from mimsweep.orchestrator.files.sweep import Sweep
from mimsweep.orchestrator.metrics import TABLE_METRICS
from mimsweep.orchestrator.showing.judge import judge
from mimsweep.orchestrator.showing.table import fields_of, methods, results_table
from mimsweep.orchestrator.tracking.artifacts import Artifacts
from mimsweep.orchestrator.tracking.runs import IDENTITY, PROFILE
from mimsweep.orchestrator.tracking.writer import Tracking

_LOSSES = ("test_loss", "train_loss")
_DURATIONS = ("seconds", "epochs_run")


@dataclass(frozen=True)
class Study:
    """A sweep and what the store has of it.

    Attributes:
        sweep: the file.
        store: to read.
    """

    sweep: Sweep
    store: Tracking

    @cached_property
    def complete(self) -> pd.DataFrame:
        """All complete runs of the experiment, as the store has them."""
        return self.store.frame(self.sweep.name)

    @cached_property
    def table(self) -> pd.DataFrame:
        """A row per complete run of the sweep, as `mimsweep results` gives it.

        But for what users logged: no picture may part runs by it, as it does by fields.
        """
        table = results_table(self.complete, self.sweep.runs)
        table = table[[*IDENTITY, *fields_of(self.sweep.runs), *TABLE_METRICS]]
        hue = self.sweep.figures.hue if self.sweep.figures else ""
        return table if isinstance(hue, str) else table.assign(**{METHOD: methods(table, hue)})

    @property
    def drawn(self) -> pd.DataFrame:
        """Those of its rows that have a value of `x` and `hue`: not all have a declared field."""
        axes = [self.axes[name] for name in ("x", "hue") if self.axes[name] in self.table]
        return self.table.dropna(subset=axes)

    @property
    def by_key(self) -> dict[str, RunSpec]:
        """The runs of the sweep, by the key that the table has of each."""
        keys = {*self.table["run_key"]}
        return {run.key_among(keys): run for run in self.sweep.runs}

    @cached_property
    def artifacts(self) -> Artifacts:
        """What reads the runs' artifacts, and knows which were missing."""
        return Artifacts(self.store, self.store.misplaced(self.sweep.name))

    @cached_property
    def axes(self) -> dict[str, Any]:
        """What is drawn: `x`, `hue` and `metrics`. Of several fields the hue is `METHOD`."""
        if self.sweep.figures:
            axes = self.sweep.figures.model_dump()
            return axes if isinstance(axes["hue"], str) else {**axes, "hue": METHOD}
        return figures.default_axes(self.table)

    @cached_property
    def published(self) -> pd.DataFrame | None:
        """The published points, if the sweep names some."""
        return read_published(self.sweep.published) if self.sweep.published else None

    @cached_property
    def judgements(self) -> list[Judgement]:
        """The verdict on each claim."""
        return judge(self.sweep, self.complete)

    @property
    def others_line(self) -> str:
        """A line on complete runs that are not of the sweep's file; empty if there are none."""
        return self.sweep.others(self.complete["run_key"])

    def curves(self) -> figures.Curves:
        """Returns the comparison curves."""
        return figures.compare(self.drawn, published=self.published, **self.axes)

    def others(self) -> dict[str, Figure]:
        """Returns the other pictures that a report shows, by name, as far as the runs have them.

        Where runs of equal `x` and `hue` differ in data set, all but the learning curves are a
        picture a data set.
        """
        x, hue, name = self.axes["x"], self.axes["hue"], self.sweep.name
        history = self._history(runs_drawn(self.drawn, x, hue))
        drawn = {}
        if not history.empty:
            drawn["learning"] = learning_curves(self.drawn, history, x, hue, name)
        for dataset, runs in self._comparable().items():
            of = f" of {dataset}" if dataset else ""
            stem = re.sub(r"[^\w.+-]", "_", f"_{dataset}") if dataset else ""  # of a file's name
            title = f"{name}: every run{of}"
            drawn[f"seeds{stem}"] = strips(runs, x, hue, self.axes["metrics"], title)
            more = {
                "rate_distortion": rate_distortion(
                    runs, x, hue, f"{name}: rate and distortion{of}"
                ),
                "kl_profile": kl_profile(
                    runs, self._profiles(runs), x, hue, f"{name}: KL per dimension{of}"
                ),
            }
            drawn |= {f"{key}{stem}": figure for key, figure in more.items() if figure}
        return drawn

    def _history(self, run_ids: Sequence[str]) -> pd.DataFrame:
        """Returns the losses by epoch of runs; of which there are none is noted."""
        history = self.store.history(run_ids, _LOSSES)
        without = {*run_ids} - {*history["run_id"]}
        for run_id, name in zip(self.table["run_id"], self.table["run_name"], strict=True):
            if run_id in without:
                self.artifacts.note(name, run_id, "its losses by epoch are not there")
        return history

    def _profiles(self, runs: pd.DataFrame) -> dict[str, list[float]]:
        """Returns the KL of each latent dimension, in nats, by `run_id`, of the runs drawn."""
        if "active_units" not in runs or runs["active_units"].isna().all():
            return {}  # without asking for each run's
        measured = runs[runs["active_units"].notna()]
        asked = runs_profiled(measured, self.axes["x"], self.axes["hue"])
        names = dict(zip(runs["run_id"], runs["run_name"], strict=True))
        found = {
            run_id: self.artifacts.get(names[run_id], run_id, PROFILE, _profile) for run_id in asked
        }
        return {run_id: profile for run_id, profile in found.items() if profile is not None}

    def rankings(self) -> dict[str, Figure]:
        """Returns the critical-difference diagram of each claim on ranks, by name."""
        if not any(claim.ranks for claim in self.sweep.claims):
            return {}
        ranked = [each for each in self.judgements if each.claim.ranks]
        drawn = {}
        for index, each in enumerate(ranked, start=1):
            figure = critical_difference(each, f"{self.sweep.name}: {each.claim.text}")
            if figure:
                drawn["ranks" if len(ranked) == 1 else f"ranks_{index}"] = figure
        return drawn

    def durations(self) -> Figure:
        """Returns the picture of how long the runs took, which a report has in its table."""
        title = f"{self.sweep.name}: durations of the runs"
        return strips(self.drawn, self.axes["x"], self.axes["hue"], _DURATIONS, title)

    def _comparable(self) -> dict[str, pd.DataFrame]:
        """Returns the table by data set, or as a whole, named "", where `x` or `hue` tells them."""
        if "dataset" not in facets(self.drawn, self.axes["x"], self.axes["hue"]):
            return {"": self.drawn}
        return {str(name): runs for name, runs in self.drawn.groupby("dataset")}


def _profile(content: bytes) -> list[float]:
    profile = [float(kl) for kl in json.loads(content)["kl"]]
    if not all(map(math.isfinite, profile)):
        raise ValueError("its kl is not all finite numbers")
    return profile


@contextmanager
def as_spec_errors(sweep: Sweep) -> Iterator[None]:
    """Makes what the dashboards refuse an error of the sweep file."""
    try:
        yield
    except ValueError as error:
        raise SpecError(f"{sweep.name}: {error}") from error
