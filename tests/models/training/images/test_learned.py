"""What a run of images has learned is what it measures."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from mimsweep.models.data.binarised import ImageSet, load_images
from mimsweep.models.measures.images import likelihood
from mimsweep.models.training.images.cohort import ImageCohort
from mimsweep.models.training.images.learned import learned_images
from mimsweep.models.training.images.run import floats
from tests.models.training.images.test_cohort import COHORT, STANDARD


@pytest.fixture(scope="module")
def digits(data_dir: Path) -> ImageSet:
    return load_images("dynamic_mnist", data_dir, COHORT.train_items, 20)


@torch.no_grad()
@pytest.mark.parametrize("cohort", [COHORT, STANDARD], ids=["vampprior", "pixels"])
def test_log_prob_is_the_runs_likelihood(cohort: ImageCohort, digits: ImageSet) -> None:
    cohort = replace(cohort, runs=cohort.runs[:1])
    net = cohort.architecture.initial(1, digits.train, from_images=True)
    weights = {name: tensor.contiguous() for name, tensor in floats(net).items()}
    net.eval()
    told = likelihood(net, digits.test, cohort.runs[0].seed, samples=3)
    found = learned_images(cohort, weights)
    log_p_x = found.log_prob(digits.test.float(), 3, cohort.runs[0].seed)
    # Another layout of the convolutions' weights than here: other sums.
    assert float(log_p_x.double().mean()) == pytest.approx(told["log_likelihood"], rel=1e-5)
    assert not torch.equal(log_p_x, found.log_prob(digits.test.float(), 3, seed=9))


@torch.no_grad()
def test_many_samples_are_not_the_same_few_again(digits: ImageSet) -> None:
    """They are decoded 250 at once."""
    net = COHORT.architecture.initial(1, digits.train, from_images=True)
    drawn = learned_images(COHORT, floats(net)).sample(260, seed=1)
    assert drawn.shape == (260, 784)
    assert len(drawn.unique(dim=0)) == 260


def test_weights_of_another_run_are_refused(digits: ImageSet) -> None:
    net = COHORT.architecture.initial(1, digits.train, from_images=True)
    with pytest.raises(ValueError, match="has the shape"):
        learned_images(replace(COHORT, z_dim=5), floats(net))
