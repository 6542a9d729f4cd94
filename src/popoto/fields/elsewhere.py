"""Arguments that fields have elsewhere, and what is written here instead."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from popoto._unknown_names import closest

__all__ = ["remedy_for"]

_CHECK: Final = "check values in is_valid() of the model"
_UNSAID: Final = "nothing shows it here: leave it out, or say it in a comment"
_NULL: Final = "null=False demands a value, null=True does not"
_KEY: Final = "a KeyField is what a record is found by, an AutoKeyField makes it"
_CLOCK: Final = "a DatetimeField has auto_now and auto_now_add"
_RELATED: Final = "a Relationship has related_name"
_NAMED: Final = "a field is stored under its own name"

#: Of Django, SQLAlchemy, Pydantic, peewee, mongoengine, marshmallow and Tortoise.
_REMEDIES: Final = {
    **dict.fromkeys(
        ("choices", "enum"), "a field of an Enum takes its members alone: Field(type=Colour)"
    ),
    **dict.fromkeys(("required", "blank", "allow_none", "allow_blank", "optional"), _NULL),
    **dict.fromkeys(("primary_key", "pk", "id"), _KEY),
    **dict.fromkeys(("validators", "validator", "validate", "pattern", "regex"), _CHECK),
    **dict.fromkeys(("min_length", "min_value", "max_value", "minimum", "maximum"), _CHECK),
    **dict.fromkeys(("ge", "gt", "le", "lt", "multiple_of", "decimal_places"), _CHECK),
    **dict.fromkeys(("max_digits", "strict"), _CHECK),
    **dict.fromkeys(("backref", "back_populates", "reverse_delete_rule"), _RELATED),
    **dict.fromkeys(("auto_now", "auto_now_add", "onupdate"), _CLOCK),
    **dict.fromkeys(("db_column", "column_name", "db_field", "alias", "data_key"), _NAMED),
    **dict.fromkeys(("verbose_name", "help_text", "title", "description", "label"), _UNSAID),
    **dict.fromkeys(("editable", "doc", "comment", "examples", "error_messages"), _UNSAID),
    "on_delete": "a Relationship has on_delete",
    "default_factory": "default may be a function: default=list",
    "server_default": "default is filled in when an instance is made",
    "to_field": "a Relationship refers to the key of a record",
    "unique_together": "Meta.unique_together names the fields",
}


def remedy_for(keyword: str, known: Iterable[str]) -> str:
    """What is written instead of a keyword that a field does not have, for the end of a message."""
    return _REMEDIES.get(keyword) or closest(keyword, known, "keywords")
