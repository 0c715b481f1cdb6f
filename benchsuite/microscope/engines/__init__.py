"""The simulation engines that are built in, one a file."""
