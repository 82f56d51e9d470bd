"""Stores that earlier versions have made, packed as SQL so that they name no folder."""

import sqlite3
import tarfile
from contextlib import closing
from pathlib import Path


def old_store(folder: Path) -> Path:
    """Unpacks the store of the version before the move to one import name; returns its sweep.

    Its database is `mlflow.db` in the folder, and `results.csv` what was tabled of it.
    """
    with tarfile.open(Path(__file__).with_name("before_the_move.tar.gz")) as archive:
        archive.extractall(folder, filter="data")
    sql = folder / "mlflow.sql"
    with closing(sqlite3.connect(folder / "mlflow.db")) as database:
        database.executescript(sql.read_text().replace("@FOLDER@", str(folder)))
    sql.unlink()
    return folder / "before.yaml"
