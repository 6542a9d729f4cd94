"""Capped lists: `ListField(max_length=n)`, kept in a list of their own beside the record."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, SupportsIndex, TypeGuard, TypeVar

from popoto.engine import keys
from popoto.engine.batch import Batch, KeyArgument
from popoto.engine.codec import EncodeError, encoder_for
from popoto.engine.looking_up import looked_up
from popoto.engine.request import Plan
from popoto.engine.run import arun, run
from popoto.exceptions import ModelException, ValidationError
from popoto.fields.describing import describe
from popoto.fields.keeping.adjusting import Adjustment, carried_out

if TYPE_CHECKING:
    from popoto.fields.field import Field

Item = TypeVar("Item")


_encode_item = encoder_for(object)


def encode_items(items: Iterable[Any]) -> tuple[bytes, ...]:
    """The stored elements: each tagged by its own type. Raises EncodeError."""
    return tuple(map(_encode_item, items))


def read_items(field: Field[Any], instance: Any) -> tuple[bytes, ...]:
    """The stored elements of a record that was made from its hash alone. One command."""
    list_key = keys.capped_list_key(instance._redis_key, field.name)
    (items,) = run(looked_up([("LRANGE", list_key, 0, -1)], field.model_name))
    return tuple(items)


class CappedListProxy(list[Item]):
    """The value of a capped list field: a list whose `push` writes at once.

    Other changes (`append`, `sort`, item assignment, …) are those of any list, and written by
    the next `save()`, which keeps the first `max_length` elements, here and on the server.
    Copies, slices and sums are plain lists, and so is what is pickled, apart from its record.
    """

    __slots__ = ("_instance", "_name")

    def __init__(self, items: Iterable[Item], field: Field[Any], instance: Any) -> None:
        super().__init__(items)
        self._name = field.name
        self._instance = instance

    def __reduce_ex__(self, protocol: SupportsIndex) -> tuple[type[list[Item]], tuple[list[Item]]]:
        return list, (list(self),)

    @property
    def _field(self) -> Field[Any]:
        field: Field[Any] = self._instance._meta.by_name[self._name]
        return field

    def belongs_to(self, instance: Any) -> bool:
        """Whether this is the list of that record object."""
        return self._instance is instance

    def push(self, value: Item) -> None:
        """Put a value first, on the server and here, and drop what exceeds `max_length`.

        The record's expiry holds for the list too. Raises ModelException when the
        record is not stored, ValidationError when the value cannot be. One command.
        """
        run(self._push(value))

    async def async_push(self, value: Item) -> None:
        """`push` for asyncio."""
        await arun(self._push(value))

    def _push(self, value: Item) -> Plan[None]:
        field, instance = self._field, self._instance
        record_key: str | None = instance._redis_key
        if record_key is None or not instance._is_persisted:
            raise ModelException(
                f"{field.label}: push() needs a stored record; save() this one first"
            )
        try:
            (encoded,) = encode_items([value])
        except EncodeError as error:
            raise ValidationError(
                f"{field.label}: cannot store {describe(value)}: {error}",
                model_name=field.model_name,
                field_name=field.name,
                value=value,
            ) from error
        yield from carried_out([_Pushing(field, instance, encoded)])
        capacity: int = field.max_length or 0
        self.insert(0, value)
        del self[capacity:]
        stored: tuple[bytes, ...] = instance._stored.get(field.name, ())
        instance._stored[field.name] = (encoded, *stored)[:capacity]


class _Pushing(Adjustment):
    """An element goes to the front of the list of a stored record."""

    what = "push()"

    def __init__(self, field: Field[Any], instance: Any, encoded: bytes) -> None:
        super().__init__(instance)
        self.field = field
        self.encoded = encoded

    def missing(self, key: str) -> Exception:
        return ModelException(
            f"{self.field.label}: push() needs a stored record, and {key!r} is gone; "
            "save() it again"
        )

    def put(self, batch: Batch, key: str, values: Mapping[str, Any]) -> None:
        list_key = keys.capped_list_key(key, self.field.name)
        batch.put("LPUSH", list_key, self.encoded)
        batch.put("LTRIM", list_key, 0, (self.field.max_length or 0) - 1)
        batch.put("FOLLOW", list_key, KeyArgument(key))


def is_capped(value: object) -> TypeGuard[CappedListProxy[Any]]:
    """Whether a value is a capped list."""
    return isinstance(value, CappedListProxy)
