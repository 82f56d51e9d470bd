"""What a complete run has learned, for NumPy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mimsweep.orchestrator.errors import SpecError

if TYPE_CHECKING:
    from torch import Tensor

    from mimsweep.models.densities.mixture import Density as TorchDensity
    from mimsweep.models.training.images.learned import LearnedImages
    from mimsweep.models.training.learned import Learned

Array = npt.NDArray[np.float32]

_TWO_LEVELS = (
    "is a model of images, with latents z1 and z2: q(z1|x, z2) depends on a sample of z2, so that "
    "there is no one mean and scale; sample and log_prob are there"
)


@dataclass(frozen=True)
class Density:
    """q(z|x) or p(x|z) of N items; F is Z or D. Of one item the axis N is not there.

    Attributes:
        mean: of each feature, with shape (N, F); of bits their probabilities.
        scale: σ, the standard deviation of each feature, with shape (N, F).
    """

    mean: Array
    scale: Array
    _draw: Callable[[int], Array] = field(repr=False)

    def sample(self, seed: int = 1) -> Array:
        """Returns a sample for each item, with shape (N, F); of bits their probabilities.

        Bits are `rng.random(p.shape) < p`. Items of a run are measured by samples too, with noise
        of their own.
        """
        return self._draw(seed)


class Model:
    """A trained run: encoder q(z|x), decoder p(x|z), prior p(z), at its best epoch.

    Arrays go in as NumPy makes them of anything, tensors of torch on any device included: one item
    with shape (D,) or N of them with shape (N, D). float32 arrays come out. It computes on the CPU,
    with one thread, without gradients.

    x is in the model's units, as `Run.data` returns it: components of projected data, levels in
    [0, 1], values that were standardised.

    Attributes:
        x_dim: D, the size of an item.
        z_dim: Z, the size of a latent.
    """

    def __init__(
        self, run_name: str, learned: Learned | LearnedImages, x_dim: int, z_dim: int
    ) -> None:
        """`Run.model` makes it."""
        self._name = run_name
        self._learned = learned
        self.x_dim = x_dim
        self.z_dim = z_dim

    def __repr__(self) -> str:
        return f"<Model {self._name}: x_dim {self.x_dim}, z_dim {self.z_dim}>"

    def encode(self, x: npt.ArrayLike | Tensor) -> Density:
        """Returns q(z|x), over (N, Z), of x with shape (N, D), or (D,).

        Raises:
            MimsweepError: x has another shape, or it is a model of images, which has no one q(z|x).
        """
        learned = self._of_one_level()
        items, one = _items("x", x, self.x_dim)
        with _computing():
            return _density(learned.encode(items), learned, "z", one)

    def decode(self, z: npt.ArrayLike | Tensor) -> Density:
        """Returns p(x|z), over (N, D), of z with shape (N, Z), or (Z,); of x in the model's units.

        Raises:
            MimsweepError: z has another shape, or it is a model of images, which has two latents.
        """
        learned = self._of_one_level()
        items, one = _items("z", z, self.z_dim)
        with _computing():
            return _density(learned.decode(items), learned, "x", one)

    def sample(self, n: int, seed: int = 1) -> Array:
        """Returns n draws of x ~ p(x|z), z ~ p(z), with shape (n, D).

        Of bits they are probabilities, but of a pixel decoder bits. With `p_z: marginal`, which
        nothing can be drawn from, z ~ N(0, I), as in training.
        """
        _at_least(1, "n", n)
        with _computing():
            return _array(self._learned.sample(n, seed))

    def log_prob(self, x: npt.ArrayLike | Tensor, samples: int = 100, seed: int = 1) -> Array:
        """Returns log p(x) in nats, with shape (N,), of x with shape (N, D), or (D,).

        It is estimated by importance samples z_s ~ q(z|x) (arXiv 1509.00519, equation 8),

            log 1/S Σ_s p(x|z_s) p(z_s) / q(z_s|x),

        in expectation a lower bound of log p(x), closer the more samples. With one sample the mean
        over the test items is −`nll` of the results, but for noise, where the run's q(x) is the
        marginal, as by default. Of an image model it is what `log_likelihood` is the mean of.

        Args:
            x: items in the model's units.
            samples: S, of each item.
            seed: of the samples.

        Raises:
            MimsweepError: x has another shape, or p(z) is the marginal, so that there is no p(x).
        """
        items, one = _items("x", x, self.x_dim)
        _at_least(1, "samples", samples)
        try:
            with _computing():
                found = _array(self._learned.log_prob(items, samples, seed))
        except ValueError as error:
            raise SpecError(f"{self._name}: {error}") from error
        return found[0] if one else found

    def _of_one_level(self) -> Learned:
        from mimsweep.models.training.learned import Learned

        if not isinstance(self._learned, Learned):
            raise SpecError(f"{self._name} {_TWO_LEVELS}")
        return self._learned


@contextmanager
def _computing() -> Iterator[None]:
    """Has torch set as our numbers need it; what a user's code raises is told with its place."""
    import torch

    from mimsweep.models import settings
    from mimsweep.models.registry import users_code

    with users_code(SpecError), settings.ours(), torch.no_grad():
        yield


def _items(name: str, values: Any, dims: int) -> tuple[Tensor, bool]:  # noqa: ANN401
    """Returns items as a tensor with shape (N, dims), and whether they were one without an axis.

    Raises:
        SpecError: they are no real numbers, or have another shape.
    """
    import torch

    if isinstance(values, torch.Tensor):
        values = values.detach().cpu().numpy()
    array = np.asarray(values)
    if array.dtype.kind not in "fiub":
        raise SpecError(f"{name} is made of {array.dtype}; it must be real numbers")
    if array.ndim not in (1, 2) or array.shape[-1] != dims:
        raise SpecError(f"{name} has the shape {array.shape}; it must be ({dims},) or (N, {dims})")
    rows = torch.from_numpy(np.array(array, np.float32, ndmin=2))
    return rows, array.ndim == 1


def _at_least(least: int, name: str, value: int) -> None:
    if value < least:
        raise SpecError(f"{name}: {value} is not allowed; it must be at least {least}")


def _density(density: TorchDensity, learned: Learned, noise: str, one: bool) -> Density:
    """Returns a density over (1, N, F) for NumPy, without the axis N if it is of one item."""
    from mimsweep.models.densities.mixture import mean_and_scale

    mean, scale = mean_and_scale(density)
    items = mean.shape[1]

    def draw(seed: int) -> Array:
        with _computing():
            drawn = density.sample(learned.noise(noise, "sample", seed, items=items))
        return shaped(drawn)

    def shaped(values: Tensor) -> Array:
        return _array(values[0, 0] if one else values[0])

    return Density(shaped(mean), shaped(scale), draw)


def _array(tensor: Tensor) -> Array:
    array: Array = np.ascontiguousarray(tensor.numpy())
    return array
