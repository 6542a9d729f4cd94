"""Histories of records: their entries, and how they explain today's numbers."""
