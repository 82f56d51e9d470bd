"""Where cohorts run: one small protocol, one module per place."""
