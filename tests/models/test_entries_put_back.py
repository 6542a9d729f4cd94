"""A partial save puts the entries of its fields right, whether their values changed or not."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from popoto import (
    GeoField,
    IndexedField,
    KeyField,
    Model,
    Relationship,
    SortedField,
    StringField,
    UniqueField,
    transaction,
)
from popoto.exceptions import UniquenessError
from tests.driver import Api


class Depot(Model):
    name = KeyField()


class Parcel(Model):
    number = KeyField()
    state = IndexedField(default="new")
    label = StringField(indexed=True)
    barcode = UniqueField(type=str)
    weight = SortedField(type=int, default=0, partition_by="state")
    due = SortedField(type=int, default=0)
    place = GeoField()
    depot = Relationship(Depot)
    note = StringField()

    class Meta:
        indexes = ((("state", "label"), True),)


def stored(api: Api) -> Parcel:
    depot = api(Depot.create, name="north")
    return api(
        Parcel.create,
        number="1",
        label="x",
        barcode="b",
        weight=3,
        due=4,
        place=(52, 13),
        depot=depot,
    )


#: what loses or spoils the entries of a field, and a query that finds the record by that field
BROKEN: dict[str, tuple[list[tuple[Any, ...]], dict[str, Any]]] = {
    "state": ([("SREM", "$IndexF:Parcel:state:new", "Parcel:1")], {"state": "new"}),
    "label": ([("DEL", "$StringF:Parcel:label:x")], {"label": "x"}),
    "due": ([("ZADD", "$SortF:Parcel:due", 90, "Parcel:1")], {"due__lt": 5}),
    "weight": ([("DEL", "$SortF:Parcel:weight:new")], {"state": "new", "weight__gte": 1}),
    "place": (
        [("GEOADD", "$GeoF:Parcel:place", 1, 1, "Parcel:1")],
        {"place": (52, 13), "place_radius": 10},
    ),
    "depot": ([("DEL", "$RelationshipF:Parcel:depot:Depot:north")], {"depot": "Depot:north"}),
    "barcode": ([("DEL", "$UniquF:Parcel:barcode:b")], {"barcode": "b"}),
}


def break_entries(server: redis.Redis, commands: list[tuple[Any, ...]]) -> None:
    for command in commands:
        server.execute_command(*command)


@pytest.mark.traced(200)
@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize("how", ["loaded", "made anew", "changed", "bulk", "transaction", "queued"])
def test_a_named_field_has_its_entries_put_right(
    api: Api, redis_client: redis.Redis, name: str, how: str
) -> None:
    parcel = stored(api)
    commands, condition = BROKEN[name]
    break_entries(redis_client, commands)
    assert api(Parcel.check_indexes)["total"] > 0
    if how == "made anew":
        parcel = api(Parcel.query.get, number="1")
    if how == "changed":
        parcel.note = "changed too"
    if how == "bulk":
        api(Parcel.bulk_update, [parcel], **{name: getattr(parcel, name)})
    elif how == "queued":
        with redis_client.pipeline() as pipeline:
            parcel.save(pipeline=pipeline, update_fields=[name])
            pipeline.execute()
    elif how == "transaction":
        with transaction() as together:
            together.save(parcel, update_fields=[name])
    else:
        api(parcel.save, update_fields=[name, "note"])
    assert api(Parcel.check_indexes)["total"] == 0
    assert [each.number for each in api(Parcel.query.filter(**condition).all)] == ["1"]


def test_a_field_that_is_not_named_is_left_as_it_is(api: Api, redis_client: redis.Redis) -> None:
    parcel = stored(api)
    break_entries(redis_client, BROKEN["state"][0])
    api(parcel.save, update_fields=["due"])
    assert api(Parcel.check_indexes)["total"] == 1


def test_the_slot_of_several_fields_is_put_back_with_one_of_them(
    api: Api, redis_client: redis.Redis
) -> None:
    parcel = stored(api)
    redis_client.delete("$Index:Parcel:state:label")
    api(parcel.save, update_fields=["label"])
    assert api(Parcel.check_indexes)["total"] == 0


def test_what_a_plain_save_puts_right(api: Api, redis_client: redis.Redis) -> None:
    parcel = stored(api)
    for commands, _ in BROKEN.values():
        break_entries(redis_client, commands)
    broken = api(Parcel.check_indexes)["total"]
    api(parcel.save)
    assert api(Parcel.check_indexes)["total"] == broken
    parcel.due = 2
    api(parcel.save)
    assert api(Parcel.check_indexes)["total"] == broken - 1
    values = parcel.to_dict(relationships=False)
    api(Parcel(**values).save)
    assert api(Parcel.check_indexes)["total"] == 0


def test_a_claim_that_another_record_has_taken_meanwhile_is_not_taken_back(
    api: Api, redis_client: redis.Redis
) -> None:
    parcel = stored(api)
    redis_client.delete("$UniquF:Parcel:barcode:b")
    api(Parcel.create, number="2", label="y", barcode="b")
    with pytest.raises(UniquenessError):
        api(parcel.save, update_fields=["barcode"])
