"""A model for the command line's tests."""

from __future__ import annotations

from popoto import ContentField, KeyField, Model


class Book(Model):
    title = KeyField()
    text = ContentField()
