"""Steps that prepare a tilt series before a tomographic method sees it (`preprocess:` in a scenario), one per file."""
