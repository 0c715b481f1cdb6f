"""Measured data: tilt series in files of any registered format, and what a scenario says about them."""
