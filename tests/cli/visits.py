"""The models of `written_by_others`."""

from __future__ import annotations

import datetime

from popoto import DatetimeField, IndexedField, KeyField, Model, SortedField, TimeField, UniqueField


class Visit(Model):
    name = KeyField()
    state = IndexedField(null=True)
    chip = UniqueField()
    due = SortedField(type=datetime.datetime)
    seen = DatetimeField(null=True)
    hour = TimeField(null=True)


class Slot(Model):
    at = KeyField(type=datetime.datetime)
