"""Random streams named by what they are for.

A stream is a function of its name alone, so a run's numbers depend neither on the runs beside it
nor on the epochs drawn before: epoch 7 of seed 3 can be drawn at any time, by any process.
"""

import hashlib

import torch


def generator(*name: str | int) -> torch.Generator:
    """Returns the CPU generator of the stream called `name`.

    Args:
        name: what the stream is for, for example `("noise", seed, epoch)`. Streams of different
            names are independent; equal names give equal streams.
    """
    digest = hashlib.sha256(repr(name).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little", signed=True))
