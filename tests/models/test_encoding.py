"""The documented names of `popoto.models.encoding`."""

from __future__ import annotations

from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

import pytest
import redis

import popoto
from popoto import IntField, KeyField, ListField, Model, Relationship
from popoto.exceptions import StoredDataError, ValidationError
from popoto.models.encoding import (
    DECODERS_BY_KEYSTRING,
    TYPE_ENCODER_DECODERS,
    EncoderDecoder,
    _create_lazy_model,
    decode_custom_types,
    decode_lazy_field,
    decode_popoto_model_hashmap,
    encode_popoto_model_obj,
)

from .shop import FULL, Shop, plain


class Part(Model):
    name = KeyField()
    size = IntField(default=4)
    day = popoto.DateField()
    log = ListField(max_length=2)
    parent = Relationship(model="self")


TAGGED = {
    "day": b"\x82\xa8__date__\xc3\xacas_encodable\xa820200102",
}
HASH = {b"name": b"\xa1a", b"size": b"\x02", b"day": TAGGED["day"], b"parent": b"\xc0"}


def test_encoding_an_instance() -> None:
    part = Part(name="a", size=2, day=date(2020, 1, 2), log=[1])
    assert encode_popoto_model_obj(part) == HASH
    part.size = object()
    with pytest.raises(ValidationError):
        encode_popoto_model_obj(part)


def test_what_a_save_writes_is_what_is_encoded(redis_client: redis.Redis) -> None:
    shop = Shop.create(**FULL)
    assert encode_popoto_model_obj(shop) == redis_client.hgetall("Shop:a")


def test_an_empty_hash_is_none() -> None:
    assert decode_popoto_model_hashmap(Part, {}) is None
    assert decode_popoto_model_hashmap(Part, {}, lazy=True) is None


def test_fields_only() -> None:
    found = decode_popoto_model_hashmap(Part, {**HASH, b"other": b"\x01"}, fields_only=True)
    assert found == {b"name": "a", b"size": 2, b"day": date(2020, 1, 2), b"parent": None}


@pytest.mark.parametrize("lazy", [False, True])
def test_instances(redis_client: redis.Redis, lazy: bool) -> None:
    part: Any = decode_popoto_model_hashmap(Part, {**HASH, b"delete": b"\x01"}, lazy=lazy)
    assert isinstance(part, Part)
    assert (part.pk, part._is_persisted, part.size, part.day) == (
        "Part:a",
        True,
        2,
        date(2020, 1, 2),
    )
    assert callable(part.delete)
    assert part._saved_field_values["name"] == "a"


def test_a_missing_field_is_its_default() -> None:
    part = _create_lazy_model(Part, {b"name": b"\xa1a"})
    assert (part.size, part.day) == (4, None)


def test_bad_bytes_raise_at_once_or_at_the_first_touch() -> None:
    bad = {**HASH, b"size": b"\xc1"}
    with pytest.raises(StoredDataError):
        decode_popoto_model_hashmap(Part, bad)
    part = _create_lazy_model(Part, bad)
    assert part.day == date(2020, 1, 2)
    with pytest.raises(StoredDataError):
        _ = part.size


def test_a_capped_list_is_loaded_and_survives_a_save(redis_client: redis.Redis) -> None:
    Part.create(name="a", size=2, log=["x"])
    stored = redis_client.hgetall("Part:a")
    for part in (decode_popoto_model_hashmap(Part, stored), _create_lazy_model(Part, stored)):
        assert part.log == ["x"]
        part.size += 1
        part.save()
        part.log.append("y")
        part.save()
        assert Part.query.get(name="a").log == ["x", "y"]
        part.log.pop()
        part.save()


def test_an_untouched_capped_list_is_left_alone(redis_client: redis.Redis) -> None:
    Part.create(name="a", log=["x"])
    part = _create_lazy_model(Part, redis_client.hgetall("Part:a"))
    part.size = 9
    part.save()
    assert Part.query.get(name="a").log == ["x"]


def test_lazy_and_eager_instances_of_a_whole_record(redis_client: redis.Redis) -> None:
    Shop.create(**FULL)
    stored = redis_client.hgetall("Shop:a")
    eager = decode_popoto_model_hashmap(Shop, stored)
    assert plain(eager) == plain(_create_lazy_model(Shop, stored))
    assert plain(eager)["note"] == "n"


def test_lazy_instances_need_no_server(round_trips: Any) -> None:
    with round_trips() as seen:
        part = _create_lazy_model(Part, HASH)
        assert part.size == 2
    assert seen.sends == 0


@pytest.mark.parametrize(
    ("value", "tree"),
    [
        (Decimal("1.50"), {"__Decimal__": True, "as_encodable": "1.50"}),
        ((1, 2), {"__tuple__": True, "as_encodable": [1, 2]}),
        ({1}, {"__set__": True, "as_encodable": [1]}),
        (date(2020, 1, 2), {"__date__": True, "as_encodable": "20200102"}),
        (time(1, 2), {"__time__": True, "as_encodable": "01:02:00.000000"}),
        (
            datetime(2020, 1, 2, 3),
            {"__datetime__": True, "as_encodable": "20200102T03:00:00.000000"},
        ),
    ],
)
def test_tagged_types(value: Any, tree: dict[str, Any]) -> None:
    both = TYPE_ENCODER_DECODERS[type(value)]
    assert isinstance(both, EncoderDecoder)
    assert EncoderDecoder._fields == ("key", "encoder", "decoder")
    assert both.encoder(value) == tree
    assert both.decoder(tree) == value
    assert decode_custom_types(tree) == value
    assert DECODERS_BY_KEYSTRING[both.key](tree) == value
    assert next(iter(tree)) == both.key


def test_other_values_pass_through() -> None:
    for value in (5, "x", None, [1], {"a": 1}):
        assert decode_custom_types(value) == value
    assert decode_lazy_field(b"\x05") == 5
    assert decode_lazy_field(TAGGED["day"]) == date(2020, 1, 2)


def test_the_module_is_an_attribute() -> None:
    assert popoto.models.encoding.encode_popoto_model_obj is encode_popoto_model_obj
