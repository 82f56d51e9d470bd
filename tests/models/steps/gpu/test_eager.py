"""Eager steps on a GPU that isn't there: torch works out devices and shapes, and computes nothing.

A tensor that was left on the CPU is refused, as by a GPU.
"""

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from mimsweep.models.losses.base import Noise, Objective
from mimsweep.models.losses.named import objective as make_objective
from mimsweep.models.nets.latent import LatentModel, Options
from mimsweep.models.steps import eager
from mimsweep.models.steps.adam import Adam
from mimsweep.models.steps.base import Minibatches, Schedule

MODEL = LatentModel(3, 2, 4, 2, "tanh", 0.05)
OBJECTIVES = {
    "mim": make_objective("mim", MODEL),
    "mim inv_h": make_objective("mim", MODEL, inv_h=True),
    "mim marginal": make_objective("mim", MODEL, q_x_samples="marginal"),
    "amim": make_objective("amim", MODEL),
    "vae": make_objective("vae", MODEL),
    "ae": make_objective("ae", replace(MODEL, fixed_encoder_scale=True)),
    "bits": make_objective("vae", replace(MODEL, binary=True)),
    **{
        str(options): make_objective("mim", replace(MODEL, options=options))
        for options in (
            Options(p_z="prior", learn_p_z=True),
            Options(p_z="prior", p_z_gmm=6),
            Options(p_z="gmm-marginal", p_z_gmm=3, q_zx_gmm=2),
            Options(p_z="marginal", q_x="prior"),
            Options(q_x="prior", q_x_gmm=6),
            Options(q_x="gmm-marginal", q_x_gmm=3, p_xz_gmm=2),
        )
    },
}
RUNS, ITEMS, STEPS = 3, 32, 2


def drawn(objective: Objective, *shape: int) -> dict[str, Tensor]:
    """Noise of an objective on a GPU."""
    names = objective.noise_names(decoder_samples=True)
    sizes = {name: 3 if name == "x" else 2 for name in names}
    return {
        name: torch.randn(*shape, size + (name in objective.model.choices), device="cuda")
        for name, size in sizes.items()
    }


def gradients(loss: Tensor, weights: list[Tensor], **_: bool) -> list[Tensor]:
    assert loss.requires_grad
    return [torch.zeros_like(weight) for weight in weights]


@pytest.mark.parametrize("name", OBJECTIVES)
def test_nothing_is_left_on_the_cpu(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # What asks the driver: pinned memory, and autograd, whose gradients are where weights are.
    monkeypatch.setattr(Tensor, "pin_memory", lambda tensor: tensor)
    monkeypatch.setattr(torch.autograd, "grad", gradients)
    objective = OBJECTIVES[name]
    with FakeTensorMode(allow_non_fake_inputs=False):
        shapes = objective.model.shapes()
        width = sum(torch.Size(shape).numel() for shape in shapes.values())
        weights = torch.randn(RUNS, width, device="cuda")
        x = torch.randn(STEPS, RUNS, ITEMS, 3, device="cuda")
        noise = Noise(**drawn(objective, STEPS, RUNS, ITEMS))
        batches, adam = Minibatches(x, noise, ITEMS), Adam.zeros(weights)
        schedule = Schedule(
            torch.ones(RUNS, 1), *adam.coefficients([1e-3] * RUNS, [0] * RUNS, STEPS)
        )
        tested = eager.test_steps(objective, weights, batches)
        trained = eager.train_steps(objective, weights, adam, batches, schedule)
    for losses in (tested, trained):
        assert (losses.device.type, losses.shape) == ("cuda", (RUNS,))


def test_a_tensor_on_the_cpu_is_found() -> None:
    with FakeTensorMode(), pytest.raises(RuntimeError, match="device"):
        _ = torch.randn(2, device="cuda") + torch.randn(2)
