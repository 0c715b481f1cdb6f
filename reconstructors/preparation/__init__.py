"""Steps that prepare a tilt series before a tomographic method sees it (`prepare:` in a scenario), one per file."""
