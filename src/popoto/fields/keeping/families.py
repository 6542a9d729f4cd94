"""Families of keys: where the index entries of one kind stand, so that upkeep finds them all.

A field says which families it keeps (`Field.key_families`), as it says which entries a
value makes. Checking, cleaning and rebuilding walk over the families of a model; they
know no field class.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from popoto.engine.batch import Batch, KeyArgument
from popoto.engine.keys import SEPARATOR, unescape

#: How a key holds record keys: as members, as members with scores, as values of a hash
#: (a composite index), as the fields of a hash (a companion kept for all records), or not at all
#: ("whole": what is kept of all records together).
Layout = Literal["set", "zset", "hash", "names", "whole"]


@dataclass(frozen=True, slots=True)
class KeyFamily:
    """The keys of one kind that a field, or the model itself, keeps.

    `section`, `name`  where the result of `check_indexes` counts its entries; a section of
                       "" is kept in order but not counted
    `stem`             the key, or what it begins with
    `layout`           how the key holds record keys
    `is_open`          whether further parts may follow the stem (a value, a partition)
    `derived`          whether the entries are those of `Field.entries`, so that they can be
                       compared with what the records hold; other families only lose the
                       entries of missing records
    `suffix`           what the key ends with, after the stem and those parts
    `of_companions`    whether it holds what records have beside their values, and new ones have not
    `foreign`          whether members may be other keys than those of the model's records
    `source`           the field whose values decide the entries, if it is not `name`
    `listed_in`        a set that names the parts which follow the stem, except for "default"
    `text_lists`       of a field that lists its distinct texts: its name, the key of the
                       list and the key that counts what the list covers
    """

    section: str
    name: str
    stem: str
    layout: Layout
    is_open: bool = False
    derived: bool = True
    suffix: str = ""
    of_companions: bool = False
    foreign: bool = False
    source: str = ""
    listed_in: str = ""
    text_lists: tuple[str, KeyArgument, KeyArgument] | None = None

    def holds(self, key: str) -> bool:
        """Whether a key belongs to this family (another layout may still rule it out)."""
        if self.suffix:
            if not key.endswith(self.suffix):
                return False
            key = key[: -len(self.suffix)]
        return key == self.stem or (self.is_open and key.startswith(self.stem + SEPARATOR))

    def unlisted(self, key: str) -> str:
        """The part of a key that the set of parts has to name; "" where there is none."""
        part = key[len(self.stem) + 1 :] if self.listed_in else ""
        return "" if part == "default" else part

    def remove(self, batch: Batch, key: str, item: str, member: str) -> None:
        """Queue the removal of one entry; `item` is the hash field it stands under."""
        if self.layout == "zset":
            batch.put("ZREM", key, member)
        elif self.layout == "hash":
            batch.put("HDELIF", key, item, member)
        elif self.layout == "names":
            batch.put("HDEL", key, member)
        elif self.text_lists is None:
            batch.put("SREM", key, member)
        else:
            field_name, values_key, coverage_key = self.text_lists
            part = key[len(self.stem) + 1 :]
            batch.put(
                "LEAVE",
                key,
                member,
                values_key,
                coverage_key,
                field_name,
                unescape(part),
                0 if part == "None" else 1,
            )


def companion_family(
    name: str, stem: str, layout: Layout = "names", *, suffix: str = "", is_open: bool = True
) -> KeyFamily:
    """Of what records have beside their values: `CompanionEntry`, in all partitions if open."""
    return KeyFamily(
        "companions",
        name,
        stem,
        layout,
        is_open=is_open,
        derived=False,
        suffix=suffix,
        of_companions=True,
    )


@dataclass(frozen=True, slots=True)
class CompanionFamily:
    """Keys of their own that records have: `prefix`, the record's key, `suffix`."""

    prefix: str
    suffix: str

    def record_of(self, key: str) -> str | None:
        """The key of the record that a key belongs to, or None for another kind of key."""
        size = len(self.prefix) + len(self.suffix)
        if len(key) <= size or not key.startswith(self.prefix) or not key.endswith(self.suffix):
            return None
        return key[len(self.prefix) : len(key) - len(self.suffix)]
