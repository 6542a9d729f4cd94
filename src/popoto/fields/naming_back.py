"""Names of the way back along relationships: `related_name`, and those that are made of classes."""

from __future__ import annotations

import keyword
import re

from popoto.exceptions import ModelException
from popoto.fields.describing import describe

#: Stands for the name of the model that has the relationship, as in Django.
_CLASS = "%(class)s"
_NONE = "+"

_WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def check_related_name(given: object) -> None:
    """Raise ModelException for what can be no name of an attribute."""
    if given is None or given == _NONE:
        return
    name = given.replace(_CLASS, "model") if isinstance(given, str) else ""
    if not (name.isidentifier() and name[:1].islower() and "__" not in name) or (
        keyword.iskeyword(name)
    ):
        raise ModelException(
            f"related_name must be the name of an attribute, such as 'players', or '+' for none, "
            f"got {describe(given)}"
        )


def reverse_name(given: str | None, class_name: str) -> str | None:
    """The name that was given, or the plural of the class's: `OrderLine` has `order_lines`."""
    if given == _NONE:
        return None
    word = _WORDS.sub("_", class_name).lower().strip("_")
    return _plural(word) if given is None else given.replace(_CLASS, word)


def _plural(word: str) -> str:
    if re.search(r"[^aeiou]y$", word):
        return f"{word[:-1]}ies"
    return f"{word}es" if re.search(r"(s|x|z|ch|sh)$", word) else f"{word}s"
