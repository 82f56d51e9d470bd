"""A user's data set, held to what a data set is: whatever it draws is checked where it enters.

What can be had without a doubt is made to fit: arrays of NumPy, other kinds of numbers, tensors of
another device or with a gradient. All else is refused in a sentence that names the data set and
where its class is. Fitting never changes a value by more than a thousandth of its column's span.
"""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from torch import Tensor

from mimsweep.models import registry
from mimsweep.models.data.base import DataError, DataSet, Split, has_pairs, is_binary
from mimsweep.models.data.files.fitting import Misfit
from mimsweep.models.data.files.fitting import fitted as fitted_items
from mimsweep.models.data.files.found import LEAST_NEIGHBOURS, LEAST_TEST
from mimsweep.models.parts import Data
from mimsweep.models.places import defined_at
from mimsweep.models.settings import kept


@dataclass(frozen=True)
class UsersData:
    """A user's data set as a `DataSet` that keeps its promises, or says which one it broke.

    Attributes:
        name: a value of `dataset`.
        added: what was registered.
        data: the user's own.
    """

    name: str
    added: Data
    data: DataSet

    @property
    def dims(self) -> int:
        """D, the size of an item."""
        return self.added.dims

    @property
    def classes(self) -> int:
        """How many labels there are."""
        return self.data.classes

    @property
    def binary(self) -> bool:
        """Whether items are probabilities of bits."""
        return self.added.binary

    @property
    def pairs(self) -> bool:
        """Whether a training item is a pair, the encoder's input and the target."""
        return has_pairs(self.data)

    def items(self, split: Split) -> int:
        """Returns N, the number of items of a split."""
        with kept(self.data):
            count = self.data.items(split)
        if not _is_whole(count) or count < 1:
            raise self.wrong(f"items({split!r}) is {count!r}; it must be a whole number from 1")
        return int(count)

    def draw(self, split: Split, seed: int, epoch: int) -> tuple[Tensor, Tensor]:
        """Returns items with shape (N, D), float32, and their labels, (N,), int64."""
        call = f"draw({split!r}, {seed}, {epoch})"
        with kept(self.data):
            drawn = self.data.draw(split, seed, epoch)
        if not isinstance(drawn, tuple | list) or len(drawn) != 2:
            given = f"{len(drawn)} of them" if isinstance(drawn, tuple | list) else _kind(drawn)
            raise self.wrong(f"{call} must return items and labels, a pair; it returned {given}")
        wide = self.pairs and split == "train"
        items = self._numbers(drawn[0], f"the items of {call}")
        shape = (self.items(split), (2 if wide else 1) * self.dims)
        if tuple(items.shape) != shape:
            of = "items(), 2·dims of pairs" if wide else "items(), dims"
            raise self.wrong(
                f"the items of {call} have shape {tuple(items.shape)}; it must be {shape}: {of}"
            )
        fitted = self._fitted(items, call)
        return fitted, self._labels(drawn[1], len(fitted), call)

    def log_prob(self, x: Tensor) -> Tensor | None:
        """Returns log P(x) in nats with shape (...) for x with shape (..., D); None if unknown."""
        with kept(self.data):
            log_p_x = self.data.log_prob(x)
        if log_p_x is None and not self.added.known:
            return None
        shape = tuple(log_p_x.shape) if isinstance(log_p_x, Tensor) else _kind(log_p_x)
        if shape != x.shape[:-1]:
            raise self.wrong(
                f"log_prob of items with shape {tuple(x.shape)} is of shape {shape}; it must be a "
                f"tensor with shape {tuple(x.shape[:-1])}"
            )
        return log_p_x

    def wrong(self, sentence: str) -> DataError:
        """Returns the error that says which promise the data set broke."""
        return DataError(f"dataset {self.name} ({defined_at(self.data)}): {sentence}")

    def _numbers(self, values: Any, what: str) -> Tensor:  # noqa: ANN401
        """Returns numbers as a tensor of their own kind, on the CPU."""
        if isinstance(values, Tensor):
            tensor = values.detach().cpu()
            tensor = tensor if tensor.layout == torch.strided else tensor.to_dense()
        else:
            if np.ma.is_masked(values):
                raise self.wrong(f"{what} have values that are masked")
            try:
                array = np.ascontiguousarray(values)
            except ValueError as error:
                raise self.wrong(f"{what} are no array of numbers: {error}") from error
            if array.dtype.kind not in "fiub":
                raise self.wrong(f"{what} are {_kind(values)} of {array.dtype}, no real numbers")
            tensor = torch.tensor(array.astype(array.dtype.newbyteorder("=")))
        if tensor.is_complex() or tensor.is_quantized:
            raise self.wrong(f"{what} are of {tensor.dtype}, no real numbers")
        return tensor

    def _fitted(self, items: Tensor, call: str) -> Tensor:
        """Returns items (N, D) as float32, or says why they can't be."""
        found = fitted_items((items.float() if items.dtype == torch.bfloat16 else items).numpy())
        if isinstance(found, Misfit):
            row, column = found.row, found.column
            if row is None:
                raise self.wrong(
                    f"column {column}, from 0, of the items of {call} is of {items.dtype}, and "
                    "float32 can't tell its values apart; subtract their mean"
                )
            raise self.wrong(
                f"item {row} of {call} is {items[row, column]} in column {column}, from 0; all "
                "must be finite numbers of float32"
            )
        fitted = torch.from_numpy(found)
        if self.binary and (fitted.amin() < 0 or fitted.amax() > 1):
            low, high = fitted.amin().item(), fitted.amax().item()
            raise self.wrong(
                f"the items of {call} go from {low:g} to {high:g}; with binary=True they are "
                "probabilities, 0 to 1"
            )
        return fitted

    def _labels(self, values: Any, count: int, call: str) -> Tensor:  # noqa: ANN401
        what = f"the labels of {call}"
        allowed = f"they must be {count} whole numbers, 0 to {self.classes - 1}"
        if values is None:
            raise self.wrong(f"{what} are missing; {allowed} (all 0, where there are none)")
        labels = self._numbers(values, what)
        if labels.is_floating_point():
            raise self.wrong(f"{what} are of {labels.dtype}; {allowed}")
        if tuple(labels.shape) != (count,):
            raise self.wrong(f"{what} have shape {tuple(labels.shape)}; {allowed}")
        labels = labels.long()
        if labels.amin() < 0 or labels.amax() >= self.classes:
            low, high = int(labels.amin()), int(labels.amax())
            raise self.wrong(f"{what} go from {low} to {high}; {allowed}")
        return labels


