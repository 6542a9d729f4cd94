"""Chores for those who change the code."""
