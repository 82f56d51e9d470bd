"""Intervals over seeds, verdicts on claims, and the comparison with published points."""
