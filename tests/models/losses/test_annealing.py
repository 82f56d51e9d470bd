import pytest

from mimsweep.models.losses.annealing import annealed_beta, settled
from mimsweep.models.losses.method import Method
from mimsweep.models.losses.named import objective
from mimsweep.models.nets.latent import LatentModel

MODEL = LatentModel(3, 2, 4, 2, "tanh", 0.05)


def test_beta_rises_once_and_stays() -> None:
    assert [annealed_beta(4, epoch) for epoch in (1, 2, 4, 5, 99)] == [0.25, 0.5, 1, 1, 1]
    assert settled(4) == 4


def test_beta_rises_in_each_cycle_and_stays_after_the_last() -> None:
    """Half of a cycle it rises, half of it it stays; as arXiv 1903.10145 with R = ½."""
    rise, stay = [0.5, 1.0], [1.0, 1.0]
    assert [annealed_beta(2, epoch, 3) for epoch in range(1, 15)] == [*(rise + stay) * 3, 1, 1]
    assert settled(2, 3) == 10
    assert annealed_beta(1, 1, 2) == annealed_beta(1, 3, 2) == 1


@pytest.mark.parametrize("beta_end", [0.0, 0.5, 1.0, 4.0])
def test_it_rises_to_its_end(beta_end: float) -> None:
    case = objective("vae", MODEL, method=Method(beta_end=beta_end, cycles=2))
    betas = [case.beta(2, epoch) for epoch in (1, 2, 4, 5, 6, 9)]
    assert betas == [beta_end * share for share in (0.5, 1, 1, 0.5, 1, 1)]
    assert case.beta_end == beta_end
    assert case.settled(2) == 6
