"""Indexes tell the truth: checked from outside, after random work, races and kills."""
