"""A page for every cell: scores, atoms in three dimensions, slices, histogram, curves, provenance, and the log of a failure."""
