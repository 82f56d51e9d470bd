"""Search files: one YAML file to what is searched, with a position in every error."""

import itertools
import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mimsweep.orchestrator.errors import SpecError
from mimsweep.orchestrator.files.claims.parts import MetricName
from mimsweep.orchestrator.files.fields import defaults_of
from mimsweep.orchestrator.files.settings import (
    Name,
    Setting,
    check_varied,
    fixed_settings,
    is_search,
    read_model,
    read_setting,
)
from mimsweep.orchestrator.files.shipped import found
from mimsweep.orchestrator.files.space import Dimension, read_dimension
from mimsweep.orchestrator.files.spec import RunSpec, explain, listed
from mimsweep.orchestrator.files.sweep import MAX_RUNS, Sweep, read_sweep
from mimsweep.orchestrator.files.yamlfile import YamlFile, YamlPath, load_yaml, shown_name

DIRECTIONS = ("minimize", "maximize")
SEEDS = ("mean", "median", "worst")
SAMPLERS = ("tpe", "random", "grid", "qmc", "gp")
PRUNERS = ("none", "median", "hyperband", "wilcoxon")

MAX_CORNERS = 100_000
"""Each corner of the space is checked as a run; more of them are a slip of the pen."""

LOSS_OF = ("dataset", "model", "inv_h", "q_x_samples")
"""Fields whose values have test losses that mean different things."""


class Objective(BaseModel):
    """A metric to be made small or large, and how the seeds of a trial make one value of it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    metric: MetricName
    direction: Annotated[str, listed(DIRECTIONS, "direction")]
    seeds: Annotated[str, listed(SEEDS, "way to join seeds")] = "mean"

    @property
    def maximize(self) -> bool:
        """Whether more is better."""
        return self.direction == "maximize"

    def join(self, values: Sequence[float]) -> float:
        """Returns one value for those of a trial's seeds; NaN if one of them is."""
        if any(map(math.isnan, values)):
            return math.nan
        if self.seeds == "worst":
            return min(values) if self.maximize else max(values)
        return statistics.fmean(values) if self.seeds == "mean" else statistics.median(values)


