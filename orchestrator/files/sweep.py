"""Sweep files: one YAML file to the list of its runs, with a position in every error."""

import itertools
import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from pathlib import Path
from shlex import quote
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mimsweep.dashboards.statistics.points import read_points
from mimsweep.orchestrator.errors import SpecError
from mimsweep.orchestrator.files.claims.claim import Claim
from mimsweep.orchestrator.files.claims.parts import MetricName, SpecField, SpecFields
from mimsweep.orchestrator.files.fields import check_name
from mimsweep.orchestrator.files.nodes import scalar
from mimsweep.orchestrator.files.settings import (
    Name,
    Setting,
    check_varied,
    checked,
    fixed_settings,
    is_search,
    read_model,
    read_setting,
)
from mimsweep.orchestrator.files.shipped import found
from mimsweep.orchestrator.files.spec import RunSpec, explain, one_of, shown
from mimsweep.orchestrator.files.yamlfile import YamlFile, YamlPath, load_yaml, shown_name
from mimsweep.orchestrator.metrics import TABLE_METRICS

MAX_RUNS = 1_000_000
"""More runs than this are a slip of the pen: a day of planning, years of training."""


class Figures(BaseModel):
    """The curves of a sweep: one figure a metric, against `x`, one line for each value of `hue`.

    Of several fields, what they come to together is a value, named by what isn't default.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    x: SpecField
    hue: SpecFields
    metrics: Annotated[list[MetricName], Field(min_length=1)]


@dataclass(frozen=True)
class Sweep:
    """A sweep file, expanded.

    Attributes:
        name: the sweep's name, which is also that of its experiment in MLflow.
        description: what it is about, for people.
        figures: the curves it is drawn as, if the file says.
        runs: all different, in the order of the file; the last field of the grid varies fastest.
        published: the table of published points that are drawn behind ours, if the file names one.
        claims: what the runs are to show.
        snapshots: whether runs keep the weights of each epoch, for an animation.
    """

    name: str
    description: str
    figures: Figures | None
    runs: list[RunSpec]
    published: Path | None = None
    claims: tuple[Claim, ...] = ()
    snapshots: bool = False

    @property
    def size(self) -> str:
        """How large it is, for people."""
        return f"{len(self.runs)} runs"

    def to_json(self) -> dict[str, Any]:
        """Returns what `mimsweep validate --json` prints of it."""
        claims = [claim.claim for claim in self.claims]
        told = {"runs": len(self.runs), "claims": claims, "data_files": self.files}
        return {"sweep": self.name, "description": self.description, **told}

    @property
    def files(self) -> list[str]:
        """A line on each data file, for people."""
        described = {(run.dataset, run.file.described): None for run in self.runs if run.file}
        return [": ".join(parts) for parts in described]

    @property
    def seeds(self) -> list[int]:
        """The seeds of its runs, in order."""
        return sorted({run.seed for run in self.runs})

    def with_seeds(self, count: int) -> "Sweep":
        """Returns the sweep with so many seeds: those of the file, and the next ones.

        Raises:
            SpecError: not all that varies besides has the same seeds.
        """
        seeds = self.seeds
        first = [run for run in self.runs if run.seed == seeds[0]]
        own = {run.model_copy(update={"seed": seed}) for run in first for seed in seeds}
        if own != {*self.runs}:
            raise SpecError(f"{self.name}: to add seeds, all runs must have the same ones")
        more = range(seeds[-1] + 1, seeds[-1] + 1 + count - len(seeds))
        added = [run.model_copy(update={"seed": seed}) for seed in more for run in first]
        return replace(self, runs=[*self.runs, *added])

    def others(self, complete: Collection[str]) -> str:
        """Returns lines on complete runs that are not of this file, or are of an older version.

        Args:
            complete: the run_key of each complete run in the experiment.
        """
        present = {*complete}
        others = present - {run.run_key for run in self.runs}
        if not others:
            return ""
        older = others & {run.key_among(present) for run in self.runs}
        left = "that are not of this file as it is given now, and left out"
        read = "by an older mimsweep, with other random numbers, which are read but trained anew"
        lines = {
            f"{self.name}: complete runs in the store {left}": len(others - older),
            f"{self.name}: complete runs in the store {read}": len(older),
        }
        return "\n".join(f"{line}: {count}" for line, count in lines.items() if count)


class Document(BaseModel):
    """The top level of a sweep file. What stands under `fixed` and `grid` is checked run by run."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: Name
    description: str = ""
    fixed: dict[str, Any] = {}
    grid: Any = None
    figures: Figures | None = None
    published: Annotated[str, Field(min_length=1)] | None = None
    claims: Annotated[list[Claim], Field(min_length=1)] | None = None
    snapshots: bool = False


@dataclass(frozen=True)
class _Block:
    """One mapping of the grid, joined with `fixed`: its runs are all combinations."""

    path: YamlPath
    settings: dict[str, Setting]

    @property
    def size(self) -> int:
        return math.prod(len(setting.values) for setting in self.settings.values())


