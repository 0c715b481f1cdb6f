"""Local orbitals as the object of the multislice model: sliced potential, gradient, and the fit to patterns."""
