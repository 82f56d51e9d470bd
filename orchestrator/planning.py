"""The plan of a sweep: what is left to train, in which cohorts, in which order."""

import itertools
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from mimsweep.orchestrator.errors import SpecError
from mimsweep.orchestrator.files.choices import data_dim
from mimsweep.orchestrator.files.search import Search
from mimsweep.orchestrator.files.spec import VARIES_IN_COHORT, RunSpec

agreement = attrgetter(*(name for name in RunSpec.model_fields if name not in VARIES_IN_COHORT))
"""Returns what the runs of a cohort agree on, of a run."""

_CPU_SPEED = 1e10
"""Multiplications that a CPU's core does in a second, with all that comes beside."""

_FASTER = {"cpu": 1, "cuda": 20}
"""How much faster a device is than such a core, at least."""

_SLOWER = 4
"""How much slower than estimated a cohort may be that is alive: other work may share the device."""

_SHORTEST_SILENCE = 1800.0
"""Seconds that any cohort may take until the first sign of life: data may have to be made."""

# Measured on a CPU, in multiplications: what a step of a stack costs whatever its
# size, an epoch of a run beside its steps (data, noise, test), a run beside its epochs (measures).
_STEP, _EPOCH, _RUN = 10_000, 10_000_000, 1_000_000_000

_SHORT = 20_000_000_000
"""A cohort of two seconds or so: to split it would cost more than it gains."""

# Passes through encoder and decoder that a step takes, in those of a VAE.
_MODEL_FACTOR = {"mim": 2.0}

# Multiplications for an item by an image model, all of it, q(z2|x) alone, p(x|z1,z2) alone.
_IMAGE_LAYERS = {"convhvae": (230e6, 30e6, 180e6), "pixelhvae": (260e6, 30e6, 210e6)}
_IMAGE_ITEMS = (50_000, 10_000)  # of training and test sets, or so

# Of a device: bytes that the activations of a cohort may take, and runs that it may have.
# On a CPU they should stay in a core's share of the cache; on a GPU, far within its memory.
_LIMITS = {"cpu": (16 * 2**20, 64), "cuda": (8 * 2**30, 1024)}


