"""Trials to runs and back: a search as the dispatcher's listener."""

import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from mimsweep.orchestrator.engines.base import EpochEnded
from mimsweep.orchestrator.files.spec import RunSpec, explain
from mimsweep.orchestrator.running.dispatch import Dispatcher
from mimsweep.orchestrator.running.progress import View
from mimsweep.orchestrator.running.recorder import Recorder
from mimsweep.orchestrator.search.placing import place
from mimsweep.orchestrator.search.study import Asked, Study
from mimsweep.orchestrator.stale import code_of

Metrics = Mapping[str, float]
Found = dict[str, tuple[str, dict[str, float]]]


@dataclass
class Trial:
    """A trial that runs.

    Attributes:
        number: Optuna's.
        runs: of its seeds.
        metrics: of the runs that were measured, by run_key.
        losses: test losses by epoch of each run that trains here, by run_key.
        judged: epochs after which it was judged.
    """

    number: int
    runs: list[RunSpec]
    metrics: dict[str, Metrics] = field(default_factory=dict)
    losses: dict[str, list[float]] = field(default_factory=dict)
    judged: int = 0

    @property
    def live(self) -> list[RunSpec]:
        """The runs without an end."""
        return [run for run in self.runs if run.run_key not in self.metrics]

    def loss(self, run: RunSpec, epoch: int) -> float | None:
        """Returns a run's test loss after an epoch, of one that stopped before its least."""
        losses = self.losses.get(run.run_key, [])
        if len(losses) >= epoch:
            return losses[epoch - 1]
        ended = self.metrics.get(run.run_key)
        return ended.get("best_loss", math.nan) if ended else None


