"""The kinds of stages, a file each: specimen → image → series → preprocessing → reconstruction → atoms → scores → metrics."""
