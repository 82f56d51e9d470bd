"""Schedules of β, by epoch."""


def annealed_beta(warmup: int, epoch: int) -> float:
    """Returns β of `epoch` (from 1): min(1, e/w)."""
    return min(1.0, epoch / warmup)
