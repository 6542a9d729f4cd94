"""The records on which the truth of indexes is tried: one with an entry of every kind."""

from __future__ import annotations

import math
from typing import Any

from popoto import (
    Field,
    GeoField,
    IndexedField,
    KeyField,
    ListField,
    Model,
    Relationship,
    SortedField,
    StringField,
)


class Shelf(Model):
    name = KeyField()


class Thing(Model):
    """A record with an entry of every kind."""

    part = KeyField()
    number = KeyField(type=int)
    code = Field(type=str, unique=True)
    mood = IndexedField()
    level = IndexedField(type=int)
    weight = SortedField(default=0.0)
    born = SortedField(type=int, default=0, partition_by=("mood",), null=True)
    grade = SortedField(null=True)
    home = GeoField()
    shelf = Relationship(Shelf)
    recent = ListField(max_length=3)
    note = StringField()

    class Meta:
        indexes = ((("mood", "note"), True), (("level", "note"), False))


# Texts that share keys, sets and digests with others, and such as would break a key; equal values
# whose texts differ.
CHOICES: dict[str, list[Any]] = {
    "part": ["p", "p:q", "p{&#58;}q", "None", None],
    "number": [1, 2, True],
    "code": [None, "u", "None", "u:v", "u{&#58;}v", "*?[x]^'-/"],
    "mood": [None, "None", "x", "x:y", "x{&#58;}y", ""],
    "note": [None, "z", "y:z", "\x00é\\"],
    "level": [None, 0, 7, -1, 1, True],
    "weight": [0.0, -0.0, 1.5, math.inf, -math.inf],
    "born": [None, 0, 5, 2**53, 2**53 + 1],
    "grade": [None, 0.0, -0.0, -1.5, math.inf],
    "home": [None, (0.0, 0.0), (52.5, 13.4), (-85.0, 180.0)],
    "shelf": [None, "Shelf:s1", "Shelf:s/-2"],
    "recent": [[], ["a"], ["a", (1, 2), None, 4]],
}
