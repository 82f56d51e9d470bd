"""Adds data sets, losses, networks and densities of your own, by name: a call each.

What they are held to, with an example of each: docs/extending.md.
"""

from mimsweep.models.registry import data, density, loss, network

__all__ = ["data", "density", "loss", "network"]
