"""Optuna over the fields of a run: the only importer of optuna."""
