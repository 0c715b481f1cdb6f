"""Multislice for 4D-STEM with exact gradients: the kernel and its engines, tilted slices, and the model of a tilt series."""
