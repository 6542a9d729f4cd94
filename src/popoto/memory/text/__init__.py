"""Texts taken apart: words, in the form in which they are compared."""
