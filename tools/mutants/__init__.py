"""Which lines could be wrong without any test noticing: `make mutants`."""
