"""Losses by name."""

from collections.abc import Mapping

from mimsweep.models.losses.ae import ae
from mimsweep.models.losses.base import LossFunction, Objective
from mimsweep.models.losses.cmim import cmim
from mimsweep.models.losses.method import PLAIN, Method
from mimsweep.models.losses.mim import amim, mim
from mimsweep.models.losses.users import users_loss
from mimsweep.models.losses.vae import vae
from mimsweep.models.nets.latent import LatentModel
from mimsweep.models.parts import NO_FIELDS, Value

LOSSES: dict[str, LossFunction] = {
    "mim": mim,
    "amim": amim,
    "vae": vae,
    "ae": ae,
    "cmim": cmim,
}


def loss_function(name: str) -> LossFunction:
    """Returns the loss called `name`, ours or a user's."""
    return LOSSES[name] if name in LOSSES else users_loss(name)


def objective(
    loss: str,
    model: LatentModel,
    inv_h: bool = False,
    q_x_samples: str = "conditional",
    pairs: bool = False,
    declared: Mapping[str, Value] = NO_FIELDS,
    items: int = 0,
    method: Method = PLAIN,
) -> Objective:
    """Returns what runs minimise by the loss of that name; arguments as for `Objective`."""
    function = loss_function(loss)
    return Objective(loss, function, model, inv_h, q_x_samples, pairs, declared, items, method)
