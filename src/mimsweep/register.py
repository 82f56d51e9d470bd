"""Adds data sets, losses and densities of your own, by name: a call each.

What they are held to, with an example of each: docs/extending.md.
"""

from mimsweep.models.registry import data, density, loss

__all__ = ["data", "density", "loss"]