@dataclass(frozen=True)
class Search:
    """A search file. A trial is one point of the space, with a run for each seed.

    Attributes:
        name: the search's name, which is also that of its experiment in MLflow and of its study.
        description: what it is about, for people.
        fixed: fields that all runs share.
        seeds: of each trial.
        space: what is searched, by field.
        objectives: what for.
        trials: how many in all.
        parallel: how many at once.
        sampler: one of `SAMPLERS`.
        pruner: one of `PRUNERS`.
        folder: where relative paths of data files start.
    """

    name: str
    description: str
    fixed: Mapping[str, Any]
    seeds: tuple[int, ...]
    space: Mapping[str, Dimension]
    objectives: tuple[Objective, ...]
    trials: int
    parallel: int
    sampler: str
    pruner: str
    folder: Path = Path()

    def runs(self, params: Mapping[str, Any]) -> list[RunSpec]:
        """Returns the runs of a trial, one per seed."""
        return [self.run({**params, "seed": seed}) for seed in self.seeds]

    def run(self, params: Mapping[str, Any]) -> RunSpec:
        """Returns a run of such fields beside the fixed ones."""
        return RunSpec.model_validate({**self.fixed, **params}, context=self.folder)

    def corners(self) -> Iterator[RunSpec]:
        """Yields a run at each corner of the space."""
        for values in itertools.product(*(dimension.values for dimension in self.space.values())):
            yield self.runs(dict(zip(self.space, values, strict=True)))[0]

    def point(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Returns a trial's values as a file would have them: its runs are those of a sweep."""
        space = self.space
        return {f: space[f].exact(v) if f in space else v for f, v in params.items()}

    @property
    def goal(self) -> int:
        """The number of trials wanted in all; a grid has no more than its points."""
        if self.sampler == "grid":
            return min(self.trials, math.prod(each.count or 0 for each in self.space.values()))
        return self.trials

    @property
    def most_runs(self) -> int:
        """How many runs its trials can have, none being pruned or there already."""
        return self.goal * len(self.seeds)

    @property
    def size(self) -> str:
        """How large it is, for people."""
        seeds = len(self.seeds)
        return f"a search of {self.goal} trials × {seeds} seeds: {self.most_runs} runs at most"

    def to_json(self) -> dict[str, Any]:
        """Returns what `mimsweep validate --json` prints of it."""
        told = {"trials": self.goal, "seeds": len(self.seeds), "most_runs": self.most_runs}
        return {"search": self.name, "description": self.description, **told}

    @property
    def default(self) -> dict[str, Any] | None:
        """The point of the space at which each field has its default; None if there is none."""
        ours = {name: field.default for name, field in RunSpec.model_fields.items()}
        defaults = {**ours, **defaults_of({**ours, **self.fixed})}
        values = {field: defaults.get(field) for field in self.space}
        inside = all(self.space[field].has(value) for field, value in values.items())
        return values if inside else None

    def most(self, field: str) -> Any:  # noqa: ANN401
        """Returns the largest value that runs of this search have of a numeric field."""
        if field in self.space:
            return max(self.space[field].values)
        return self.fixed.get(field, RunSpec.model_fields[field].default)


class Document(BaseModel):
    """The top level of a search file."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: Name
    description: str = ""
    fixed: dict[str, Any] = {}
    seeds: Any
    space: Annotated[dict[str, Any], Field(min_length=1)]
    objective: Any
    trials: Annotated[int, Field(ge=1)]
    parallel: Annotated[int, Field(ge=1)] = 4
    sampler: Annotated[str, listed(SAMPLERS, "sampler")] = "tpe"
    pruner: Annotated[str, listed(PRUNERS, "pruner")] = "none"


def load_either(path: Path, overrides: Sequence[str]) -> Sweep | Search:
    """Returns the sweep, with fields replaced, or search of a file: a search has a `space`.

    Raises:
        SpecError: the file or an override is wrong.
    """
    file = load_yaml(found(path))
    if not is_search(file.data):
        return read_sweep(file, overrides)
    if overrides:
        text = f"{shown_name(path)} is a search, whose fields can't be replaced"
        raise SpecError(f"--set {overrides[0]}: {text}")
    return read_search(file)


def load_search(path: Path) -> Search:
    """Reads a search file; every corner of its space is checked to be a run.

    Args:
        path: as `load_sweep` has it.

    Raises:
        SpecError: the first thing that is wrong, as `file:line:column: field: sentence`.
    """
    file = load_yaml(found(path))
    if not is_search(file.data):
        command = f"mimsweep run {quote(str(path))}"
        raise SpecError(f"{shown_name(path)}: is a sweep, not a search; `{command}` takes it")
    return read_search(file)


def read_search(file: YamlFile) -> Search:
    """Checks a search file that was read; as `load_search`."""
    document = read_model(file, Document, file.data)
    fixed = fixed_settings(file, document.fixed, "space")
    for field in document.space:
        check_varied(file, ("space", field), fixed)
    for part in ("fixed", "space"):
        if "seed" in getattr(document, part):
            raise file.error((part, "seed"), "the seeds of a trial belong under seeds", key=True)
    seeds = read_setting(file, ("seeds",), document.seeds)
    if document.trials * len(seeds.values) > MAX_RUNS:
        text = f"{document.trials:,} trials of {len(seeds.values):,} seeds are more than"
        raise file.error(("seeds",), f"{text} the {MAX_RUNS:,} runs that a search can have")
    search = Search(
        fixed={field: setting.values[0] for field, setting in fixed.items()},
        seeds=tuple(seeds.values),
        space={
            field: read_dimension(file, ("space", field), value)
            for field, value in document.space.items()
        },
        objectives=_objectives(file, document.objective),
        folder=file.folder,
        **document.model_dump(exclude={"fixed", "seeds", "space", "objective"}),
    )
    _check_runs(file, search, fixed, seeds)
    _check_methods(file, search)
    return search


def _objectives(file: YamlFile, value: Any) -> tuple[Objective, ...]:  # noqa: ANN401
    several = isinstance(value, list)
    if several and not value:
        raise file.error(("objective",), "the list is empty; give at least one objective")
    objectives: list[Objective] = []
    for index, part in enumerate(value if several else [value]):
        where: YamlPath = ("objective", index) if several else ("objective",)
        objective = read_model(file, Objective, part, where)
        if objective.metric in [earlier.metric for earlier in objectives]:
            raise file.error((*where, "metric"), f"{objective.metric} is an objective already")
        objectives.append(objective)
    return tuple(objectives)


def _check_runs(
    file: YamlFile, search: Search, fixed: Mapping[str, Setting], seeds: Setting
) -> None:
    """Checks that the corners of the space, and all seeds, are runs."""
    corners = {field: dimension.values for field, dimension in search.space.items()}
    if (count := math.prod(map(len, corners.values()))) > MAX_CORNERS:
        raise file.error(
            ("space",), f"{count:,} corners are more than the {MAX_CORNERS:,} that a space can have"
        )
    every = itertools.product(*(range(len(values)) for values in corners.values()))
    for number, indices in enumerate(every):
        chosen = dict(zip(corners, indices, strict=True))
        params = {field: corners[field][index] for field, index in chosen.items()}
        for index, seed in enumerate(seeds.values if number == 0 else seeds.values[:1]):
            try:
                search.run({**params, "seed": seed})
            except ValidationError as invalid:
                error = invalid.errors()[0]
                field = str(error["loc"][0] if error["loc"] else error["ctx"]["field"])
                if field == "seed":
                    raise seeds.error(index, explain(error)) from None
                if field in search.space:
                    path: YamlPath = ("space", field, search.space[field].kind, chosen[field])
                    raise file.error(path, explain(error)) from None
                if field in fixed:
                    raise fixed[field].error(0, explain(error)) from None
                raise file.error((field,), "is required, under fixed or space") from None


def _check_methods(file: YamlFile, search: Search) -> None:
    """Checks that sampler and pruner suit the space and the objectives."""
    if search.sampler == "grid":
        for field, dimension in search.space.items():
            if dimension.grid is None:
                where: YamlPath = ("space", field)
                raise file.error(where, "the sampler grid needs a step here, or a categorical")
    pruner: YamlPath = ("pruner",)
    if search.pruner != "none" and len(search.objectives) > 1:
        raise file.error(pruner, f"{search.pruner} is not allowed with several objectives")
    if search.pruner in ("median", "hyperband"):
        for field in set(LOSS_OF) & set(search.space):
            raise file.error(
                pruner,
                f"{search.pruner} compares test losses, which differ in meaning by {field}; "
                "take wilcoxon, or take it out of the space",
            )
