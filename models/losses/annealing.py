"""Schedules of β, by epoch.

Of M cycles (Fu et al., arXiv 1903.10145, section 3.2, with their R = ½) each has 2w epochs: β
rises for w of them and stays for w more. They divide a training of known length into M cycles. A
run of ours stops when it gets no better, so the cycles come first, as long as w says, and after the
last one β stays.
"""


def annealed_beta(warmup: int, epoch: int, cycles: int = 1) -> float:
    """Returns β of `epoch` (from 1), as a share of where it ends: min(1, e/w), of each cycle."""
    past = min((epoch - 1) // (2 * warmup), cycles - 1)
    return min(1.0, (epoch - 2 * warmup * past) / warmup)


def settled(warmup: int, cycles: int = 1) -> int:
    """Returns the epoch from which β stays: w, and of M cycles (2M − 1)·w."""
    return (2 * cycles - 1) * warmup
