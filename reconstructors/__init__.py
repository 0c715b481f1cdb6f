"""Reconstruction algorithms, one per file, over kernels in rooms of their own: projection, multislice, orbitals."""
