"""What a mixin sees of a commit that it may add to.

A behaviour mixin is a plain class in the bases of a model, before or after `Model`. It may
define these methods; the metaclass finds them, and those that are not defined cost nothing:

`_check_model(cls)`
    Class method. Called once for each model that is not abstract, when its class exists;
    raises ModelException for settings that cannot work.
`_before_save(self, update_fields)`
    Called before a save is validated, with the names of a partial save or None. Raises
    SkipSaveException for a save that is not to happen: nothing is written, `save()` returns
    False.
`_on_commit(self, batch, commit)`
    Queues commands that belong to a save or delete, to be carried out with it or not at all.
    Called again when another writer was faster and the commit is built anew, so it must
    have no other effect. What it raises reaches the caller, with nothing written.
`_companion_keys(cls, key)`
    Class method. Keys that belong to one record: deleted, renamed and expired with it.
`_companion_entries(cls, key)`
    Class method. What one record has in keys of many (`CompanionEntry`): deleted and carried
    along with it.
`_key_families(cls)`
    Class method. The families that these keys of many belong to, so that upkeep finds them.
`_following_entries(self)`
    Those of its companion entries that follow from the record as it is stored, for upkeep: what is
    missing of them is told by a check, and added by a rebuild (`mend`).
`_forgetting(cls, subject)`
    Class method. A plan that forgets what it keeps of erased records in other places
    (`popoto.fields.keeping.forgetting`), and tells by kind what was found.

Where several bases define one of them, each class's own is called, in method resolution
order. So none of them calls `super()`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from popoto.engine.codec import Stored

Operation = Literal["create", "update", "delete"]


@dataclass(frozen=True, slots=True)
class Commit:
    """One write of one record, while its batch is being built.

    `operation` follows from what the server holds: the guards of the batch see to it that
    nothing is written where it would be wrong.
    """

    operation: Operation
    key: str
    """The record's key once the commit is carried out."""

    old_key: str
    """The key until then. Another one than `key` when the record moves."""

    update_fields: tuple[str, ...] | None = None
    """The fields that a partial save names; None for other saves and for deletes."""

    queued: bool = False
    """Whether the commit goes into a pipeline of the caller's own."""

    values: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """What the fields that decide entries hold once the commit is carried out; of a delete,
    what they held."""

    known: Mapping[str, Stored] = field(default_factory=dict[str, Stored])
    """Of an update, the bytes that are believed to be stored until then."""

    changed: Mapping[str, Stored] = field(default_factory=dict[str, Stored])
    """The bytes that a save writes."""

    as_stored: Callable[[Iterable[str]], Any] | None = None
    """Of an update, makes the record as it was stored, except that the named fields are as
    they will be. What is not known of it has its default."""


def defined_by_bases(model: type, method: str) -> list[Callable[..., Any]]:
    """What the class and its bases define under this name, each for itself."""
    return [
        vars(base)[method].__get__(None, model) for base in model.__mro__ if method in vars(base)
    ]
