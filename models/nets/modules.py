"""What a module of a user's must be like, as far as it can be seen without calling it."""

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd
from torch.nn.modules.instancenorm import _InstanceNorm
from torch.nn.parameter import is_lazy

_SHOWN = 3
"""Names that a sentence lists at most."""


def problem_of(module: Any) -> str:  # noqa: ANN401
    """Returns why what `make` returned can't be trained in a stack, in a sentence; "" if it can."""
    if isinstance(module, type):
        return f"make returned the class {module.__name__}; it must return a module made of it"
    if not isinstance(module, nn.Module):
        return f"make returned {type(module).__name__}; it must return a torch.nn.Module"
    problems = [
        *filter(None, (_of_layer(name, layer) for name, layer in module.named_modules())),
        *filter(None, (_of_parameter(name, p) for name, p in module.named_parameters())),
    ]
    if not problems and not any(p.requires_grad for p in module.parameters()):
        return "it has no parameters that get a gradient: nothing is learned"
    return next(iter(problems), "")


def _of_layer(name: str, layer: nn.Module) -> str:
    what = f"its layer {name or 'itself'}, {type(layer).__name__},"
    if isinstance(layer, nn.DataParallel | torch.jit.ScriptModule):
        return f"{what} can't be stacked by torch.func; give the module that it was made of"
    if isinstance(layer, _BatchNorm):
        return (
            f"{what} has an item's output depend on the other items of the minibatch, and keeps "
            "statistics of them; use nn.LayerNorm or nn.GroupNorm"
        )
    if isinstance(layer, _InstanceNorm) and layer.track_running_stats:
        return f"{what} keeps running statistics; make it with track_running_stats=False"
    share = layer.p if isinstance(layer, _DropoutNd) else getattr(layer, "dropout", 0.0)
    if isinstance(share, float) and share > 0 and type(layer).__module__.startswith("torch."):
        argument = "p" if isinstance(layer, _DropoutNd) else "dropout"
        return f"{what} draws random numbers of its own; leave it out, or make {argument} 0"
    return ""


def _of_parameter(name: str, parameter: Tensor) -> str:
    what = f"its parameter {name}"
    if is_lazy(parameter):
        return f"{what} isn't made yet; give its layer, a lazy one, the number of its inputs"
    if parameter.device.type != "cpu":
        return f"{what} is on the device {parameter.device}; make it on the CPU: we move it"
    if parameter.dtype != torch.float32:
        return f"{what} is of {parameter.dtype}; it must be of torch.float32"
    return ""


def parameters_of(module: nn.Module) -> dict[str, Tensor]:
    """Returns the parameters of a module by name; of one that it has twice, the first name."""
    return dict(module.named_parameters())


def tensors_of(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Yields what a module holds: `parameter 0.weight` and so on, buffers too."""
    yield from ((f"parameter {name}", tensor) for name, tensor in module.named_parameters())
    yield from ((f"buffer {name}", tensor) for name, tensor in module.named_buffers())


def listed(names: Iterable[str]) -> str:
    """Returns names for a sentence, the first few of them."""
    every = list(names)
    more = len(every) - _SHOWN
    return ", ".join(every[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
