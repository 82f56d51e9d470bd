"""Steps on a CPU: compiled loops, run by run, with a gradient by hand."""
