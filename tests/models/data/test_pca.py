"""Fashion-MNIST: files, augmentation against torchvision, components against scikit-learn."""

import gzip
import math
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.utils.extmath import svd_flip
from torch import Tensor
from torchvision.datasets import FashionMNIST
from torchvision.datasets.utils import check_md5
from torchvision.transforms import InterpolationMode, RandomAffine
from torchvision.transforms import functional as tf

from mimsweep.models.data.augment import drawn_maps, epoch_of, items, maps_of
from mimsweep.models.data.base import DataError, Split
from mimsweep.models.data.idx import read
from mimsweep.models.data.loading import load
from mimsweep.models.data.pca import PcaFashionMnist, principal_components
from mimsweep.models.streams import key, uniforms


@pytest.fixture(scope="module")
def fashion(data_dir: Path) -> PcaFashionMnist:
    data = load("pca-fashion-mnist20", data_dir)
    assert isinstance(data, PcaFashionMnist)
    return data


def test_files_are_read_whole(fashion: PcaFashionMnist) -> None:
    images = fashion.images
    assert images.train.shape == (60_000, 784)
    assert images.test.shape == (10_000, 784)
    assert torch.bincount(images.train_labels).tolist() == [6000] * 10
    assert torch.bincount(images.test_labels).tolist() == [1000] * 10
    assert images.train_labels[:5].tolist() == [9, 0, 0, 3, 0]
    # Mean and deviation of the training pixels, as the data set's users know them.
    assert float(images.train.float().mean() / 255) == pytest.approx(0.2860, abs=1e-4)


def test_components_equal_scikit_learn(fashion: PcaFashionMnist) -> None:
    levels = fashion.images.train[:3000]
    mean, components = principal_components(levels)
    theirs = PCA(20, svd_solver="covariance_eigh").fit(levels.double().numpy() / 255)
    np.testing.assert_allclose(mean, theirs.mean_, atol=1e-6)
    signs = np.sign((theirs.components_ * components.numpy().T[:20]).sum(1))
    np.testing.assert_allclose(components[:, :20].T, theirs.components_ * signs[:, None], atol=1e-5)
    largest = components.gather(0, components.abs().argmax(0, keepdim=True))
    assert (largest > 0).all()


def test_projection_of_the_training_images(fashion: PcaFashionMnist) -> None:
    """Not augmented, it has mean 0 and uncorrelated columns of falling variance."""
    x = fashion.projection(fashion.images.train / 255)
    covariance = np.cov(x.T.double())
    assert x.mean(0).abs().max() < 1e-4
    assert np.abs(covariance - np.diag(np.diag(covariance))).max() < 1e-3
    assert (np.diff(np.diag(covariance)) < 0).all()


def test_the_study_projects_test_items_by_components_of_their_own(
    fashion: PcaFashionMnist, data_dir: Path
) -> None:
    study = load("pca-fashion-mnist20-study", data_dir)
    assert isinstance(study, PcaFashionMnist)
    for split in ("train", "knn"):
        assert torch.equal(study.draw(split, 1, 1)[0], fashion.draw(split, 1, 1)[0])
    assert torch.equal(study.draw("test", 1, 1)[0], study.draw("final", 2, 0)[0])
    images = fashion.images
    theirs = []
    for levels in (images.train, images.test):
        x = levels.double().numpy() / 255
        fitted = PCA(20, svd_solver="covariance_eigh").fit(x)
        scores = (x - fitted.mean_) @ fitted.components_.T
        # As PCA itself did until its version 1.4.
        theirs.append(svd_flip(scores, fitted.components_, u_based_decision=True))
    # Training items have our signs here: what theirs differ in, test items have to differ in too.
    ours = np.sign((theirs[0][1] * fashion.projection.components.numpy().T).sum(1))
    expected = theirs[1][0] * ours
    np.testing.assert_allclose(study.draw("test", 1, 1)[0], expected, atol=1e-3)
    assert not np.allclose(expected, fashion.draw("test", 1, 1)[0], atol=1)


def mapped(levels: Tensor, *maps: Tensor) -> Tensor:
    """All of some images, mapped, as levels."""
    everything = maps_of(*maps, torch.ones(len(levels), dtype=torch.bool))
    drawn = items(levels, torch.arange(len(levels)), everything, key("u"), 1, 0)
    return (drawn * 256).to(torch.uint8)  # what dequantising adds is below 1


def items_of(levels: Tensor) -> Tensor:
    """Images as items of a pass, in their own order."""
    maps = drawn_maps(uniforms(("maps",), (6, len(levels))))
    return items(levels, torch.arange(len(levels)), maps, key("u"), 1, 0)