def load_users(name: str, data_dir: Path) -> UsersData:
    """Returns the data set that a user has registered by that name.

    Raises:
        DataError: it isn't what was registered.
    """
    added = registry.DATA[name]
    with kept(added.load):
        own = added.load(data_dir)
    data = UsersData(name, added, own)
    members = ("dims", "classes", "items", "draw", "log_prob")
    with kept(own):
        missing = [member for member in members if not hasattr(own, member)]
    if missing:
        raise data.wrong(f"it has no {' and no '.join(missing)}; docs/extending.md has an example")
    if own.dims != added.dims:
        raise data.wrong(f"its dims are {own.dims!r}, but {added.dims!r} were registered")
    if not _is_whole(own.classes) or own.classes < 1:
        raise data.wrong(f"its classes are {own.classes!r}; they must be a whole number from 1")
    if is_binary(own) != added.binary:
        raise data.wrong(
            f"its binary is {is_binary(own)}, but binary={added.binary} was registered"
        )
    return data


def examine(data: UsersData, batch_sizes: Collection[int]) -> None:
    """Checks a user's data set before anything trains on it.

    Args:
        data: the data set.
        batch_sizes: of the runs.

    Raises:
        DataError: it breaks a promise, or has too few items.
    """
    for split in get_args(Split):
        count = data.items(split)
        least = {"final": LEAST_TEST, "knn": LEAST_NEIGHBOURS}.get(split, 1)
        for batch_size in sorted(batch_sizes):
            if count // batch_size * batch_size < least:
                raise data.wrong(
                    f"items({split!r}) is {count}, too few with batch_size {batch_size}: at least "
                    f"one whole batch is needed, and {least} items in whole batches"
                )
    first = {split: data.draw(split, 1, 1) for split in get_args(Split)}
    data.draw("train", 1, 2)
    for split, drawn in first.items():
        again = data.draw(split, 1, 1)
        if not all(map(torch.equal, drawn, again)):
            raise data.wrong(
                f"draw({split!r}, 1, 1) returned other values when it was called again; it may "
                "depend on its arguments alone: draw from mimsweep.models.streams.generator"
            )
    data.log_prob(first["final"][0][:2])


def _is_whole(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _kind(value: object) -> str:
    return type(value).__name__
