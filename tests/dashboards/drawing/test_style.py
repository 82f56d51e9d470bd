import itertools

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb

from mimsweep.dashboards.drawing import style
from mimsweep.dashboards.drawing.axes import looks_in

# Machado, Oliveira, Fernandes (2009), severity 1, on linear RGB.
DEFICIENCIES = {
    "none": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
         [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
         [-0.011820, 0.042940, 0.968881]]
    ),
}  # fmt: skip


IMAGE_MODELS = [name for name in style.MODELS if "hvae_" in name]


def lab(colour: str, deficiency: np.ndarray) -> np.ndarray:
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(deficiency @ linear, 0, 1)
    to_xyz = np.array(
        [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    )
    x, y, z = np.cbrt(to_xyz @ seen / to_xyz.sum(axis=1))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("deficiency", DEFICIENCIES)
@pytest.mark.parametrize(
    ("hue", "values"),
    [
        ("model", ["mim", "vae", "amim", "ae", "cmim"]),
        ("model", IMAGE_MODELS),
        ("warmup", [1, 3, 5, 10, 25, 50]),
    ],
)
def test_colours_stay_apart_for_the_colour_blind(
    hue: str, values: list[object], deficiency: str
) -> None:
    colours = [look.colour for look in style.looks(hue, values).values()]
    seen = [lab(colour, DEFICIENCIES[deficiency]) for colour in colours]
    assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2)) > 12


def test_mim_is_blue_and_vae_red_beside_whatever() -> None:
    looks = style.looks("model", ["new", "vae", "mim"])
    assert list(looks) == ["mim", "vae", "new"]
    assert looks["mim"].colour == "#0072B2"
    assert looks["vae"].colour == "#D62728"


def test_models_are_called_after_their_entropy_regulariser() -> None:
    runs = pd.DataFrame({"model": ["vae", "mim", "vae"], "inv_h": [True, True, True]})
    assert {v: look.label for v, look in looks_in(runs, "model").items()} == {
        "mim": "MIM − H",
        "vae": "VAE + H",
    }
    assert looks_in(runs, "model")["mim"].colour == style.MODELS["mim"].colour
    mixed = runs.assign(inv_h=[True, False, True])  # then panels say which
    assert looks_in(mixed, "model") == style.looks("model", ["mim", "vae"])
    assert [look.label for look in looks_in(runs, "inv_h").values()] == ["true"]


def test_image_models_differ_in_colour_marker_and_name() -> None:
    looks = [style.MODELS[name] for name in IMAGE_MODELS]
    assert len(looks) == 7  # all but the refused
    for part in ("colour", "marker", "label", "dashes"):
        assert len({getattr(look, part) for look in looks}) == 7


@pytest.mark.parametrize("count", [1, 6, 7, 15])
def test_every_value_has_its_own_look(count: int) -> None:
    looks = style.looks("warmup", list(range(count)))
    assert len({look.colour for look in looks.values()}) == count
    assert len({look.label for look in looks.values()}) == count


@pytest.mark.parametrize(
    ("given", "written"),
    [(0.001, "0.001"), (2, "2"), (True, "true"), (np.False_, "false"), ("tanh", "tanh")],
)
def test_values_are_written_as_in_a_sweep_file(given: object, written: str) -> None:
    assert style.value(given) == written


def test_unknown_names_are_their_own_labels() -> None:
    assert style.metric("active").label == "active"
    assert style.field("pixel_layers") == "pixel_layers"
