"""Cohorts: runs of one shape trained as one stack, epoch by epoch, to their ends."""
