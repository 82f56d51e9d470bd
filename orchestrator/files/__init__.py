"""Sweep and search files, and what a run is, with file:line:column in every error."""
