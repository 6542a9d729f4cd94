"""Recall: the plan of `recall`, in parts."""