def test_affine_equals_torchvision(fashion: PcaFashionMnist) -> None:
    """But where rounding, another on other processors, decides between two pixels."""
    levels = fashion.images.train[:300]
    draw = RandomAffine(10, (0.1, 0.1), (0.8, 1.2), 5)
    torch.manual_seed(0)
    parameters = [
        draw.get_params([-10, 10], [0.1, 0.1], [0.8, 1.2], [-5, 5], [28, 28]) for _ in levels
    ]
    angle, shift, scale, shear = (torch.tensor(p) for p in zip(*parameters, strict=True))
    radians = angle.deg2rad(), shear[:, 0].deg2rad()
    ours = mapped(levels, radians[0], shift.float().T, scale, radians[1])
    theirs = [
        tf.affine(image.view(1, 28, 28), a, list(t), s, list(h), InterpolationMode.NEAREST)
        for image, (a, t, s, h) in zip(levels, parameters, strict=True)
    ]
    unlike = (ours != torch.stack(theirs).flatten(1)).double().mean()
    assert unlike < 1e-4


def test_affine_that_moves_nothing_or_whole_pixels(fashion: PcaFashionMnist) -> None:
    levels = fashion.images.train[:10]
    zero, one = torch.zeros(10), torch.ones(10)
    assert torch.equal(mapped(levels, zero, torch.zeros(2, 10), one, zero), levels)
    moved = mapped(levels, zero, torch.tensor([[2.0], [-1.0]]).expand(2, 10), one, zero)
    expected = torch.zeros(10, 28, 28, dtype=torch.uint8)
    expected[:, :-1, 2:] = levels.view(10, 28, 28)[:, 1:, :-2]
    assert torch.equal(moved.view(10, 28, 28), expected)


def test_half_of_the_items_are_mapped_all_are_dequantised(fashion: PcaFashionMnist) -> None:
    levels = fashion.images.train[:4000]
    drawn = items_of(levels)
    assert drawn.dtype == torch.float32
    assert drawn.min() == pytest.approx(1e-3)
    assert drawn.max() == pytest.approx(1 - 1e-3)
    floor = (drawn * 256).floor().clamp(0, 255)
    untouched = (floor == levels).double().mean(1) > 0.999  # clamping moves none of its floors
    # Within four deviations of one half; a map of nearly no angle, shift, scale is rare.
    assert untouched.double().mean() == pytest.approx(0.5, abs=4 * 0.5 / math.sqrt(4000))
    noise = (drawn * 256 - floor)[(levels > 0) & (levels < 255) & untouched[:, None]]
    assert float(noise.mean()) == pytest.approx(0.5, abs=0.01)
    assert float(noise.var()) == pytest.approx(1 / 12, abs=0.005)


def test_maps_span_the_ranges(fashion: PcaFashionMnist) -> None:
    """A square moves by up to 2.8 pixels, rounded to 3; its side is 8 to 12, or a pixel off."""
    square = torch.zeros(28, 28, dtype=torch.uint8)
    square[9:19, 9:19] = 255
    drawn = items_of(square.flatten().expand(4000, 784)).view(-1, 28, 28)
    lit = (drawn > 0.5).double()
    area = lit.sum((1, 2))
    at = torch.arange(28).double() - 13.5
    for along in (1, 2):
        centre = (lit.sum(3 - along) * at).sum(1) / area
        moved = centre.abs().max()
        assert 2.9 < moved < 3.6
    assert 7**2 < area.min() < 8.5**2
    assert 11.5**2 < area.max() < 13**2


def test_what_is_subtracted_from_items(fashion: PcaFashionMnist) -> None:
    levels, mean = fashion.images.train[:400], fashion.projection.mean
    (_, plain), (_, less) = (epoch_of(levels, ("n",), 3, m) for m in (None, mean))
    assert torch.equal(torch.cat(list(plain)) - mean, torch.cat(list(less)))


@pytest.mark.parametrize("split", ["train", "knn"])
def test_an_epoch_is_shuffled_and_new(fashion: PcaFashionMnist, split: Split) -> None:
    x, labels = fashion.draw(split, 1, 1)
    again, again_labels = fashion.draw(split, 1, 1)
    assert x.shape == (60_000, 20)
    assert x.dtype == torch.float32
    assert torch.equal(x, again)
    assert torch.equal(labels, again_labels)
    assert torch.bincount(labels).tolist() == [6000] * 10
    assert not torch.equal(labels, fashion.images.train_labels)
    assert not torch.equal(x, fashion.draw(split, 1, 2)[0])


