"""Data sets: what a model learns from, epoch by epoch."""
