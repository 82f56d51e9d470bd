"""What runs are made of, loaded and tried before anything is started or written."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mimsweep.orchestrator.errors import SpecError
from mimsweep.orchestrator.files.choices import IMAGE_SETS, is_toy
from mimsweep.orchestrator.files.spec import VARIES_IN_COHORT, RunSpec
from mimsweep.orchestrator.planning import by_agreement

_ALL_ONE = (*VARIES_IN_COHORT, "mid_dim", "layers", "act")
"""Fields that make no difference to whether a loss is right."""


def check_parts(runs: Sequence[RunSpec], data_dir: Path) -> None:
    """Checks data, networks and losses of runs: each of a kind once.

    Args:
        runs: those that will be trained.
        data_dir: where data sets are.

    Raises:
        SpecError: one is missing, or isn't what it is held to.
    """
    check_data(runs, data_dir)
    _check_networks(runs, data_dir)
    _check_losses(runs, data_dir)


def check_data(runs: Sequence[RunSpec], data_dir: Path) -> None:
    """Loads, or downloads, data sets, tries those of a user's, and keeps what is in data files.

    Toys are passed over.

    Raises:
        SpecError: one is missing, isn't what a data set is held to, or a file has changed since it
            was found.
    """
    _keep_files(runs)
    batch_sizes: dict[str, set[int]] = {}
    for run in runs:
        if not (run.of_file or is_toy(run.dataset)):
            batch_sizes.setdefault(run.dataset, set()).add(run.batch_size)
    if not batch_sizes:
        return
    from mimsweep.models.data.binarised import load_images  # torch, only for who needs it
    from mimsweep.models.data.loading import load
    from mimsweep.models.data.users import UsersData, examine
    from mimsweep.models.registry import users_code

    for name in sorted(batch_sizes):
        with users_code(SpecError):
            if name in IMAGE_SETS:
                load_images(name, data_dir)
                continue
            data = load(name, data_dir)
            if isinstance(data, UsersData):
                examine(data, batch_sizes[name])


def _keep_files(runs: Sequence[RunSpec]) -> None:
    """Keeps what is in data files as it is trained on."""
    files = {run.file for run in runs if run.file}
    if not files:
        return
    from mimsweep.models.data.files.found import keep
    from mimsweep.models.data.files.reading import FileError

    for file in files:
        try:
            keep(file)
        except FileError as error:
            raise SpecError(str(error)) from error


def _check_networks(runs: Sequence[RunSpec], data_dir: Path) -> None:
    """Tries users' networks; those of ours are passed over."""
    kinds = by_agreement(run for run in runs if run.users_networks)
    if not kinds:
        return
    from mimsweep.models.nets.trying import examine  # torch, only for who needs it
    from mimsweep.models.registry import users_code
    from mimsweep.models.settings import ours
    from mimsweep.orchestrator.engines.training import cohort_of, of_data, plain_data_of

    tried = set()
    with users_code(SpecError), ours():
        sets = {of_data(run): plain_data_of(run, data_dir) for run, *_ in kinds}
        for run, *_ in kinds:
            data = sets[of_data(run)]
            for network in cohort_of([run]).objective(data).model.users_networks:
                sizes = (network.inputs, network.outputs, run.mid_dim, run.layers, run.act)
                kind = (network.name, network.part, *sizes, *run.declared.items())
                if kind not in tried:
                    tried.add(kind)
                    examine(network, data)


def _check_losses(runs: Sequence[RunSpec], data_dir: Path) -> None:
    """Tries users' losses with all that they may meet; those of ours are passed over."""
    kinds: dict[tuple[Any, ...], RunSpec] = {}
    for run in runs:
        if run.users_loss:
            kinds.setdefault(tuple(value for name, value in run if name not in _ALL_ONE), run)
    if not kinds:
        return
    from mimsweep.models.registry import users_code
    from mimsweep.models.settings import ours
    from mimsweep.models.training.trying import SEED, examine
    from mimsweep.orchestrator.engines.training import cohort_of, of_data, plain_data_of

    with users_code(SpecError), ours():
        sets = {of_data(run): plain_data_of(run, data_dir) for run in kinds.values()}
        items = {fields: data.draw("train", SEED, 1)[0] for fields, data in sets.items()}
        for run in kinds.values():
            fields = of_data(run)
            examine(cohort_of([run]).objective(sets[fields]), items[fields])
