"""benchsuite: benchmark suite for atomic electron tomography."""

__version__ = "0.1.0"
