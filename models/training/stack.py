"""The tensors of a stack of runs, and an epoch of training or testing them."""

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from mimsweep.models.data.base import Split
from mimsweep.models.layout import named_views
from mimsweep.models.losses.base import Objective
from mimsweep.models.losses.remedies.batch_norm import folded
from mimsweep.models.nets.linear import initial_weights
from mimsweep.models.steps.adam import Adam
from mimsweep.models.steps.base import Minibatches, Schedule
from mimsweep.models.steps.choice import steps_for
from mimsweep.models.steps.counted import SeedEpoch
from mimsweep.models.steps.sampling import Sampler


class Stack:
    """The weights of R runs and their optimiser.

    Attributes:
        objective: what the runs minimise.
        sampler: of their data and noise.
        weights: with shape (R, P), rows as in `models.layout`.
        best: the weights that each run keeps, with shape (R, P).
        adam: the optimiser's state.
        steps: makes steps, as `models.steps.choice` says.
    """

    def __init__(self, objective: Objective, sampler: Sampler, seeds: Sequence[int]) -> None:
        self.objective = objective
        self.sampler = sampler
        self.shapes = objective.model.shapes()
        self.weights = self._initial(seeds)
        self.best = self.weights.clone()
        self.adam = Adam.zeros(self.weights)
        self.steps = steps_for(objective, sampler.device, sampler.batch_size)

    def train_epoch(
        self, seed_epochs: Sequence[SeedEpoch], lr: Sequence[float], beta: Sequence[float]
    ) -> Tensor:
        """Trains an epoch; returns each run's mean training loss, in nats, with shape (R,).

        Runs with and without decoder samples (β >= 1 or not yet) are trained one part after the
        other, so that neither pays for, nor is touched by, the other's terms; steps that take a
        whole epoch see to that themselves. On a GPU the losses may not be there yet.

        Args:
            seed_epochs: (seed, epoch) of each run.
            lr: learning rate of each run.
            beta: β of each run.
        """
        if self.steps.WHOLE:
            return self._train(self.weights, self.adam, seed_epochs, lr, beta, True)
        losses = torch.zeros(len(seed_epochs), device=self.sampler.device)
        for decoder_samples in (False, True):
            chosen = [row for row, b in enumerate(beta) if (b >= 1) == decoder_samples]
            if chosen:
                losses[chosen] = self._train_rows(chosen, seed_epochs, lr, beta, decoder_samples)
        return losses

    def _train_rows(
        self,
        chosen: list[int],
        seed_epochs: Sequence[SeedEpoch],
        lr: Sequence[float],
        beta: Sequence[float],
        decoder_samples: bool,
    ) -> Tensor:
        rows = torch.tensor(chosen, device=self.sampler.device)
        weights, adam = self.weights[rows], self.adam.rows(rows)
        losses = self._train(
            weights,
            adam,
            [seed_epochs[row] for row in chosen],
            [lr[row] for row in chosen],
            [beta[row] for row in chosen],
            decoder_samples,
        )
        self.weights[rows] = weights
        self.adam.put(rows, adam)
        return losses

    def _train(
        self,
        weights: Tensor,
        adam: Adam,
        seed_epochs: Sequence[SeedEpoch],
        lr: Sequence[float],
        beta: Sequence[float],
        decoder_samples: bool,
    ) -> Tensor:
        """Changes weights and optimiser in place."""
        count = self.sampler.count("train")
        made = [(epoch - 1) * count for _, epoch in seed_epochs]
        schedule = Schedule(torch.tensor(beta)[:, None], *adam.coefficients(lr, made, count))
        total = torch.zeros(len(weights), device=self.sampler.device)
        done = 0
        for batches in self._minibatches("train", seed_epochs, decoder_samples):
            steps = schedule.steps(done, len(batches))
            total += self.steps.train_steps(self.objective, weights, adam, batches, steps)
            done += len(batches)
        return total / count

    def test_epoch(self, seed_epochs: Sequence[SeedEpoch]) -> Tensor:
        """Returns each run's loss on the test set of its epoch, with shape (R,).

        It is at the β that its training ends with, and with all its terms.
        """
        total = torch.zeros(len(seed_epochs), device=self.sampler.device)
        for batches in self._minibatches("test", seed_epochs, decoder_samples=True):
            total += self.steps.test_steps(self.objective, self.weights, batches)
        return total / self.sampler.count("test")

    def _minibatches(
        self, split: Split, seed_epochs: Sequence[SeedEpoch], decoder_samples: bool
    ) -> Iterator[Minibatches]:
        names = self.objective.noise_names(decoder_samples)
        own = self.objective.own_noise
        return self.sampler.minibatches(split, seed_epochs, names, self.steps.WHOLE, own)

    def keep_weights(self, row: int) -> None:
        """Makes the present weights of a run its best."""
        self.best[row] = self.weights[row]

    def present_weights(self, row: int, seed_epoch: SeedEpoch) -> dict[str, Tensor]:
        """Returns a copy of the present weights of a run, as `best_weights`."""
        return self._whole(self.weights, row, seed_epoch)

    def best_weights(self, row: int, seed_epoch: SeedEpoch) -> dict[str, Tensor]:
        """Returns the best weights of a run, with which its model can do without its loss.

        Args:
            row: of the run.
            seed_epoch: its seed and the epoch that they are of.

        Returns:
            them by name, each with shape (1, …).
        """
        return self._whole(self.best, row, seed_epoch)

    def _whole(self, weights: Tensor, row: int, seed_epoch: SeedEpoch) -> dict[str, Tensor]:
        own = self._views(weights[row : row + 1].clone())
        if not self.objective.method.bn_gamma:
            return own
        parts = self.sampler.minibatches("train", [seed_epoch], ())
        inputs = (x[..., : self.objective.model.x_dim] for part in parts for x in part.x)
        return folded(self.objective, own, inputs)

    def grow(self, seeds: Sequence[int]) -> None:
        """Adds new runs at the end of the stack."""
        weights = self._initial(seeds)
        adam = Adam.zeros(weights)
        self.weights = torch.cat([self.weights, weights])
        self.best = torch.cat([self.best, weights])
        self.adam = Adam(
            torch.cat([self.adam.first, adam.first]), torch.cat([self.adam.second, adam.second])
        )

    def shrink(self, rows: Sequence[int]) -> None:
        """Drops all runs but those at `rows`."""
        kept = torch.tensor(rows, dtype=torch.long, device=self.sampler.device)
        self.weights, self.best, self.adam = (
            self.weights[kept],
            self.best[kept],
            self.adam.rows(kept),
        )

    def tensors(self) -> dict[str, Tensor]:
        """Returns the state of all runs by name: each tensor with shape (R, P)."""
        return {
            "weights": self.weights,
            "best": self.best,
            "adam.first": self.adam.first,
            "adam.second": self.adam.second,
        }

    def put(self, row: int, tensors: Mapping[str, Tensor]) -> None:
        """Sets the state of the run at `row`; tensors by name, each with shape (P,)."""
        for name, tensor in self.tensors().items():
            tensor[row] = tensors[name]

    def _initial(self, seeds: Sequence[int]) -> Tensor:
        rows = [initial_weights(self.shapes, seed, self._starts(seed)) for seed in seeds]
        return torch.cat(rows).to(self.sampler.device)

    def _starts(self, seed: int) -> dict[str, Tensor]:
        """Returns what the weights of p(z) and q(x) start at."""
        data = self.sampler.data
        return self.objective.model.starts(seed, lambda: data.draw("train", seed, 1)[0])

    def _views(self, weights: Tensor) -> dict[str, Tensor]:
        return named_views(weights, self.shapes)
