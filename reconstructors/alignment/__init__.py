"""Alignment of the images of a tilt series: coarse steps, and the joint refinement of shifts and angles on volumes."""
