"""Tracing, classification, matching and scores: pure functions of volumes and atoms."""
