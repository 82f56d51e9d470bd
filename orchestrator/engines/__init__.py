"""Where cohorts train: one protocol, and its engines."""
