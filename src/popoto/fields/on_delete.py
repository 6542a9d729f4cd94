"""What becomes of records that refer to one that is deleted."""

from __future__ import annotations

from enum import StrEnum

from popoto.exceptions import ModelException
from popoto.fields.describing import describe

__all__ = ["CASCADE", "DO_NOTHING", "PROTECT", "SET_NULL", "OnDelete"]


class OnDelete(StrEnum):
    """The values of `Relationship(on_delete=…)`."""

    #: they keep the key of the record that is gone
    DO_NOTHING = "DO_NOTHING"
    #: they are deleted with it
    CASCADE = "CASCADE"
    #: they refer to none from then on
    SET_NULL = "SET_NULL"
    #: as long as they are there, it cannot be deleted
    PROTECT = "PROTECT"


DO_NOTHING = OnDelete.DO_NOTHING
CASCADE = OnDelete.CASCADE
SET_NULL = OnDelete.SET_NULL
PROTECT = OnDelete.PROTECT


def on_delete_of(given: object, *, null: bool) -> OnDelete:
    """The rule that was asked for. Raises ModelException for what is none, or cannot be."""
    word = given.upper() if isinstance(given, str) else ""
    if word == "IGNORE":
        return DO_NOTHING
    if word not in OnDelete.__members__:
        raise ModelException(
            f"Relationship(on_delete=…) must be one of {', '.join(OnDelete)}, got {describe(given)}"
        )
    rule = OnDelete[word]
    if rule is SET_NULL and not null:
        raise ModelException(
            "Relationship(on_delete=SET_NULL, null=False): what may not be null cannot be set to "
            "null; use null=True, CASCADE or PROTECT"
        )
    return rule