@dataclass(frozen=True)
class PlannedCohort:
    """Runs to be trained in one stack: they agree in all fields but `VARIES_IN_COHORT`."""

    runs: tuple[RunSpec, ...]

    @property
    def size(self) -> int:
        """The number of runs."""
        return len(self.runs)

    @property
    def seeds(self) -> list[int]:
        """The seed of each run, in the order of the runs."""
        return [run.seed for run in self.runs]

    @property
    def spec(self) -> dict[str, Any]:
        """The fields of their model, other than the seed, that all the runs share."""
        return {
            field: value
            for field, value in self.runs[0].own_fields().items()
            if field != "seed" and all(getattr(run, field) == value for run in self.runs)
        }

    @property
    def label(self) -> str:
        """What the runs are, and how many, in a few words."""
        first = self.runs[0]
        inv_h = " inv_h" if first.inv_h else ""
        shape = f"z{first.z_dim}" if first.of_images else f"z{first.z_dim} m{first.mid_dim}"
        return f"{first.model}{inv_h} {first.dataset} {shape} ×{self.size}"

    @property
    def cost(self) -> float:
        """How long it trains, in multiplications: an order of magnitude, good for sorting only.

        Epochs × items × parameters of each run, and what comes beside. Early stopping is not
        foreseen.
        """
        first = self.runs[0]
        if first.of_images:
            return sum(map(_image_cost, self.runs))
        items = 60_000 if first.dataset.startswith("pca-") else 10_000
        per_epoch = items * _parameters(first) * _MODEL_FACTOR.get(first.model, 1.0) + _EPOCH
        epochs = [run.epochs for run in self.runs]
        steps = max(epochs) * (items // first.batch_size)
        return sum(epochs) * per_epoch + self.size * _RUN + steps * _STEP

    def longest_silence(self, device: str) -> float:
        """Returns seconds in which it ends an epoch or measures a run, even on a slow machine.

        Args:
            device: "cpu" or "cuda".
        """
        if self.runs[0].of_images:
            most = max(max(_image_epoch(run), _image_likelihood(run)) for run in self.runs)
        else:
            most = self.cost / max(run.epochs for run in self.runs)
        slow = _SLOWER * most / (_CPU_SPEED * _FASTER[device])
        return max(_SHORTEST_SILENCE, float(round(slow)))

    def halves(self) -> tuple["PlannedCohort", "PlannedCohort"]:
        """Returns the first and the second half of a cohort of two runs or more."""
        if self.size < 2:
            raise ValueError("a cohort of one run has no halves")
        middle = self.size // 2
        return PlannedCohort(self.runs[:middle]), PlannedCohort(self.runs[middle:])


@dataclass(frozen=True)
class Plan:
    """What an invocation of `run` would do.

    Attributes:
        sweep: the sweep's name.
        runs: all runs of the sweep.
        complete: those that are complete already.
        cohorts: the others, longest first.
    """

    sweep: str
    runs: tuple[RunSpec, ...]
    complete: tuple[RunSpec, ...]
    cohorts: tuple[PlannedCohort, ...]

    def cpu_seconds(self, slots: int) -> float:
        """Returns how long it takes at most, about, on so many cores of a CPU.

        Most runs stop early, but other work may share the cores.
        """
        costs = [cohort.cost for cohort in self.cohorts]
        return max(sum(costs) / max(slots, 1), max(costs, default=0.0)) / _CPU_SPEED

    def to_json(self) -> dict[str, Any]:
        """Returns what `mimsweep plan --json` prints."""
        return {
            "sweep": self.sweep,
            "runs": len(self.runs),
            "complete": len(self.complete),
            "to_run": len(self.runs) - len(self.complete),
            "cohorts": [
                {"size": cohort.size, "spec": cohort.spec, "seeds": cohort.seeds}
                for cohort in self.cohorts
            ],
        }


def plan(
    sweep_name: str,
    runs: Sequence[RunSpec],
    complete: Collection[str],
    cohort_size: int | None,
    device: str = "cpu",
    slots: int = 1,
) -> Plan:
    """Groups the runs that are not complete into cohorts, longest first.

    Args:
        sweep_name: the sweep's name.
        runs: all runs of the sweep, each once.
        complete: the run keys of those that need no training; other keys do no harm.
        cohort_size: how many runs a cohort may have; None leaves it to `cohort_limit`.
        device: "cpu" or "cuda", for `cohort_limit`.
        slots: how many cohorts train at once, for `_balanced`.

    Raises:
        SpecError: the cohort size is less than 1.
    """
    if cohort_size is not None and cohort_size < 1:
        raise SpecError(f"cohort size: {cohort_size} is not allowed; it must be at least 1")
    done_keys = frozenset(complete)
    done: list[RunSpec] = []
    groups: dict[tuple[object, ...], list[RunSpec]] = {}
    for run in runs:
        if run.run_key in done_keys:
            done.append(run)
        else:
            groups.setdefault(agreement(run), []).append(run)
    cohorts = [
        PlannedCohort(chunk)
        for group in groups.values()
        for chunk in _chunks(group, cohort_size or cohort_limit(group[0], device))
    ]
    if cohort_size is None and device == "cpu" and slots > 1:
        cohorts = _balanced(cohorts, slots)
    cohorts.sort(key=lambda cohort: -cohort.cost)
    return Plan(sweep_name, tuple(runs), tuple(done), tuple(cohorts))


def plan_search(search: Search, complete: int) -> dict[str, Any]:
    """Returns what `mimsweep plan --json` prints of a search: what it costs at most.

    Trials that are pruned, or have runs that are there already, make it less.

    Args:
        search: the search.
        complete: how many of its runs are complete.
    """
    return {
        "search": search.name,
        "trials": search.goal,
        "seeds": list(search.seeds),
        "parallel": min(search.parallel, search.goal),
        "epochs": search.most("epochs"),
        "runs": search.most_runs,
        "complete": complete,
        "to_run": max(search.most_runs - complete, 0),
    }


def cohort_limit(spec: RunSpec, device: str) -> int:
    """Returns how many runs like `spec` are best stacked in one cohort on a device.

    As many as keep the activations of a training step, about 12 float32 tensors of shape
    (batch_size, mid_dim) a layer and run (or dimensions of the data, where they are more), in the
    device's fast memory: 16 MiB of cache on a CPU (at most 64 runs), 8 GiB on a GPU (at most 1,024
    runs).

    Image models train one by one: a stack of their convolutions gains nothing.

    Args:
        spec: one of the runs.
        device: "cpu" or "cuda".
    """
    if spec.of_images:
        return 1
    memory, most = _LIMITS[device]
    width = max(spec.mid_dim, data_dim(spec.dataset))
    activations = 4 * spec.batch_size * width * spec.layers * 12
    return min(max(memory // activations, 1), most)


def _chunks(runs: Sequence[RunSpec], limit: int) -> list[tuple[RunSpec, ...]]:
    """Splits runs into as few chunks as the limit allows, their sizes at most one apart."""
    count = math.ceil(len(runs) / limit)
    ends = [len(runs) * chunk // count for chunk in range(count + 1)]
    return [tuple(runs[a:b]) for a, b in itertools.pairwise(ends)]


def _balanced(cohorts: Sequence[PlannedCohort], slots: int) -> list[PlannedCohort]:
    """Halves cohorts until none takes more than a quarter of a slot's share of all the work.

    So no slot idles long at the end. A run costs as much in a small stack, on a CPU, but where
    `models.steps.cpu` has no steps for it: that is MIM with the marginal q(x) on its own samples.
    """
    most = max(sum(cohort.cost for cohort in cohorts) / (4 * slots), _SHORT)
    waiting, balanced = list(reversed(cohorts)), []
    while waiting:
        cohort = waiting.pop()
        run = cohort.runs[0]
        fused = run.model != "mim" or run.q_x_samples == "conditional"
        if cohort.size > 1 and cohort.cost > most and fused:
            waiting += reversed(cohort.halves())
        else:
            balanced.append(cohort)
    return balanced


def _image_cost(run: RunSpec) -> float:
    """Returns the multiplications of a run of images."""
    return run.epochs * _image_epoch(run) + _image_likelihood(run)


def _image_epoch(run: RunSpec) -> float:
    whole, encoder, _ = _IMAGE_LAYERS[run.model.partition("_")[0]]
    train, test = run.train_items or _IMAGE_ITEMS[0], run.test_items or _IMAGE_ITEMS[1]
    steps = train / run.batch_size
    pseudo_inputs = steps * run.pseudo_inputs * encoder if run.prior == "vampprior" else 0.0
    # Forward, and twice that backward.
    epoch = 3 * (train * whole * (2 if run.model.endswith("-smim") else 1) + pseudo_inputs)
    return epoch + test * whole


def _image_likelihood(run: RunSpec) -> float:
    _, _, decoder = _IMAGE_LAYERS[run.model.partition("_")[0]]
    return (run.test_items or _IMAGE_ITEMS[1]) * run.likelihood_samples * decoder


def _parameters(spec: RunSpec) -> int:
    """Returns the weights of encoder and decoder, without biases."""
    ends = data_dim(spec.dataset) + spec.z_dim
    if spec.layers == 1:
        return 4 * data_dim(spec.dataset) * spec.z_dim
    # Each network: inputs to hidden, hidden to hidden, hidden to the two heads.
    return ends * spec.mid_dim + 2 * (spec.layers - 2) * spec.mid_dim**2 + 2 * ends * spec.mid_dim
