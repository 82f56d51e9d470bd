"""One invocation: cohorts to engines, events to the store and the view, faults and signals."""
