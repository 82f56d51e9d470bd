"""The table of a sweep's complete runs, as `mimsweep results` gives it."""

import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd

from mimsweep.dashboards.drawing import style
from mimsweep.orchestrator.errors import SpecError
from mimsweep.orchestrator.files.fields import defaults_of
from mimsweep.orchestrator.files.spec import RunSpec
from mimsweep.orchestrator.metrics import EPOCH_METRICS, TABLE_METRICS
from mimsweep.orchestrator.tracking.runs import IDENTITY


def results_table(frame: pd.DataFrame, runs: Sequence[RunSpec]) -> pd.DataFrame:
    """Returns the rows of `runs`, in their order, with the columns of the results contract.

    Args:
        frame: of all complete runs of the experiment, from `Tracking.frame`.
        runs: of the sweep; those that are not complete have no row.
    """
    fields = fields_of(runs)
    columns = [*IDENTITY, *fields, *TABLE_METRICS]
    others = [name for name in frame.columns if name not in columns and name not in EPOCH_METRICS]
    rows = frame.set_index("run_key", drop=False)
    specs = {run.key_among(rows.index): run for run in runs}
    rows = rows.loc[[key for key in specs if key in rows.index]]
    rows = rows.reindex(columns=[*columns, *others]).reset_index(drop=True)
    # A run stored by an older version has no params of newer fields: it has their defaults.
    given = [specs[key].model_dump() for key in rows["run_key"]]
    values: dict[str, Any] = {field: [each.get(field) for each in given] for field in fields}
    return rows.assign(**values)


def fields_of(runs: Iterable[RunSpec]) -> list[str]:
    """Returns the fields that any of the runs has, ours first."""
    theirs = dict.fromkeys(field for run in runs for field in run.declared)
    return [*RunSpec.model_fields, *theirs]


def methods(table: pd.DataFrame, fields: Sequence[str]) -> list[str]:
    """Returns what the fields of each row come to together, by what isn't default: `VAE, mmd 10`.

    Args:
        table: a row per run.
        fields: of ours, or that users' parts declare.
    """
    rows = table[[*fields]].to_dict("records")
    told = [filter(None, map(_told, row, row.values())) for row in rows]
    return [", ".join(texts) or "default" for texts in told]


def _told(name: Any, value: Any) -> str:  # noqa: ANN401
    """Returns a field of a run that isn't default, as a person names it; else nothing."""
    known = RunSpec.model_fields.get(name)
    if value is None or value != value or (known and value == known.default):
        return ""
    text = style.model(value) if name == "model" else style.value(value)
    return text if known and known.is_required() else f"{name} {text}"


def stored_runs(frame: pd.DataFrame) -> list[RunSpec]:
    """Returns the runs of rows that `Tracking.frame` gave: those of a search stand in no file.

    Rows whose fields are not those of their key are left out, for `unread` to tell of.
    """
    runs = []
    for key, row in zip(frame["run_key"], _plain(frame.to_dict("records")), strict=True):
        with suppress(ValueError):
            names = {*RunSpec.model_fields, *defaults_of(row)}
            fields = {name: value for name, value in row.items() if name in names}
            run = RunSpec.model_validate(fields, strict=False)
            if key in (run.run_key, *run.older_keys):
                runs.append(run)
    return runs


def unread(frame: pd.DataFrame, runs: Sequence[RunSpec]) -> list[str]:
    """Returns what is to be told of the rows that `stored_runs` made no run of."""
    there = {*frame["run_key"]}
    keys = {run.key_among(there) for run in runs}
    why = "its fields in the store are of another version, or were edited"
    return [
        f"{name} (MLflow run {run_id}): {why}"
        for key, name, run_id in zip(
            frame["run_key"], frame["run_name"], frame["run_id"], strict=True
        )
        if key not in keys
    ]


def _plain(rows: list[dict[Any, Any]]) -> list[dict[Any, Any]]:
    """Returns rows of numpy's scalars as Python's own, without those that are missing.

    Beside runs that don't have a field, whole numbers of it are stored as floats: they are no more.
    """
    plain = [
        {k: v.item() if hasattr(v, "item") else v for k, v in row.items() if v == v} for row in rows
    ]
    return [
        {k: int(v) if isinstance(v, float) and v.is_integer() else v for k, v in row.items()}
        for row in plain
    ]


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Writes a table as CSV, Parquet or JSON, by the file's ending.

    Raises:
        SpecError: no such ending, or the file can't be written.
    """
    writers: dict[str, Callable[[Path], object]] = {
        ".csv": lambda to: table.to_csv(to, index=False),
        ".parquet": lambda to: table.to_parquet(to, index=False),
        ".json": lambda to: table.to_json(to, orient="records", indent=2),
    }
    if path.suffix not in writers:
        raise SpecError(f"--output {path}: the file must end in {', '.join(writers)}")
    _write(writers[path.suffix], path)


def write_text(text: str, path: Path) -> None:
    """Writes a text to a file.

    Raises:
        SpecError: it can't be written.
    """
    _write(lambda to: to.write_text(text, encoding="utf-8"), path)


def _write(write: Callable[[Path], object], path: Path) -> None:
    """Writes a file beside, and then in place."""
    if not path.parent.is_dir():
        raise SpecError(f"--output {path}: there is no folder {path.parent}; make it first")
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        write(temporary)
        temporary.replace(path)
    except OSError as error:
        raise SpecError(f"--output {path}: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)
