"""Claims of a sweep file: what stands in one, and which keys go together."""
