"""What a run's numbers depend on in torch itself, kept from users' code, and from theirs ours.

A module of a user's may call `torch.set_default_dtype`, or have torch use eight threads, when it is
imported or at any time later: the sums of a run would be split otherwise, or be in float64.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from mimsweep.models import registry
from mimsweep.models.places import UserError, defined_at, raised_at, told


def _set_device(device: torch.device) -> None:
    # Set to the CPU, the device would be looked up in each call of torch.
    torch.set_default_device(None if device.type == "cpu" else device)


# How a setting is read, how it is written, and what a run's numbers need it to be. One thread: they
# don't depend on the run's cohort only where no sum is split.
_SETTINGS: tuple[tuple[Callable[[], Any], Callable[[Any], Any], Any], ...] = (
    (torch.get_num_threads, torch.set_num_threads, 1),
    (torch.get_default_dtype, torch.set_default_dtype, torch.float32),
    (torch.get_default_device, _set_device, torch.device("cpu")),
    (torch.is_grad_enabled, torch.set_grad_enabled, True),
    (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision, "highest"),
)


@contextmanager
def kept(code: Any) -> Iterator[None]:  # noqa: ANN401
    """Lets a user's code run; what it sets is as it was afterwards.

    Args:
        code: what is called, for the error's place if it can't be called as it is.

    Raises:
        UserError: the call failed before a line of the user's was reached.
    """
    try:
        with _as_before(), registry.undone():
            yield
    except Exception as error:
        if isinstance(error, UserError) or raised_at(error, registry.packages()):
            raise
        raise UserError(f"{defined_at(code)}: {told(error)}") from error


@contextmanager
def ours() -> Iterator[None]:
    """Has torch set as our numbers need it, and as it was afterwards."""
    with _as_before():
        _set([needed for _, _, needed in _SETTINGS])
        yield


@contextmanager
def _as_before() -> Iterator[None]:
    before = [read() for read, _, _ in _SETTINGS]
    try:
        yield
    finally:
        _set(before)


def _set(wanted: list[Any]) -> None:
    for (read, write, _), value in zip(_SETTINGS, wanted, strict=True):
        if read() != value:
            write(value)
