"""What a run minimises: a file per published method."""
