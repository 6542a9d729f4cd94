"""The values of a field: which it takes, and what they become before they are stored."""

from __future__ import annotations

import builtins
import copy
import datetime
import uuid
from collections.abc import Callable, Sequence
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from popoto._stock import Mark, stock
from popoto.engine.codec import Stored, decoder_for, encoder_for
from popoto.engine.plain import plain
from popoto.fields.adapting import ADAPTED_TYPES, Adapted, adapted
from popoto.fields.coercion import CHECKED_TYPES, CoercionError, coerce, look_at_exact
from popoto.fields.in_json import in_json
from popoto.fields.spelling import decimal_text, spellings

VALID_FIELD_TYPES: frozenset[type] = frozenset(
    {
        int,
        float,
        Decimal,
        str,
        bool,
        bytes,
        list,
        dict,
        set,
        tuple,
        datetime.date,
        datetime.datetime,
        datetime.time,
    }
    | ADAPTED_TYPES
)

#: Defaults of these types are copied for every instance.
_IMMUTABLE = (
    int,
    float,
    complex,
    str,
    bytes,
    bool,
    Decimal,
    datetime.date,
    datetime.time,
    datetime.timedelta,
    uuid.UUID,
    Enum,
)


#: Marks a `coerce` or `problem` that leaves alone what is exactly of the type, and in bounds.
leaves_exact: Final = Mark("_popoto_leaves_exact")


class Valued:
    """What a field knows of its values. The keywords are those of `Field`."""

    #: Whether the value stands in the record's hash.
    in_hash: bool = True

    if TYPE_CHECKING:
        type: builtins.type[Any]
        key: bool
        unique: bool
        auto: bool
        null: bool
        value: Any
        max_length: int | None
        choices: frozenset[Any] | None
        default: Any
        sorted: bool
        indexed: bool

    name: str
    model_name: str
    #: Value -> stored bytes, and back; chosen once, when the model is made.
    encode: Callable[[Any], Stored]
    decode: Callable[[Stored], Any]
    #: How values are stored as others; None where the codec knows their type.
    adapted: Adapted | None = None
    #: What makes one value of equal ones; None where these have one text anyway.
    one_form: Callable[[Any], Any] | None = None
    #: Whether equal values may stand under several texts.
    is_spelled: bool = False

    @property
    def label(self) -> str:
        """Model and field, for messages."""
        return f"{self.model_name}.{self.name}" if self.model_name else type(self).__name__

    @stock
    def codec(self) -> tuple[Callable[[Any], Stored], Callable[[Any], Any]]:
        """How values become stored bytes and back; chosen once, when the model is made."""
        how = adapted(self.type)
        if how is not None:
            return how.encode, how.decode
        return encoder_for(self.type), decoder_for(self.type)

    @property
    def compared_type(self) -> builtins.type[Any]:
        """The type by which stored bytes tell equal values; `object`: they do not by themselves."""
        return self.type if self.adapted is None else object

    def fixed_default(self) -> Any:
        """The default, where it is the same for every record; None for one that is computed.

        Entries of records that were stored before there was the field follow from it.
        """
        if self.key or self.unique or self.default is None or callable(self.default):
            return None
        return self.coerce(self.make_default())

    def make_default(self) -> Any:
        """A fresh default value."""
        default = self.default
        if default is None or isinstance(default, _IMMUTABLE):
            return default
        if callable(default):
            return default()
        return copy.deepcopy(default)

    @stock
    def canonical(self, value: Any) -> Any:
        """The value as it is stored and compared: what keys and entries are made of."""
        # The members of `class Colour(str, Enum)`, numbers of numpy and their like are stored as
        # plain values, while str() of them is something else.
        if self.adapted is not None:
            return self.adapted.plain(value) if isinstance(value, self.type) else value
        if type(value) is not self.type:
            value = plain(self.type, value)
        return value if self.one_form is None else self.one_form(value)

    @stock
    def text_of(self, value: Any) -> str:
        """The text by which a value stands in keys."""
        one = self.canonical(value)
        return decimal_text(one) if self.type is Decimal else str(one)

    def spellings(self, value: Any) -> Sequence[str]:
        """Every text by which an equal value may stand in keys, that of this one first.

        Empty for NaN, which equals nothing. Data of popoto 1.6, and Decimals, have several.
        """
        own = self.text_of(value)
        if not self.is_spelled:
            return (own,)
        if type(value) is not self.type:
            value = plain(self.type, value)
        found = spellings(self.type, value)
        return tuple(dict.fromkeys((own, *found))) if found else ()

    def is_same(self, value: Any, other: Any) -> bool:
        """Whether two values make the same key, be it by different texts."""
        if self.text_of(value) == self.text_of(other):
            return True
        return self.is_spelled and bool(self.canonical(value) == self.canonical(other))

    def in_json(self, value: Any) -> Any:
        """The value as `json.dumps` takes it. Raises NotInJSON."""
        return in_json(value)

    @stock
    @leaves_exact
    def coerce(self, value: Any) -> Any:
        """The value in this field's type. Raises CoercionError."""
        if value is None or (isinstance(value, self.type) and self.type is not datetime.date):
            return value
        how = adapted(self.type)
        if how is not None:
            return how.value(value)
        if self.type not in VALID_FIELD_TYPES:
            return value
        return coerce(self.type, value)

    @stock
    @leaves_exact
    def problem(self, value: Any, *, null_check: bool = True) -> str | None:
        """Why a coerced value may not be saved, or None."""
        if value is None:
            if self.null or not null_check:
                return None
            return "it cannot be null"
        if not isinstance(value, self.type):
            return f"expected {self.type.__name__}, got {type(value).__name__}"
        if self.type in CHECKED_TYPES:
            try:
                coerce(self.type, value)
            except CoercionError as error:
                return str(error)
        return self._beyond(value)

    def quick_look(self) -> Callable[[Any], bool] | None:
        """What tells at once of a value of exactly this type that it may be saved as it is.

        None where it takes `coerce` and `problem` to tell, since a derived field has replaced them.
        """
        methods = (type(self).coerce, type(self).problem)
        return self.look_at_exact() if all(map(leaves_exact.is_on, methods)) else None

    def look_at_exact(self) -> Callable[[Any], bool] | None:
        """As `quick_look`, where `coerce` and `problem` leave such values alone."""
        if self.choices is not None or self.adapted is not None:
            return None
        if self.max_length is not None and self.type is str:
            longest = self.max_length
            return lambda value: len(value) <= longest
        return look_at_exact(self.type)

    def _beyond(self, value: Any) -> str | None:
        """Why a value of the right type is none that this field may have, or None."""
        if self.choices is not None and value not in self.choices:
            return f"it is none of {', '.join(sorted(map(repr, self.choices - {None})))}"
        if self.max_length is not None and self.type is str and len(value) > self.max_length:
            return f"its length {len(value)} exceeds max_length={self.max_length}"
        return None

    @stock
    def format_value_pre_save(self, field_value: Any, **kwargs: Any) -> Any:
        """The last change to a value before it is stored; also written back to the instance."""
        return field_value

    @property
    def stamps_writes(self) -> bool:
        """Whether the value shows when the record was last written: every save sets it."""
        return False
