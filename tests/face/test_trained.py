"""The model of a run, against what the run measured of itself."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

import mimsweep as ms
from mimsweep.models.nets.hvae import Architecture
from mimsweep.models.training.images.learned import LearnedImages

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")


@pytest.fixture(params=[0, 1], ids=["mim", "vae"])
def run(request: pytest.FixtureRequest, sweep: ms.Sweep) -> ms.Run:
    return sweep.runs[request.param]


def measured(sweep: ms.Sweep, run: ms.Run, metric: str) -> float:
    return float(sweep.results().set_index("run_key").loc[run.run_key, metric])


def test_data_are_the_items_that_were_measured(run: ms.Run) -> None:
    x, labels = run.data()
    assert (x.shape, x.dtype) == ((9984, 2), np.float32)
    assert (labels.shape, labels.dtype) == ((9984,), np.int64)
    assert sorted(set(labels)) == [0, 1, 2, 3, 4]


def test_log_prob_by_one_sample_has_the_mean_nll(sweep: ms.Sweep, run: ms.Run) -> None:
    """Other draws of z: within five standard errors of both means."""
    estimate = run.model().log_prob(run.data()[0], samples=1).astype(float)
    error = 5 * math.sqrt(2) * estimate.std() / math.sqrt(len(estimate))
    assert -estimate.mean() == pytest.approx(measured(sweep, run, "nll"), abs=error)


def test_more_samples_come_nearer_from_below(run: ms.Run) -> None:
    model, (x, _) = run.model(), run.data()
    one, many = (model.log_prob(x[:2000], samples).mean() for samples in (1, 200))
    assert one < many


def test_samples_of_latents_and_items_have_the_error_that_was_measured(
    sweep: ms.Sweep, run: ms.Run
) -> None:
    model, (x, _) = run.model(), run.data()
    again = model.decode(model.encode(x).sample()).sample()
    distance = np.linalg.norm(x - again, axis=1)
    error = 5 * math.sqrt(2) * float(distance.std()) / math.sqrt(len(x))
    assert distance.mean() == pytest.approx(measured(sweep, run, "rmse"), abs=error)


def test_rate_is_that_of_the_encoders_means_and_scales(sweep: ms.Sweep, run: ms.Run) -> None:
    """KL(N(μ, σ²) ‖ N(0, 1)) summed over dimensions, in its mean over the items."""
    density = run.model().encode(run.data()[0])
    mean, scale = density.mean.astype(float), density.scale.astype(float)
    kl = (mean**2 + scale**2 - 1) / 2 - np.log(scale)
    assert kl.sum(1).mean() == pytest.approx(measured(sweep, run, "rate"), rel=1e-5)


def test_samples_are_drawn_by_seed(run: ms.Run) -> None:
    model = run.model()
    drawn = model.sample(1000)
    assert (drawn.shape, drawn.dtype) == ((1000, 2), np.float32)
    assert np.array_equal(drawn, model.sample(1000, seed=1))
    assert not np.array_equal(drawn, model.sample(1000, seed=2))
    density = model.decode([[0.0, 1.0]] * 20_000)
    some = density.sample(seed=3)
    assert not np.array_equal(some, density.sample(seed=4))
    np.testing.assert_allclose(some.mean(0), density.mean[0], atol=5 * density.scale.max() / 141)
    np.testing.assert_allclose(some.std(0), density.scale[0], rtol=0.05)


def test_one_item_has_no_axis_of_items(run: ms.Run) -> None:
    model, (x, _) = run.model(), run.data()
    q_z, q_z_all = model.encode(x[7]), model.encode(x)
    assert q_z.mean.shape == q_z.scale.shape == q_z.sample().shape == (2,)
    np.testing.assert_allclose(q_z.mean, q_z_all.mean[7], rtol=1e-5)
    assert model.decode(q_z.mean).mean.shape == (2,)
    assert model.log_prob(x[0]).shape == ()
    np.testing.assert_allclose(model.log_prob(x[0]), model.log_prob(x[:3])[0], rtol=1e-5)


def test_whatever_numpy_makes_an_array_of_goes_in(run: ms.Run) -> None:
    model, (x, _) = run.model(), run.data()
    expected = model.encode(x[:5]).mean
    for given in (
        x[:5].tolist(),
        x[:5].astype(np.float64),
        np.asfortranarray(x[:5]),
        torch.from_numpy(x[:5]).double().requires_grad_(),
    ):
        np.testing.assert_allclose(model.encode(given).mean, expected, rtol=1e-5)
    assert model.encode(np.ones((4, 2), int)).mean.shape == (4, 2)


def test_the_callers_torch_is_left_as_it_was(run: ms.Run) -> None:
    threads = torch.get_num_threads()
    torch.set_default_dtype(torch.float64)
    try:
        assert run.model().sample(3).dtype == np.float32
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda m: m.encode(np.zeros((4, 3))), "x has the shape (4, 3); it must be (2,) or (N, 2)"),
        (lambda m: m.log_prob(0.5), "x has the shape (); it must be (2,) or (N, 2)"),
        (lambda m: m.decode(np.zeros((1, 1, 2))), "z has the shape (1, 1, 2); it must be (2,)"),
        (lambda m: m.encode(["a", "b"]), "x is made of <U1; it must be real numbers"),
        (lambda m: m.encode([1j, 0]), "x is made of complex128; it must be real numbers"),
        (lambda m: m.sample(0), "n: 0 is not allowed; it must be at least 1"),
        (lambda m: m.log_prob([0, 0], samples=0), "samples: 0 is not allowed; it must be at least"),
    ],
)
def test_what_can_not_be_taken_is_told(call: object, sentence: str, run: ms.Run) -> None:
    assert callable(call)
    with pytest.raises(ms.MimsweepError) as told:
        call(run.model())
    assert str(told.value).startswith(sentence)


def test_a_run_that_is_not_complete_has_no_model(sweep: ms.Sweep) -> None:
    other = ms.load("s.yaml", ["seed=7"]).runs[0]
    with pytest.raises(ms.MimsweepError, match=r"s7-.* is not complete: it has no weights yet"):
        other.model()
    assert other.data()[0].shape == (9984, 2)


def test_weights_that_are_gone_or_cut_off_are_told(sweep: ms.Sweep, trained: Path) -> None:
    run, run_id = sweep.runs[3], sweep.results()["run_id"][3]
    (weights,) = trained.rglob(f"{run_id}/artifacts/weights.safetensors")
    content = weights.read_bytes()
    try:
        weights.write_bytes(content[:-100])
        with pytest.raises(ms.MimsweepError, match=rf"\(MLflow run {run_id}\): .*can't be used"):
            run.model()
        weights.unlink()
        with pytest.raises(ms.MimsweepError, match=r"its weights\.safetensors is not in the store"):
            run.model()
    finally:
        weights.write_bytes(content)
    assert run.model().z_dim == 2


def test_a_model_of_images_has_samples_and_likelihoods() -> None:
    images = torch.zeros(3, 784)
    net = Architecture("convhvae_2level", 4, 0).initial(1, images, from_images=False)
    model = ms.Model("a run", LearnedImages(net.eval()), 784, 4)
    assert model.sample(5).shape == (5, 784)
    assert model.log_prob(images, samples=2).shape == (3,)
    for call in (lambda: model.encode(images), lambda: model.decode(np.zeros(4))):
        with pytest.raises(ms.MimsweepError, match="a run is a model of images, with latents z1"):
            call()