def load_sweep(path: Path, overrides: Sequence[str] = ()) -> Sweep:
    """Reads a sweep file and expands it to its runs.

    Args:
        path: the YAML file, the name of a shipped one, or `-` for the standard input.
        overrides: texts such as `seed=1..2`, `z_dim=2,10` or `epochs=5` (the values of `--set`).
            Each replaces all that the file says on its field. Runs that then coincide become one.

    Raises:
        SpecError: the first thing that is wrong, as `file:line:column: field: sentence`.
    """
    file = load_yaml(found(path))
    if is_search(file.data):
        command = f"mimsweep search {quote(str(path))}"
        raise SpecError(f"{shown_name(path)}: is a search, not a sweep; `{command}` takes it")
    return read_sweep(file, overrides)


def read_sweep(file: YamlFile, overrides: Sequence[str] = ()) -> Sweep:
    """Expands a sweep file that was read; as `load_sweep`."""
    inner: dict[str, type[BaseModel]] = {"figures": Figures, "claims": Claim}
    document = read_model(file, Document, file.data, inner=inner)
    blocks = list(_blocks(file, document))
    overriding = _overrides(overrides)
    for block in blocks:
        block.settings.update(overriding)
    total = sum(block.size for block in blocks)
    if total > MAX_RUNS:
        raise file.error(
            ("grid",), f"{total:,} runs are more than the {MAX_RUNS:,} that a sweep can have"
        )
    # A path is relative to where it is written: the command line is in the current folder.
    folder = Path() if "dataset" in overriding else file.folder
    runs: dict[RunSpec, _Block] = {}
    for block in blocks:
        for run in _expand(file, block, folder):
            first = runs.setdefault(run, block)
            if first is not block and not overrides:
                line, _ = file.position(first.path)
                raise file.error(
                    block.path, f"the run {run.run_name} is in the block of line {line} already"
                )
    _check_contents(file, runs)
    if document.snapshots and any(run.of_images for run in runs):
        raise file.error(
            ("snapshots",), "true is not allowed with models of images, which have no animation"
        )
    return Sweep(
        document.name,
        document.description,
        document.figures,
        list(runs),
        _published(file, document),
        tuple(document.claims or ()),
        document.snapshots,
    )


def _check_contents(file: YamlFile, runs: Collection[RunSpec]) -> None:
    """Refuses two data files of equal content: their runs are the same runs."""
    names: dict[str, str] = {}
    for run in filter(attrgetter("of_file"), runs):
        if names.setdefault(run.content, run.dataset) != run.dataset:
            other = names[run.content]
            text = f"{run.dataset} has the same content as {other}: its runs are the same"
            raise file.error((), text)


def _published(file: YamlFile, document: Document) -> Path | None:
    if document.published is None:
        return None
    table = file.folder / document.published
    if not table.is_file():
        raise file.error(("published",), f"no such file: {table}")
    try:
        read_points(table, one_of(TABLE_METRICS, "metric"))
    except OSError as error:
        raise file.error(("published",), f"{table} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise SpecError(str(error)) from None
    return table


def _blocks(file: YamlFile, document: Document) -> Iterator[_Block]:
    fixed = fixed_settings(file, document.fixed, "grid")
    if "grid" not in document.model_fields_set:
        yield _Block((), fixed)
        return
    grid = document.grid
    parts = enumerate(grid) if isinstance(grid, list) else [(None, grid)]
    if grid in (None, []):
        raise file.error(("grid",), "is empty; give at least one field, or leave grid out")
    for index, part in parts:
        where: YamlPath = ("grid",) if index is None else ("grid", index)
        if not isinstance(part, dict):
            raise file.error(
                where, f"{shown(part)} is not allowed; it must be a mapping or a list of mappings"
            )
        if not part:
            raise file.error(where, "is empty; give at least one field, or leave grid out")
        settings = dict(fixed)
        for field, value in part.items():
            path: YamlPath = (*where, field)
            check_varied(file, path, fixed)
            settings[field] = read_setting(file, path, value)
        yield _Block(where, settings)


def _overrides(texts: Sequence[str]) -> dict[str, Setting]:
    settings: dict[str, Setting] = {}
    for text in texts:
        field, equals, value = (part.strip() for part in text.partition("="))

        def error(index: int, sentence: str, text: str = text) -> SpecError:
            return SpecError(f"--set {text}: {sentence}")

        if not equals or not value:
            raise error(0, "write field=value, for example seed=1..3")
        try:
            check_name(field)
        except ValueError as invalid:
            raise error(0, str(invalid)) from None
        if field in settings:
            raise error(0, f"{field} is set twice")
        items = [scalar(item.strip()) for item in value.split(",")]
        settings[field] = checked(items if len(items) > 1 else items[0], error)
    return settings


def _expand(file: YamlFile, block: _Block, folder: Path) -> Iterator[RunSpec]:
    """Yields the runs of a block, the last field fastest; data files are found from a folder."""
    settings = block.settings
    for indices in itertools.product(*(range(len(s.values)) for s in settings.values())):
        chosen = dict(zip(settings, indices, strict=True))
        try:
            values = {f: settings[f].values[i] for f, i in chosen.items()}
            yield RunSpec.model_validate(values, context=folder)
        except ValidationError as invalid:
            error = invalid.errors()[0]
            field = str(error["loc"][0] if error["loc"] else error["ctx"]["field"])
            if field in settings:
                raise settings[field].error(chosen[field], explain(error)) from None
            raise file.error((*block.path, field), "is required, under fixed or grid") from None
