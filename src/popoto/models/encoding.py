"""Records and values to stored bytes and back, under the names of the published package.

Thin: the codec is `popoto.engine.codec`, and instances are made by `models.loading`.
Nothing here talks to the server, except that a capped list, which is kept beside the
hash, is read at its first touch.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

from popoto.engine.codec import DecodeError, Stored, decoder_for
from popoto.engine.tagging import PAYLOAD, TREES, value_of
from popoto.exceptions import StoredDataError
from popoto.models.record.loading import new_instance
from popoto.models.record.record import Record
from popoto.models.record.stored_form import encoded

if TYPE_CHECKING:
    from popoto.fields.field import Field

__all__ = [
    "DECODERS_BY_KEYSTRING",
    "TYPE_ENCODER_DECODERS",
    "EncoderDecoder",
    "decode_custom_types",
    "decode_lazy_field",
    "decode_popoto_model_hashmap",
    "encode_popoto_model_obj",
]

M = TypeVar("M", bound="Record")

_decode_any = decoder_for(object)


class EncoderDecoder(NamedTuple):
    """How values of a type that msgpack lacks are tagged: `key` marks the map."""

    key: str
    encoder: Callable[[Any], Any]
    decoder: Callable[[Any], Any]


def _encoder(type_: type) -> Callable[[Any], Any]:
    def encode(value: Any) -> Any:
        tree: Any = TREES[type_](value, 1)
        payload: Any = tree[PAYLOAD]
        if isinstance(payload, tuple):
            tree = {**tree, PAYLOAD: list(cast("tuple[object, ...]", payload))}
        return tree

    return encode


#: The tagged types: value -> map of marker and payload, and back.
TYPE_ENCODER_DECODERS: dict[type, EncoderDecoder] = {
    type_: EncoderDecoder(f"__{type_.__name__}__", _encoder(type_), value_of)
    for type_ in (Decimal, tuple, set, datetime.datetime, datetime.date, datetime.time)
}
#: Marker -> decoder of the map that it stands in.
DECODERS_BY_KEYSTRING: dict[str, Callable[[Any], Any]] = {
    each.key: each.decoder for each in TYPE_ENCODER_DECODERS.values()
}


def decode_custom_types(obj: Any) -> Any:
    """The value of an unpacked msgpack object: tagged maps become what they stand for.

    Raises DecodeError for a map that claims a tag and does not hold its payload.
    """
    return value_of(obj)


def decode_lazy_field(value_bytes: bytes) -> Any:
    """The value of one hash field, in the type it was stored with. Raises DecodeError."""
    return _decode_any(value_bytes)


def encode_popoto_model_obj(obj: Record) -> dict[bytes, bytes]:
    """Hash field -> bytes that a full save of this instance writes (capped lists are not in it).

    Raises ValidationError for a value that has no stored form.
    """
    written = {name.encode("utf-8"): encoded(obj, name) for name in obj._meta.hash_names}
    return cast("dict[bytes, bytes]", written)


def decode_popoto_model_hashmap(
    model_class: type[M],
    redis_hash: Mapping[bytes, bytes],
    fields_only: bool = False,
    lazy: bool = False,
) -> M | dict[bytes, Any] | None:
    """An instance from a record's hash; None for an empty hash.

    `fields_only` gives a dict of bytes names and decoded values instead. Without
    `lazy` every field is decoded at once; bytes that are no value of their field
    then raise StoredDataError, otherwise the first touch of that field does.
    Hash fields that are no fields of the model are ignored.
    """
    if not redis_hash:
        return None
    instance = _instance(model_class, redis_hash, resolves_references=not lazy)
    fields = model_class._meta.by_name
    if fields_only:
        return {
            name.encode("utf-8"): _decoded(fields[name], raw)
            for name, raw in instance._stored.items()
        }
    if not lazy:
        for name, field in fields.items():
            if not field.is_reference:
                getattr(instance, name)
    return instance


def _create_lazy_model(  # pyright: ignore[reportUnusedFunction]  # a name of popoto 1.6
    model_class: type[M], redis_hash: Mapping[bytes, bytes]
) -> M:
    """An instance that decodes each field of a record's hash at its first touch."""
    return _instance(model_class, redis_hash, resolves_references=False)


def _instance(
    model_class: type[M], redis_hash: Mapping[bytes, bytes], *, resolves_references: bool
) -> M:
    options = model_class._meta
    stored: dict[str, Stored] = {
        name: redis_hash[name.encode("utf-8")]
        for name in options.hash_names
        if name.encode("utf-8") in redis_hash
    }
    values = {
        field.name: _decoded(field, stored[field.name]) if field.name in stored else None
        for field in options.key_fields
    }
    return new_instance(
        model_class, options.record_key(values), stored, resolves_references=resolves_references
    )


def _decoded(field: Field[Any], raw: Stored) -> Any:
    try:
        return field.decode(raw)
    except DecodeError as error:
        raise StoredDataError(f"{field.label} cannot be decoded: {error}") from error
