"""The scenario library: YAML files only, one folder per paper."""
