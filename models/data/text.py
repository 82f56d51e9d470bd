"""Toy mixtures that write a text.

`toy<TEXT>` has a Gaussian of σ = (1/W, 1/H) at each pixel that Pillow's small bitmap
font lights when it writes TEXT, W×H pixels: at ((u/W − 0.45)·3.6, (v/H − 0.45)·3.6), v upwards.
"""

import numpy as np
import torch

from mimsweep.models.data.toys import ToyMixture


def text_mixture(name: str, text: str) -> ToyMixture:
    """Returns the mixture whose components are the pixels of a text."""
    from PIL import Image, ImageDraw, ImageFont  # of all data sets this one alone needs it

    font = ImageFont.load_default_imagefont()
    left, top, right, bottom = (round(edge) for edge in font.getbbox(text))
    width, height = right - left, bottom - top
    image = Image.new("1", (width, height))
    ImageDraw.Draw(image).text((0, 0), text, fill=1, font=font)
    lit = torch.from_numpy(np.array(image, dtype=bool)).flip(0)
    rows, columns = lit.nonzero(as_tuple=True)
    u, v = columns.double() / width, rows.double() / height
    means = torch.stack([(u - 0.45) * 3.6, (v - 0.45) * 3.6], dim=1)
    scale = torch.tensor([1 / width, 1 / height], dtype=torch.float64)
    return ToyMixture(name, means, scale, pairs=name.startswith("T"))
