"""Cohorts of two-level image models, trained one run after the other."""
