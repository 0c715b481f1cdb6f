"""Specimens: the ground truth, one kind per file."""
