"""Data sets by name."""

import re
from pathlib import Path

from mimsweep.models import registry
from mimsweep.models.data.base import DataError, DataSet
from mimsweep.models.data.grey import load_mnist
from mimsweep.models.data.pca import load_pca_fashion_mnist
from mimsweep.models.data.text import text_mixture
from mimsweep.models.data.toys import toy_mixture
from mimsweep.models.data.users import load_users


def load(name: str, data_dir: Path) -> DataSet:
    """Returns the data set called `name`.

    Args:
        name: `toy<K>`, `toy<K>_<D>`, `toy<TEXT>`, with a capital T for pairs; `mnist`,
            `fashion-mnist`, `pca-fashion-mnist<k>`, `pca-fashion-mnist<k>-study`; or the name of a
            user's own.
        data_dir: where the files of image sets are, or are downloaded to; unused for toys.

    Raises:
        DataError: no such data set, or its files are missing and can't be downloaded.
    """
    if match := re.fullmatch(r"[tT]oy(0|-?[1-9]\d*)(?:_([1-9]\d*))?", name):
        dims = int(match[2] or 2)
        if dims < 2:
            raise DataError(f"{name}: a toy mixture has at least 2 dimensions")
        return toy_mixture(name, int(match[1]), dims)
    if match := re.fullmatch(r"[tT]oy([A-Za-z][A-Za-z0-9]*)", name):
        return text_mixture(name, match[1])
    if name in ("mnist", "fashion-mnist"):
        return load_mnist(name, data_dir)
    if match := re.fullmatch(r"pca-fashion-mnist([1-9]\d*)(-study)?", name):
        return load_pca_fashion_mnist(int(match[1]), data_dir, as_study=bool(match[2]))
    registry.load()
    if name in registry.DATA:
        return load_users(name, data_dir)
    raise DataError(
        f"{name}: no such data set; there are toy<K> and toy<K>_<D> (toy4, toy4_20), "
        "toy<TEXT> (toyMIM), the same with a capital T, mnist, fashion-mnist and "
        "pca-fashion-mnist<k> (pca-fashion-mnist20), with -study behind as the study projected it"
    )