class Trials:
    """Asks the study for trials while there are places, has their runs trained, tells their ends.

    The runs of a trial join cohorts that train already, or make new ones. What the store has
    complete, of any sweep or search, is not trained again; nor is what another trial trains now.
    """

    def __init__(
        self, study: Study, recorder: Recorder, view: View, limit: Callable[[RunSpec], int]
    ) -> None:
        """`limit` says how many runs like a given one a cohort may have."""
        self._study = study
        self._search = study.search
        self._recorder = recorder
        self._view = view
        self._limit = limit
        self._trials: dict[int, Trial] = {}
        self._asked: list[tuple[list[Trial], Future[Found]]] = []
        self._trials_of: dict[str, list[Trial]] = {}
        self._measured_here: dict[str, Metrics] = {}
        self._leaving: list[tuple[list[RunSpec], str]] = []
        best = study.summary().best
        self._best = best["number"] if isinstance(best, dict) else None

    def more(self, dispatcher: Dispatcher) -> bool:
        """Drops the runs of trials that ended early, then makes new trials."""
        for runs, reason in self._leaving:
            dispatcher.drop(runs, reason)
        self._leaving.clear()
        while self._asked and self._asked[0][1].done():
            trials, found = self._asked.pop(0)
            self._start(dispatcher, trials, found.result())
        trials = [trial for asked in self._study.ask() if (trial := self._trial(asked))]
        if trials:
            codes = {run.run_key: code_of(run) for trial in trials for run in trial.runs}
            self._asked.append((trials, self._recorder.find(codes)))
        self._study.beat()
        left = self._study.left()
        state = dispatcher.state
        state.total = state.complete + state.failed + len(self._trials_of)
        state.total += (left - len(self._trials)) * len(self._search.seeds)
        return left > 0

    def epoch(self, event: EpochEnded) -> None:
        """Judges trials by the test losses of their seeds, if the pruner is one of epochs."""
        if self._search.pruner not in ("median", "hyperband"):
            return
        for trial in list(self._trials_of.get(event.run_key, ())):
            losses = trial.losses.setdefault(event.run_key, [])
            if event.epoch == len(losses) + 1:  # else told before, by a worker that was lost
                losses.append(event.metrics["test_loss"])
                self._judge(trial)

    def ended(self, run: RunSpec, metrics: Metrics | None) -> None:
        """Notes what a run was measured to be; a trial with a failed run fails."""
        if metrics is not None:
            self._measured_here[run.run_key] = metrics
        for trial in self._trials_of.pop(run.run_key, []):
            if metrics is None:
                self._end(trial, self._study.fail, f"{run.run_name} failed")
            else:
                self._measured(trial, run, metrics)

    def _trial(self, asked: Asked) -> Trial | None:
        """Makes a trial, unless how it ends is known already."""
        try:
            trial = Trial(asked.number, self._search.runs(asked.params))
        except ValidationError as invalid:
            self._outside(asked, explain(invalid.errors()[0]))
            return None
        if not all(self._search.space[f].has(value) for f, value in asked.params.items()):
            self._outside(asked, "the space doesn't have it")
            return None
        twin = self._study.pruned_twin(asked.params)
        if twin is not None:
            self._study.prune(asked.number, f"as trial {twin} was, at the same point")
            return None
        self._trials[trial.number] = trial
        return trial

    def _outside(self, asked: Asked, why: str) -> None:
        """Fails a trial of a point that a user has enqueued and the search can't have."""
        self._study.fail(asked.number, why)
        self._view.say(f"trial {asked.number} is not made at {point(asked.params)}: {why}")

    def _start(self, dispatcher: Dispatcher, trials: Sequence[Trial], found: Found) -> None:
        """Has the runs of new trials trained that nobody has trained or trains."""
        new: list[RunSpec] = []
        for trial in trials:
            labels = {"mimsweep.study": self._search.name, "mimsweep.trial": str(trial.number)}
            for run in trial.runs:
                if run.run_key in found or run.run_key in self._measured_here:
                    continue
                if run.run_key not in self._trials_of:
                    self._recorder.labels[run.run_key] = labels
                    new.append(run)
                self._trials_of.setdefault(run.run_key, []).append(trial)
            self._reuse(trial, found)
        # A trial may have ended by what was known of it.
        place(dispatcher, [run for run in new if run.run_key in self._trials_of], self._limit)

    def _reuse(self, trial: Trial, found: Found) -> None:
        stored = [found[run.run_key][0] for run in trial.runs if run.run_key in found]
        if stored:
            self._recorder.note({f"mimsweep.trial.{trial.number}.reused": " ".join(stored)})
        known = {run_key: metrics for run_key, (_, metrics) in found.items()} | self._measured_here
        for run in trial.runs:
            if run.run_key in known and trial.number in self._trials:
                self._measured(trial, run, known[run.run_key])

    def _measured(self, trial: Trial, run: RunSpec, metrics: Metrics) -> None:
        trial.metrics[run.run_key] = metrics
        value = metrics.get(self._search.objectives[0].metric, math.nan)
        prune = False
        if self._search.pruner == "wilcoxon" and math.isfinite(value):
            prune = self._study.report(trial.number, run.seed, value)
        if not trial.live:
            self._complete(trial)
        elif prune:
            reason = f"worse than the best after {len(trial.metrics)} seeds"
            self._end(trial, self._study.prune, reason)
        else:
            self._judge(trial)

    def _judge(self, trial: Trial) -> None:
        """Reports the epochs that all seeds have trained, or stopped before."""
        if not trial.losses:
            return
        objective = self._search.objectives[0]
        # Less loss is better, whatever the direction in which the objective is.
        sign = -1 if objective.maximize else 1
        while trial.live:
            losses = [trial.loss(run, trial.judged + 1) for run in trial.runs]
            values = [sign * loss for loss in losses if loss is not None and math.isfinite(loss)]
            if len(values) < len(losses):
                return
            trial.judged += 1
            if self._study.report(trial.number, trial.judged, objective.join(values)):
                reason = f"behind the other trials after {trial.judged} epochs"
                self._end(trial, self._study.prune, reason)
                return

    def _complete(self, trial: Trial) -> None:
        seeds = self._seeds(trial)
        values = {o.metric: o.join(list(seeds[o.metric].values())) for o in self._search.objectives}
        if unknown := [metric for metric, value in values.items() if math.isnan(value)]:
            self._end(trial, self._study.fail, f"{' and '.join(unknown)} is not a number")
            return
        del self._trials[trial.number]
        self._study.complete(trial.number, list(values.values()), seeds)
        self._tell_best()

    def _seeds(self, trial: Trial) -> dict[str, dict[str, float]]:
        """Returns of each objective's metric its value by seed, of the seeds that are measured."""
        return {
            objective.metric: {
                str(run.seed): trial.metrics[run.run_key].get(objective.metric, math.nan)
                for run in trial.runs
                if run.run_key in trial.metrics
            }
            for objective in self._search.objectives
        }

    def _tell_best(self) -> None:
        best = self._study.summary().best
        if isinstance(best, dict) and best["number"] != self._best:
            self._best = best["number"]
            metric = self._search.objectives[0].metric
            what = f"{metric} {best['values'][0]:.5g} at {point(best['params'])}"
            self._view.say(f"trial {self._best}: {what}, the best so far")

    def _end(self, trial: Trial, tell: Callable[[int, str], None], reason: str) -> None:
        """Ends a trial before all its seeds are measured; runs that nobody else wants leave."""
        del self._trials[trial.number]
        self._study.note(trial.number, self._seeds(trial))
        tell(trial.number, reason)
        leaving = []
        for run in trial.live:
            others = [other for other in self._trials_of.pop(run.run_key, []) if other is not trial]
            if others:
                self._trials_of[run.run_key] = others
            else:
                leaving.append(run)
        self._leaving.append((leaving, f"trial {trial.number} was ended: {reason}"))


def point(params: Mapping[str, Any]) -> str:
    """Returns a point of the space for people: `warmup = 8, lr = 0.0012`."""
    texts = {n: f"{v:.4g}" if isinstance(v, float) else str(v) for n, v in params.items()}
    return ", ".join(f"{name} = {text}" for name, text in texts.items())
