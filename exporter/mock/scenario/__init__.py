"""Scenarios and profiles from YAML files, with the checks that name file, key and reason."""
