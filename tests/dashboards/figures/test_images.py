from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from mimsweep.dashboards.drawing.canvas import save, title_of
from mimsweep.dashboards.figures.images import ImageScene, images_figure
from mimsweep.dashboards.figures.latent import Column


def scene(seed: int = 0, classes: int = 10, pseudo_inputs: int = 5) -> ImageScene:
    rng = np.random.default_rng(seed)
    return ImageScene(
        images=rng.uniform(size=(40, 28, 28)),
        reconstructed=rng.uniform(size=(40, 28, 28)),
        samples=rng.uniform(size=(64, 28, 28)),
        pseudo_inputs=rng.uniform(size=(pseudo_inputs, 28, 28)),
        plane=rng.normal(size=(60, 2)),
        labels=np.arange(60) % classes,
    )


SCENES: dict[Column, ImageScene] = {
    ("convHVAE", "prior = standard"): scene(0, pseudo_inputs=0),
    ("convHVAE", "prior = vampprior"): scene(1),
}


def sheet(figure: Figure, row: int, column: int) -> np.ndarray:
    (shown,) = figure.axes[4 * row + column].images
    return np.asarray(shown.get_array())


def tile(figure: Figure, row: int, column: int, index: int) -> np.ndarray:
    top, left = index // 8 * 30, index % 8 * 30
    return sheet(figure, row, column)[top : top + 28, left : left + 28]


def test_images_stand_over_their_reconstructions() -> None:
    figure = images_figure(SCENES, "learned")
    drawn = SCENES["convHVAE", "prior = vampprior"]
    for index in (0, 7, 8, 31):
        above = index // 8 * 16 + index % 8
        assert np.array_equal(tile(figure, 1, 0, above), drawn.images[index])
        assert np.array_equal(tile(figure, 1, 0, above + 8), drawn.reconstructed[index])
    assert np.array_equal(tile(figure, 1, 1, 63), drawn.samples[63])


def test_a_prior_without_pseudo_inputs_says_so_and_few_leave_the_rest_empty() -> None:
    figure = images_figure(SCENES, "learned")
    without, some = figure.axes[2], figure.axes[6]
    assert not without.images
    assert [text.get_text() for text in without.texts] == ["none"]
    assert len(some.images) == 1
    drawn = SCENES["convHVAE", "prior = vampprior"].pseudo_inputs
    assert np.array_equal(tile(figure, 1, 2, 4), drawn[4])
    assert (tile(figure, 1, 2, 5) == 1).all()


def test_latents_have_the_colours_of_their_classes() -> None:
    figure = images_figure(SCENES, "learned")
    (legend,) = figure.legends
    (points,) = figure.axes[3].collections
    colours = {
        text.get_text(): to_hex(handle.get_color())  # type: ignore[attr-defined]
        for text, handle in zip(legend.get_texts(), legend.get_lines(), strict=True)
    }
    assert list(colours) == [str(label) for label in range(10)]
    drawn = [to_hex(colour) for colour in points.get_facecolors()]  # type: ignore[attr-defined]
    assert drawn == [colours[str(label % 10)] for label in range(60)]


def test_many_classes_are_counted_instead_of_named() -> None:
    figure = images_figure({("a", ""): scene(classes=55)}, "learned", "of Omniglot")
    assert not figure.legends
    assert "(55 of them)" in figure.get_supxlabel()
    assert figure.get_supxlabel().startswith("of Omniglot")
    assert title_of(figure) == "learned"


@pytest.mark.parametrize("ending", ["png", "svg"])
def test_the_same_input_gives_the_same_bytes(tmp_path: Path, ending: str) -> None:
    for name in ("a", "b"):
        save(images_figure(SCENES, "learned"), tmp_path, name)
    assert (tmp_path / f"a.{ending}").read_bytes() == (tmp_path / f"b.{ending}").read_bytes()
