"""Steps of a stack on a GPU as CUDA graphs: one launch a step instead of a hundred.

A step of `models.steps.eager` is recorded once for each shape of a stack, with inputs that stay
where they are: S minibatches, the weights, and a counter on the device that says which minibatch is
next. Minibatches are then copied there and the graph is replayed for each of them. The host only
enqueues: it waits for the device where it reads the losses, at the end of an epoch, and draws the
next minibatches meanwhile. The kernels are those of `models.steps.eager`, in their order.

On a CPU the same step is made, unrecorded, for tests. A step that can't be recorded (a driver that
refuses) is made as it is, too, and a line on stderr says so.
"""

import sys
from collections.abc import Callable

import torch
from torch import Tensor

from mimsweep.models import registry
from mimsweep.models.losses.base import Noise, Objective
from mimsweep.models.losses.named import LOSSES
from mimsweep.models.steps import eager
from mimsweep.models.steps.adam import Adam
from mimsweep.models.steps.base import Minibatches, Schedule

KEPT = 4
"""Recordings of an epoch: training with and without decoder samples, test; one to spare."""

WARM_UP = 3
"""Steps before a recording, in which libraries allocate and choose kernels."""

Tensors = dict[str, Tensor]


def supports(objective: Objective, device: torch.device) -> bool:
    """Returns whether a step never waits for the device, as far as is known.

    What users add may do anything, and the true P(x) is computed from tensors of the host.
    """
    options = objective.model.options
    return (
        device.type == "cuda"
        and objective.loss in LOSSES
        and options.q_x != "anchor"
        and not {options.p_z, options.q_x} & set(registry.DENSITIES)
    )


class Graphs:
    """Makes steps as the module `models.steps.eager` does, of one objective."""

    def __init__(self) -> None:
        self._recordings: dict[object, _Recording] = {}

    def train_steps(
        self,
        objective: Objective,
        weights: Tensor,
        adam: Adam,
        batches: Minibatches,
        schedule: Schedule,
    ) -> Tensor:
        """Makes S steps; arguments and result as of `models.steps.eager.train_steps`."""
        state = {
            "weights": weights,
            "first": adam.first,
            "second": adam.second,
            "beta": schedule.beta,
        }

        def step(state: Tensors, size: Tensor, factor: Tensor, x: Tensor, noise: Noise) -> Tensor:
            adam, now = Adam(state["first"], state["second"]), Minibatches(x, noise, batches.items)
            steps = Schedule(state["beta"], size, factor)
            return eager.train_steps(objective, state["weights"], adam, now, steps)

        total = self._play(step, state, {"size": schedule.size, "factor": schedule.factor}, batches)
        weights.copy_(state["weights"])
        adam.first.copy_(state["first"])
        adam.second.copy_(state["second"])
        return total

    def test_steps(self, objective: Objective, weights: Tensor, batches: Minibatches) -> Tensor:
        """Returns the sum over S minibatches of the losses, as `models.steps.eager.test_steps`."""

        def step(state: Tensors, x: Tensor, noise: Noise) -> Tensor:
            return eager.test_steps(
                objective, state["weights"], Minibatches(x, noise, batches.items)
            )

        return self._play(step, {"weights": weights}, {}, batches)

    def _play(
        self, step: Callable[..., Tensor], state: Tensors, rows: Tensors, batches: Minibatches
    ) -> Tensor:
        """Makes a step for each minibatch; `state` becomes what it is then."""
        noises = {
            name: values for name, values in vars(batches.noise).items() if values is not None
        }
        series = {**rows, "items": batches.x, **noises}
        key = tuple((name, values.shape) for name, values in (*state.items(), *series.items()))
        recording = self._recordings.pop(key, None) or _Recording(step, state, series)
        self._recordings[key] = recording  # the last used is the last to go
        if len(self._recordings) > KEPT:
            del self._recordings[next(iter(self._recordings))]
        return recording.play(state, series)


class _Recording:
    """A step of inputs that stay where they are."""

    def __init__(self, step: Callable[..., Tensor], state: Tensors, series: Tensors) -> None:
        self._step = step
        self._state = {name: values.detach().clone() for name, values in state.items()}
        self._series = {name: _dense(values).clone() for name, values in series.items()}
        device = series["items"].device
        self._at = torch.zeros(1, dtype=torch.long, device=device)
        self._total = torch.zeros(series["items"].shape[1], device=device)
        self._next = self._recorded() if device.type == "cuda" else self._make

    def play(self, state: Tensors, series: Tensors) -> Tensor:
        """Makes all steps from `state`, which is replaced; returns the sum of the losses, (R,)."""
        for name, values in state.items():
            self._state[name].copy_(values)
        for name, values in series.items():
            self._series[name].copy_(_dense(values))
        self._at.zero_()
        self._total.zero_()
        for _ in range(len(series["items"])):
            self._next()
        state.update(self._state)
        return self._total.clone()

    def _make(self) -> None:
        """Makes the step that the counter stands at."""
        now = {name: values.index_select(0, self._at) for name, values in self._series.items()}
        rows = {name: now.pop(name) for name in ("size", "factor") if name in now}
        x, noise = now.pop("items").mT, Noise(**{name: values.mT for name, values in now.items()})
        self._total += self._step(self._state, **rows, x=x, noise=noise)
        self._at += 1

    def _recorded(self) -> Callable[[], None]:
        """Returns what makes a step as one launch."""
        ahead = torch.cuda.Stream()
        ahead.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(ahead):
            for _ in range(WARM_UP):
                self._at.zero_()
                self._make()
        torch.cuda.current_stream().wait_stream(ahead)
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph):
                self._make()
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            print(f"models.steps.gpu: a step is not recorded: {error}", file=sys.stderr)
            return self._make
        return graph.replay


def _dense(values: Tensor) -> Tensor:
    """Returns items (S, R, B', F) as they lie in memory, (S, R, F, B'); other values as they are.

    Sizes of steps have one axis less.
    """
    return values.mT if values.dim() == 4 else values
