"""The machinery of memory fields: formulas and scripts that know neither fields nor models."""
