"""Sweeps and searches that come with mimsweep, by name."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mimsweep.orchestrator.errors import SpecError
from mimsweep.orchestrator.files.choices import did_you_mean
from mimsweep.orchestrator.files.settings import is_search
from mimsweep.orchestrator.files.yamlfile import STDIN, load_yaml

FOLDER = Path(__file__).parents[2] / "sweeps"

SCHEMAS = {"sweep": "sweep.schema.json", "search": "search.schema.json"}
"""The files of the schemas, which shipped files name for editors; `mimsweep schema` prints them."""


@dataclass(frozen=True)
class Shipped:
    """A file that comes with mimsweep.

    Attributes:
        name: of the file, without its ending.
        kind: "sweep" or "search".
        description: what it is about.
    """

    name: str
    kind: str
    description: str


def shipped() -> Iterator[Shipped]:
    """Yields what there is, by name."""
    for path in sorted(FOLDER.glob("*.yaml")):
        data = load_yaml(path).data
        yield Shipped(path.stem, "search" if is_search(data) else "sweep", data["description"])


def found(given: Path) -> Path:
    """Returns the file that a user means: the standard input, one that exists, else a shipped one.

    Raises:
        SpecError: there is no such file; the nearest name of a shipped one is told.
    """
    if given == STDIN:
        return given
    if given.exists() and not (_is_name(given) and given.is_dir()):
        return given
    path = FOLDER / f"{given}.yaml"
    if _is_name(given) and path.is_file():
        return path
    names = [file.stem for file in FOLDER.glob("*.yaml")]
    near = did_you_mean(given.stem, names)
    if _is_name(given):
        listed = near or "; `mimsweep sweeps` lists those that there are"
        raise SpecError(f"{given}: no such file, and no shipped sweep of that name{listed}")
    raise SpecError(f"{given}: no such file{near and f'{near}, which is shipped'}")


def copy(name: str, folder: Path) -> list[Path]:
    """Copies a shipped file, the table of published points that it names, and its schema.

    Args:
        name: of the shipped file.
        folder: gets them, where they are to each other as they are shipped.

    Returns:
        the copies; a schema that is there is left as it is, as it may know the user's own parts.

    Raises:
        SpecError: there is none of that name, or one of the files is there already; then nothing
            was written.
    """
    source = FOLDER / f"{name}.yaml"
    names = [file.stem for file in FOLDER.glob("*.yaml")]
    if name not in names:
        near = did_you_mean(name, names) or f"; there are {', '.join(sorted(names))}"
        raise SpecError(f"{name}: no shipped sweep of that name{near}")
    data = load_yaml(source).data
    files = [source.name, *filter(None, [data.get("published")])]
    schema = SCHEMAS["search" if is_search(data) else "sweep"]
    if not (folder / schema).exists():
        files.append(schema)
    copies = [folder / file for file in files]
    for path in copies:
        if path.exists() or path.is_symlink():
            raise SpecError(f"{path} is there already; nothing was copied")
    try:
        for file, path in zip(files, copies, strict=True):
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=path.parent) as beside:
                os.replace(shutil.copyfile(FOLDER / file, Path(beside, path.name)), path)
    except OSError as error:
        raise SpecError(f"{folder}: can't be written: {error.strerror}") from error
    return copies


def _is_name(given: Path) -> bool:
    return given.parent == Path() and not given.suffix
