"""What may stand in sweep and search files, as JSON schemas for editors and programs."""
