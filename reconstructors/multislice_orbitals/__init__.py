"""Local orbitals as the object of the multislice model: their sliced potential, its gradient, and the fit to diffraction patterns."""
