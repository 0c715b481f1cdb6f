"""Measured data: tilt series in files of any registered format, and the sections of a scenario that describe them."""
