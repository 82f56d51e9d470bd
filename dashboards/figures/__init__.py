"""Figures of a sweep: curves, losses by epoch, every run, what was learned."""
