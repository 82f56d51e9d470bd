"""Which steps an objective gets, on which device."""

import torch

from mimsweep.models.losses.base import Objective
from mimsweep.models.steps import eager
from mimsweep.models.steps.base import Steps
from mimsweep.models.steps.cpu import fused
from mimsweep.models.steps.gpu import graphs


def steps_for(objective: Objective, device: torch.device) -> Steps:
    """Returns the fastest steps that there are for an objective: on a CPU compiled ones."""
    if fused.supports(objective, device):
        return fused
    return graphs.Graphs() if graphs.supports(objective, device) else eager
