"""Stores that earlier versions have made, packed as SQL so that they name no folder."""

import sqlite3
import tarfile
from contextlib import closing
from pathlib import Path


def unpack(archive: tarfile.TarFile, folder: Path) -> None:
    """Unpacks a store into a folder; its database is `mlflow.db` there."""
    archive.extractall(folder, filter="data")
    sql = folder / "mlflow.sql"
    with closing(sqlite3.connect(folder / "mlflow.db")) as database:
        database.executescript(sql.read_text().replace("@FOLDER@", str(folder)))
    sql.unlink()
