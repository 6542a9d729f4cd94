"""Names that the server tells, or that are stored: a hash tag stands on the wire alone."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import redis

from popoto import ModelException
from tests.driver import Api

from .models import City, House, holder, street

pytestmark = [pytest.mark.cluster, pytest.mark.slow]


def test_pointers_of_later_versions_name_sets_as_models_do(
    api: Api, state: Callable[[], redis.Redis], nodes: list[redis.Redis]
) -> None:
    street()
    server = holder(nodes, "House")
    keys = ("$IdxPtr:House:1:colour", "House:1\0idxptr\0colour")
    for key in keys:
        server.set("{House}" + key, "$IndexF:House:colour:red")
    server.hset("{House}House:1", "colour\0idxset", "$IndexF:House:colour:red")
    house = api(House.query.get, number=1)
    house.colour = "green"
    api(house.save)
    stored = state()
    named = [*(stored.get(key) for key in keys), stored.hget("House:1", "colour\0idxset")]
    assert named == [b"$IndexF:House:colour:green"] * 3
    assert api(house.delete)


def test_errors_of_every_write_name_keys_as_models_do(api: Api, nodes: list[redis.Redis]) -> None:
    street()
    key = "$IndexF:House:colour:grey"
    server = holder(nodes, "House")
    server.set("{House}" + key, "foreign")
    house = api(House.query.get, number=1)
    house.colour = "grey"
    field = House._meta.fields["colour"]
    for write in (
        lambda: api(house.save),
        lambda: api(House.bulk_create, [House(number=99, colour="grey", city=City.query.first())]),
        lambda: field.on_save(house, field_name="colour", field_value="grey"),
    ):
        with pytest.raises(ModelException, match=r"the key '\$IndexF:House:colour:grey' holds a"):
            write()
    pipeline = server.pipeline()
    house.save(pipeline=pipeline)
    with pytest.raises(redis.ResponseError, match=r"nothing was written: \$IndexF:House:colour"):
        pipeline.execute()
    server.delete("{House}" + key)
