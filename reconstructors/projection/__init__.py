"""Projections along the beam and their adjoint: the projector, and its kernels for CPU cores and CUDA devices."""
