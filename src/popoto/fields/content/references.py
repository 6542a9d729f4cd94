"""Content as a record holds it: a reference, or a text that is in no store yet."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from popoto.engine.codec import decoder_for, encoder_for
from popoto.fields.keeping.stand_in import StandIn

encode_text = encoder_for(str)
decode_text = cast("Callable[[bytes], str | None]", decoder_for(str))

#: How references of `FilesystemStore` begin, and so those that popoto 1.6 knows.
PREFIX = "$CF:"


class ContentReference(str):
    """A reference to content in a store, told from text by its type and not by its look."""

    __slots__ = ()


class LookAlike(str):
    """Text that somebody assigned and that begins like a reference."""

    __slots__ = ()


class Unstored(StandIn):
    """The stored form of a text that is in no store yet: a save puts its reference in place."""

    text: str


def refers(value: str) -> bool:
    """Whether a string of an instance's dictionary is a reference.

    Plain text with the prefix can only have been put there by a caller who means one.
    """
    return isinstance(value, ContentReference) or (
        value.startswith(PREFIX) and not isinstance(value, LookAlike)
    )
