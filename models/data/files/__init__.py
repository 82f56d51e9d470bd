"""Data files of a user's (docs/data_files.md): read, checked, split, kept as what is trained on."""
