"""Reconstruction algorithms, one per file, over a few shared kernels."""
