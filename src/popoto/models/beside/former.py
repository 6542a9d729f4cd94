"""`Former`: the record that stood under a key before, and what it left.

One that has expired may have left a note of what its entries were made of. Of one that went
otherwise nothing is known but that there was one: by the class set, or by the note `UNTOLD`.
Then what it left is looked for (`leftovers.find_places`) before another record takes the key.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from popoto.engine.batch import Batch
from popoto.engine.request import Plan
from popoto.fields.keeping.entries import Carried, Entry
from popoto.models.beside.belongings import own_keys
from popoto.models.beside.expiry import guard_absent, left_entries, put_forgetting
from popoto.models.beside.leftovers import UNTOLD, Place, find_places
from popoto.models.beside.pointers import put_pointer_removal
from popoto.models.record.options import ModelOptions

__all__ = ["Former"]


@dataclass(slots=True)
class Former:
    """What a writer knows of the record that stood under the key which it is about to take."""

    #: whether the writer has made sure; else its guard asks the class set, too
    is_known: bool = False
    note: bytes = b""
    #: whether there was one that went without a note
    is_orphan: bool = False
    #: where it still stands
    places: Sequence[Place] = ()
    #: whether these are still to be found
    is_wanted: bool = False

    def take(self, note: bytes) -> None:
        """There is this note, or none."""
        self.note = note
        if note == UNTOLD:
            self.follow()

    def follow(self) -> None:
        """There was one that went without a note."""
        self.is_known = self.is_orphan = self.is_wanted = True

    def find(self, options: ModelOptions, key: str) -> Plan[None]:
        """Look for what it left."""
        self.is_wanted = False
        self.places = yield from find_places(options, key)

    def guard(self, batch: Batch, options: ModelOptions, key: str) -> None:
        """Demand that no record is stored under the key, and none was but the one that is known."""
        guard_absent(batch, options, key, self.note, known=self.is_known)

    def put_keys_away(self, batch: Batch, options: ModelOptions, key: str) -> None:
        """Queue that the keys of its own go, which the new record has in their place."""
        if self.is_orphan or self.note:
            for own in own_keys(options, key).values():
                batch.put("DEL", own)
            put_pointer_removal(batch, options, key)

    def put_away(self, batch: Batch, options: ModelOptions, key: str) -> list[Entry]:
        """Queue that what it had beside its values goes, before another record has its own.

        Returns the entries that it may have left otherwise. Without a note only the key tells.
        """
        for family, name, item in self.places:
            family.remove(batch, name, item, key)
        if self.note == UNTOLD:
            batch.put("HDEL", options.expiry_values_key, key)
        elif self.note:
            put_forgetting(batch, options, key)
        elif not self.is_orphan:
            return []
        left = left_entries(options, key, self.note)
        for entry in left:
            if isinstance(entry, Carried):
                entry.remove(batch)
        return [entry for entry in left if self.note and not isinstance(entry, Carried)]
