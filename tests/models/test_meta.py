"""`Model._meta`: what it holds, and the names of keys it gives."""

from __future__ import annotations

from popoto import (
    AutoKeyField,
    Field,
    GeoField,
    IndexedField,
    KeyField,
    Model,
    Relationship,
    SortedField,
    SortedKeyField,
    UniqueField,
)
from popoto.models.base import INDEX_HASH_LENGTH, ModelOptions
from popoto.models.db_key import DB_key


class Town(Model):
    name = KeyField()


class Shop(Model):
    uid = AutoKeyField()
    asset = KeyField()
    place = SortedKeyField(type=int)
    rating = SortedField(type=float)
    spot = GeoField()
    kind = IndexedField()
    code = UniqueField()
    town = Relationship(model=Town)
    note = Field()
    _hidden = KeyField()

    class Meta:
        indexes = ((("kind", "note"), True),)


def test_class_keys() -> None:
    meta = Shop._meta
    assert isinstance(meta, ModelOptions)
    assert meta.model_name == "Shop"
    assert meta.db_class_key == DB_key("Shop")
    assert meta.db_class_key.redis_key == "Shop"
    assert meta.db_class_set_key.redis_key == "$Class:Shop"


def test_options_is_meta() -> None:
    assert Shop._options is Shop._meta


def test_fields_are_explicit_ones_then_hidden_ones() -> None:
    meta = Shop._meta
    assert meta.field_names == [*meta.explicit_fields, "_hidden"]
    assert meta.fields is not meta.fields
    meta.fields.clear()
    assert len(meta.fields) == 10


def test_names_by_kind() -> None:
    meta = Shop._meta
    assert meta.key_field_names == {"uid", "asset", "place", "_hidden"}
    assert meta.auto_field_names == {"uid"}
    assert meta.sorted_field_names == {"place", "rating"}
    assert meta.geo_field_names == {"spot"}
    assert meta.indexed_field_names == {"kind", "code"}
    assert meta.relationship_field_names == {"town"}
    assert meta.content_fields == []


def test_filter_parameters_by_field() -> None:
    parameters = Shop._meta.filter_query_params_by_field
    assert parameters["note"] == set()
    assert {"rating__gt", "rating__lte"} <= parameters["rating"]
    assert {"kind", "kind__in", "kind__startswith"} <= parameters["kind"]
    assert parameters["rating"] == Shop._meta.fields["rating"].get_filter_query_params("rating")


def test_unused_options_of_the_published_package_exist() -> None:
    meta = Shop._meta
    assert (meta.unique_together, meta.index_together, meta.auto_created) == ([], [], False)
    assert meta.meta is not None
    assert Town._meta.meta is None
    assert Town._meta.base_meta is None
    assert meta.parents == [Model]


def test_key_positions_are_alphabetical() -> None:
    meta = Shop._meta
    assert meta.db_key_length == 5
    assert [
        meta.get_db_key_index_position(name) for name in ("_hidden", "asset", "place", "uid")
    ] == [
        1,
        2,
        3,
        4,
    ]


def test_composite_index_key_and_digest() -> None:
    meta = Shop._meta
    assert meta.get_index_key(["kind", "note"]) == "$Index:Shop:kind:note"
    assert INDEX_HASH_LENGTH == 16
    shop = Shop(kind="happy", note="n")
    assert meta.compute_index_hash(shop, ("kind", "note")) == "f268df2051173cb8"
    values = {"kind": "x", "note": "y:z"}
    assert meta.compute_index_hash_from_values(("kind", "note"), values) == "b7785c7f0d8b99ca"


def test_a_null_has_no_digest() -> None:
    meta = Shop._meta
    assert meta.compute_index_hash(Shop(kind="happy"), ("kind", "note")) is None
    assert meta.compute_index_hash_from_values(("kind",), {"kind": None}) is None
    assert meta.compute_index_hash_from_values(("kind",), {}) is None


def test_query_and_objects_are_one_object_that_knows_its_model() -> None:
    assert Shop.query is Shop.objects
    assert Shop.query.model_class is Shop
    assert Shop.query.options is Shop._meta


def test_get_info() -> None:
    info = Shop.get_info()
    assert info["name"] == "Shop"
    assert info["fields"] == Shop._meta.field_names
    assert {"kind", "rating__gt", "_hidden__in"} <= set(info["query_filters"])
