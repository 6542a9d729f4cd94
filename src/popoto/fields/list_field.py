"""`ListField`: a list in the record's hash, or a capped one beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, overload

from popoto.engine import keys
from popoto.engine.codec import DecodeError, EncodeError, Stored, decoder_for
from popoto.exceptions import ModelException
from popoto.fields.capped_list import CappedListProxy, encode_items, is_capped, read_items
from popoto.fields.coercion import CoercionError
from popoto.fields.type_variables import Items
from popoto.fields.typed_field import TypedField
from popoto.fields.valued import leaves_exact


class ListField(TypedField[Items]):
    """A field of type list.

    With `max_length` it is a *capped list*: kept in a list of its own beside the
    record, newest first, never longer than that; see `CappedListProxy.push`.
    """

    value_type = list

    if TYPE_CHECKING:
        # A capped list is read as a proxy and assigned from any iterable.
        def __set__(self, instance: object, value: Iterable[Any] | Items | None) -> None: ...

        @overload
        def __init__(
            self: ListField[list[Any]],
            *,
            max_length: None = None,
            null: bool = True,
            default: object = None,
            **options: Any,
        ) -> None: ...
        @overload
        def __init__(
            self: ListField[CappedListProxy[Any]],
            *,
            max_length: int,
            null: bool = True,
            default: object = None,
            **options: Any,
        ) -> None: ...
        def __init__(self, **options: Any) -> None: ...

    def check_options(self, options: Mapping[str, Any]) -> None:
        super().check_options(options)
        capacity = self.max_length
        if capacity is not None and (type(capacity) is not int or capacity < 1):
            raise ModelException(
                f"ListField(max_length={capacity!r}): a capped list holds 1 or more items"
            )
        self.in_hash = capacity is None

    @property
    def limits_nothing(self) -> bool:
        return False

    def codec(self) -> tuple[Callable[[Any], Stored], Callable[[Any], Any]]:
        if self.in_hash:
            return super().codec()
        decode_item = decoder_for(object)
        capacity = self.max_length

        def encode(value: Any) -> tuple[bytes, ...]:
            if value is None:
                return ()
            given: object = value
            if not isinstance(given, list):
                raise EncodeError(f"expected list, got {type(given).__name__}")
            return encode_items(value[:capacity])

        def decode(items: Sequence[bytes]) -> list[Any]:
            if isinstance(items, (bytes, str)):
                raise DecodeError("a capped list is not kept in the record's hash")
            return [decode_item(item) for item in items]

        return encode, decode

    @leaves_exact
    def coerce(self, value: Any) -> Any:
        if is_capped(value):
            return value if not self.in_hash else list(value)
        return super().coerce(value)

    @leaves_exact
    def problem(self, value: Any, *, null_check: bool = True) -> str | None:
        if is_capped(value):
            return None
        if value is None and not self.in_hash:
            return None
        return super().problem(value, null_check=null_check)

    def assigned_value(self, instance: Any, value: Any) -> Any:
        if self.in_hash or (is_capped(value) and value.belongs_to(instance)):
            return value
        try:
            items = () if value is None else self.coerce(value)
        except CoercionError:
            # The check that follows refuses it, with what was given.
            return value
        return CappedListProxy(items, self, instance)

    def loaded_value(self, instance: Any, value: Any) -> Any:
        return value if self.in_hash else CappedListProxy(value, self, instance)

    def missing_value(self, instance: Any) -> Any:
        if not self.in_hash and instance._is_persisted:
            items = read_items(self, instance)
            instance._stored[self.name] = items
            return self.loaded_value(instance, self.decode(items))
        return self.assigned_value(instance, self.make_default())

    companion_kind = "list"

    def companion_keys(self, key: str) -> Sequence[str]:
        return () if self.in_hash else (keys.capped_list_key(key, self.name),)
