"""Local orbitals, atoms as Gaussians under probes: the model and its engines, where orbitals come from, and the fit."""
