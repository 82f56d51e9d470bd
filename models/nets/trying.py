"""A user's network, tried on a few items before anything trains: does it keep its promises?"""

import re
import warnings
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.func import functional_call

from mimsweep.models import registry
from mimsweep.models.data.base import DataSet
from mimsweep.models.nets.modules import listed, parameters_of, tensors_of
from mimsweep.models.nets.users import UsersNetwork
from mimsweep.models.settings import kept
from mimsweep.models.streams import normals

SEEDS = (1, 2)
"""Of the runs that are tried."""

ITEMS = 12
"""Most items that it is tried on."""


def examine(network: UsersNetwork, data: DataSet) -> None:
    """Checks a user's network before anything trains with it.

    Args:
        network: the network.
        data: the runs' data set.

    Raises:
        UserError: it breaks a promise.
    """
    if network.part == "encoder":
        items = data.draw("final", SEEDS[0], 1)[0][:ITEMS].clone()
    else:
        items = normals(("trial", network.part), (ITEMS, network.inputs))
    module, other = (network.made(seed) for seed in SEEDS)
    _is_made_anew(network, module)
    with torch.no_grad():
        out = _depends_on_nothing_else(network, module, items)
        _has_no_numbers_of_its_own(network, module, other, items)
    _is_stacked(network, items, [out, _called(network, other, items).detach()])


def _is_made_anew(network: UsersNetwork, module: nn.Module) -> None:
    """Checks that `make` depends on its arguments and torch's generator alone."""
    ours, theirs = parameters_of(module), parameters_of(network.made(SEEDS[0]))
    if shared := [name for name, p in ours.items() if p is theirs.get(name)]:
        raise network.wrong(
            f"make returned the same {listed(shared)} when it was called again; it must make new "
            "parameters each time, as each run has its own"
        )
    network.start(SEEDS[1])  # has the names and shapes that any seed has
    if bad := [name for name, p in ours.items() if not p.isfinite().all()]:
        raise network.wrong(f"its {listed(bad)} isn't finite at its start")
    if differ := [name for name, p in ours.items() if not _equal(p, theirs.get(name))]:
        raise network.wrong(
            f"make returned other values of {listed(differ)} when it was called again for the same "
            "seed; draw them from torch's own generator, as its layers do, and leave none as "
            "torch.empty has it"
        )


def _depends_on_nothing_else(network: UsersNetwork, module: nn.Module, items: Tensor) -> Tensor:
    """Checks that an item's output is a function of it and of parameters; returns the outputs."""
    held = [("input", items), *tensors_of(module)]
    before = [tensor.clone() for _, tensor in held]
    out = _called(network, module, items)
    again = _called(network, module, items)
    now = [items, *(tensor for _, tensor in tensors_of(module))]
    if changed := [
        name for (name, _), old, new in zip(held, before, now, strict=True) if not _equal(old, new)
    ]:
        raise network.wrong(
            f"it changes its {listed(changed)} as it is called; nothing but training may"
        )
    if not out.isfinite().all():
        bad = out[~out.isfinite()][0].item()
        raise network.wrong(f"its output is {bad} at its start, of items as the runs have them")
    if not torch.equal(out, again):
        raise network.wrong(
            "it came to other values for the same items when it was called again; it may depend on "
            "its parameters and its input alone: no random numbers, no counters"
        )
    evaluated = _called(network, module.eval(), items)
    module.train()
    if not _close(out, evaluated):
        raise network.wrong(
            "it came to other values in eval() than in train(); leave out what they differ in"
        )
    few, fresh = items[: len(items) // 2], network.made(SEEDS[0])  # one that has kept nothing
    flipped, alone = _called(network, module, items.flip(0)), _called(network, fresh, few)
    if not _close(out, flipped.flip(0)) or not _close(out[: len(few)], alone):
        raise network.wrong(
            "its output of an item depends on the other items of the minibatch; normalise over the "
            "features of an item alone, as nn.LayerNorm and nn.GroupNorm do"
        )
    return out


def _has_no_numbers_of_its_own(
    network: UsersNetwork, module: nn.Module, other: nn.Module, items: Tensor
) -> None:
    """Checks that what two runs differ in is parameters."""
    advice = "make them parameters; those with requires_grad=False stay as they start"
    theirs = dict(other.named_buffers())
    differ = [name for name, b in module.named_buffers() if not _equal(b, theirs.get(name))]
    if differ:
        raise network.wrong(f"its buffers {listed(differ)} are others for another seed; {advice}")
    with kept(network.make):
        swapped = functional_call(module, parameters_of(other), (items,))
    if not _close(swapped, _called(network, other, items)):
        raise network.wrong(
            "it has tensors that are neither parameters nor buffers, and others for another seed; "
            f"{advice}"
        )


def _is_stacked(network: UsersNetwork, items: Tensor, outputs: list[Tensor]) -> None:
    """Checks that the stack of two runs comes to what each does, and that it can be learned."""
    starts = [network.start(seed) for seed in SEEDS]
    weights = {name: torch.stack([s[name] for s in starts]).requires_grad_() for name in starts[0]}
    x = items.expand(len(SEEDS), *items.shape).requires_grad_()
    stacked = _vmapped(network, weights, x)
    if not all(map(_close, stacked, outputs)):
        raise network.wrong(
            "torch.vmap, by which runs are stacked, comes to other values than the module itself"
        )
    names, inputs = ["input", *weights], [x, *weights.values()]
    found = (
        torch.autograd.grad(stacked.sum(), inputs, allow_unused=True)
        if stacked.requires_grad
        else [None] * len(inputs)
    )
    if all(gradient is None for gradient in found[1:]):
        raise network.wrong(
            "its output depends on no parameter, or was detached from them: nothing is learned"
        )
    if network.part == "decoder" and found[0] is None:
        raise network.wrong(
            "its output doesn't depend on its input, or was detached from it: no encoder is learned"
        )
    bad = [n for n, g in zip(names, found, strict=True) if g is not None and not g.isfinite().all()]
    if bad:
        raise network.wrong(f"the gradient of {listed(bad)} isn't finite at its start")


def _vmapped(network: UsersNetwork, weights: Mapping[str, Tensor], x: Tensor) -> Tensor:
    try:
        with warnings.catch_warnings():  # it is for logs
            warnings.filterwarnings("ignore", "There is a performance drop", UserWarning)
            return network(weights, x)
    except Exception as error:
        why = re.split(r",? please ", registry.told(error), flags=re.IGNORECASE)[0].rstrip(".")
        raise network.wrong(
            f"torch.vmap, by which runs are stacked, doesn't take it: {why}; take torch.where for "
            "`if` and for masks, x.new_zeros for what is written into, nn.GRUCell for nn.GRU"
        ) from error


def _called(network: UsersNetwork, module: nn.Module, items: Tensor) -> Tensor:
    with kept(network.make):
        out = module(items)
    return network.held(out, items)


def _equal(one: Tensor, other: Tensor | None) -> bool:
    return other is not None and torch.equal(one, other)


def _close(one: Tensor, other: Tensor) -> bool:
    """Whether two outputs differ by rounding alone."""
    size = float(one.detach().abs().max())
    return torch.allclose(one, other, rtol=1e-4, atol=1e-4 * size)
