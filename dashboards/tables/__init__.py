"""Tables of means over seeds for a paper: which is best, and what can't be told from it."""