def test_items_keep_their_labels(fashion: PcaFashionMnist) -> None:
    """Class means of the augmented items lie near those of the images, each nearest its own."""
    x, labels = fashion.draw("train", 1, 1)
    plain = fashion.projection(fashion.images.train / 255)

    def means(points: Tensor, of: Tensor) -> Tensor:
        return torch.stack([points[of == c].mean(0) for c in range(10)])

    apart = torch.cdist(means(x, labels), means(plain, fashion.images.train_labels))
    assert apart.argmin(1).tolist() == list(range(10))


def test_test_items_are_fixed_and_only_scaled(fashion: PcaFashionMnist) -> None:
    x, labels = fashion.draw("test", 1, 1)
    other, other_labels = fashion.draw("final", 2, 7)
    assert torch.equal(x, other)
    assert torch.equal(labels, other_labels)
    assert x.shape == (10_000, 20)
    expected = fashion.projection(fashion.images.test[7] / 255)
    torch.testing.assert_close(x[7], expected, rtol=1e-4, atol=1e-5)
    assert fashion.log_prob(x) is None


def test_fewer_components_are_the_first(fashion: PcaFashionMnist, data_dir: Path) -> None:
    few = load("pca-fashion-mnist3", data_dir)
    assert (few.dims, few.classes) == (3, 10)
    x = few.draw("test", 1, 1)[0]
    torch.testing.assert_close(x, fashion.draw("test", 1, 1)[0][:, :3], rtol=1e-4, atol=1e-5)


def test_missing_files_and_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FashionMNIST, "mirrors", ["http://127.0.0.1:9/"])
    with pytest.raises(DataError, match=r"put train-images-idx3-ubyte\.gz.*MIMSWEEP_DATA_DIR"):
        load("pca-fashion-mnist2", tmp_path)
    assert list((tmp_path / "FashionMNIST" / "raw").iterdir()) == []


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="MIMSWEEP_DATA_DIR"):
        load("pca-fashion-mnist2", tmp_path / "file")


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def mirror(data_dir: Path) -> Iterator[str]:
    """A web server of the files."""
    folder = data_dir / "FashionMNIST" / "raw"
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=folder)) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def test_download(mirror: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two at once, as two workers would; nothing but the files stays."""
    monkeypatch.setattr(FashionMNIST, "mirrors", [mirror])
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda k: load(f"pca-fashion-mnist{k}", tmp_path), (2, 3))
    assert (first.dims, second.dims) == (2, 3)
    names = {path.name for path in (tmp_path / "FashionMNIST" / "raw").iterdir()}
    assert names == {name for name, _ in FashionMNIST.resources}


def test_only_what_is_missing_is_downloaded(
    mirror: str, data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FashionMNIST, "mirrors", ["http://127.0.0.1:9/", mirror])
    folder = tmp_path / "FashionMNIST" / "raw"
    folder.mkdir(parents=True)
    *there, (missing, md5) = FashionMNIST.resources
    for name, _ in there:
        (folder / name).symlink_to(data_dir / "FashionMNIST" / "raw" / name)
    images = read(tmp_path)
    assert images.test_labels.shape == (10_000,)
    assert all((folder / name).is_symlink() for name, _ in there)
    assert check_md5(folder / missing, md5)


def test_files_that_are_all_there_are_read_without_a_write(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their folder stays as it was, and what was unpacked elsewhere is gone."""
    monkeypatch.setattr(FashionMNIST, "mirrors", ["http://127.0.0.1:9/"])
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    folder = data_dir / "FashionMNIST" / "raw"
    before = folder.stat().st_mtime_ns
    assert read(data_dir).train.shape == (60_000, 784)
    assert folder.stat().st_mtime_ns == before
    assert list(tmp_path.iterdir()) == []


def test_another_file_of_that_name(
    mirror: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It's refused and left as it is, though the right one could be downloaded."""
    monkeypatch.setattr(FashionMNIST, "mirrors", [mirror])
    folder = tmp_path / "FashionMNIST" / "raw"
    folder.mkdir(parents=True)
    for (name, _), content in zip(
        FashionMNIST.resources,
        (b"", b"", b"not gzip", gzip.compress(b"\0\0\10\1\0\0\0\0")),
        strict=True,
    ):
        (folder / name).write_bytes(content)
        with pytest.raises(DataError, match=f"{name} is not the file of Fashion-MNIST"):
            load("pca-fashion-mnist2", tmp_path)
        assert [path.name for path in folder.iterdir()] == [name]
        assert (folder / name).read_bytes() == content
        (folder / name).unlink()
