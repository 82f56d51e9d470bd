"""Which steps an objective gets, on which device."""

import torch

from mimsweep.models.losses.base import Objective
from mimsweep.models.steps import eager
from mimsweep.models.steps.base import Steps
from mimsweep.models.steps.cpu import fused


def steps_for(objective: Objective, device: torch.device, items: int) -> Steps:
    """Returns the fastest steps that there are: compiled ones, or those of torch.

    Args:
        objective: what is minimised.
        device: where.
        items: B of a minibatch.
    """
    if device.type == "cpu":
        return fused if fused.supports(objective) else eager
    from mimsweep.models.steps.gpu import launch  # Triton is there where torch knows a GPU

    return launch if launch.supports(objective, items) else eager
