"""Scores of several signals as one: what composite.lua is sent, and its script."""
