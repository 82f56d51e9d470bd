"""The compiled sums of a kernel, against torch's operations in float64."""

import pytest
import torch
from torch import Tensor

from mimsweep.models.losses.remedies.infovae import SCALES, mmd
from mimsweep.models.losses.remedies.multiquadric import KernelSums


def expected_sums(z: Tensor, others: Tensor, constants: list[float]) -> Tensor:
    squared = (z.unsqueeze(2) - others.unsqueeze(1)).square().sum(-1)
    return torch.stack([(c / (c + squared)).sum((1, 2)) for c in constants]).sum(0)


@pytest.mark.parametrize("dims", [1, 2, 7, 20])
@pytest.mark.parametrize("items", [2, 33, 128])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_sums_and_slopes_are_those_of_all_pairs(items: int, dims: int, dtype: torch.dtype) -> None:
    torch.manual_seed(items + dims)
    z = (3 * torch.randn(3, items, dims, dtype=dtype)).requires_grad_()
    others = torch.randn(3, items, dims, dtype=dtype)
    exact = z.detach().double().requires_grad_()
    weights = torch.tensor([1.0, -2.0, 0.5], dtype=dtype)
    constants = [2 * dims * scale for scale in SCALES]
    tolerance = {torch.float32: 2e-5, torch.float64: 1e-12}[dtype]
    for other in (others, None):
        sums = KernelSums.apply(z, other, constants)
        pairs = exact if other is None else other.double()
        expected = expected_sums(exact, pairs, constants)
        torch.testing.assert_close(sums.double(), expected, rtol=tolerance, atol=0)
        (gradient,) = torch.autograd.grad((weights * sums).sum(), [z])
        (slopes,) = torch.autograd.grad((weights * expected).sum(), [exact])
        error = (gradient.double() - slopes).abs().max()
        assert error < tolerance * max(1.0, slopes.abs().max().item()) * dims


def test_what_is_no_whole_block_of_memory_is_read_as_it_is() -> None:
    wide = torch.randn(2, 16, 6)
    for part in (wide[:, :9, :4], wide[..., ::2], wide.mT[:, :5]):
        copy = part.contiguous()
        given, whole = (KernelSums.apply(each, None, [1.0]) for each in (part, copy))
        assert torch.equal(given, whole)


def test_a_runs_sum_is_the_same_beside_others() -> None:
    z, prior = torch.randn(4, 128, 5), torch.randn(4, 128, 5)
    together = mmd(z, prior, 128)
    for run in range(4):
        alone = slice(run, run + 1)
        assert torch.equal(mmd(z[alone], prior[alone], 128), together[alone])


def test_padding_does_not_count() -> None:
    z, prior = torch.randn(2, 32, 3), torch.randn(2, 32, 3)
    expected = mmd(z[:, :30].clone(), prior[:, :30].clone(), 30)
    assert torch.equal(mmd(z, prior, 30), expected)


def test_samples_of_one_distribution_are_near_and_of_two_are_not() -> None:
    torch.manual_seed(0)
    z, prior = torch.randn(200, 128, 4), torch.randn(200, 128, 4)
    same = mmd(z, prior, 128)
    assert same.shape == (200, 1)
    assert same.mean().abs() < 5 * same.std() / 200**0.5  # without bias
    assert (mmd(z + 1, prior, 128) > same.max()).all()
