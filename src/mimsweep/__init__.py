"""Sweeps of latent-variable models, trained as stacks and tracked in MLflow.

`load` reads a sweep file, or a shipped sweep by its name; `register` adds data sets, losses and
densities of your own. Nothing else is promised to stay where it is.
"""
