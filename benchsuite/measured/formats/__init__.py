"""Built-in file formats, one file each (entry points `benchsuite.readers`)."""
