"""Writes that are no saves ask no write filter, and teach no existence filter and no sketch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import redis

from popoto import (
    SET_NULL,
    DecayingSortedField,
    ExistenceFilter,
    FrequencySketch,
    IntField,
    KeyField,
    ListField,
    Model,
    Relationship,
    WriteFilterMixin,
)
from tests.driver import Api


class Speaker(Model):
    name = KeyField()


class Remark(WriteFilterMixin, Model):
    name = KeyField()
    by: Relationship[Speaker] = Relationship(Speaker, on_delete=SET_NULL)
    number = IntField(default=5000)
    log = ListField(max_length=3)
    relevance = DecayingSortedField(base_score_field="number")
    heard_of = ExistenceFilter(fingerprint_fn=lambda remark: f"word{remark.number}")
    often = FrequencySketch(fingerprint_fn=lambda remark: f"word{remark.number}")

    def compute_filter_score(self) -> float:
        return 0.9 if self.number == 5000 else 0.0


WRITES: dict[str, Callable[[Api, Remark], Any]] = {
    "atomic_increment": lambda api, remark: api(remark.atomic_increment, "number", 1),
    "push": lambda api, remark: api(remark.log.push, "x"),
    "touch": lambda api, remark: api(remark.touch, "relevance"),
    "raw_update": lambda api, remark: api(Remark.raw_update, [remark.pk], number=5001),
    "lets go": lambda api, _: api(Speaker.query.get("ann").delete),
    "lets go in bulk": lambda api, _: api(Speaker.query.filter(name="ann").delete),
}


@pytest.mark.parametrize("name", WRITES)
def test_what_is_no_save_is_neither_asked_nor_counted(
    api: Api, redis_client: redis.Redis, name: str
) -> None:
    remark = api(Remark.create, name="a", by=Speaker.create(name="ann"))
    WRITES[name](api, remark)
    assert redis_client.zrange("$WF:Remark:priority", 0, -1) == [b"Remark:a"]
    assert api(Remark.heard_of.definitely_missing, Remark, "word5001")
    assert api(Remark.often.get_frequency, Remark, "word5000") == 1
    assert api(Remark.often.get_frequency, Remark, "word5001") == 0


def test_a_save_afterwards_is(api: Api) -> None:
    remark = api(Remark.create, name="a")
    api(Remark.raw_update, [remark.pk], number=5001)
    stored = api(Remark.query.get, name="a")
    assert api(stored.save) is False
    api(Remark.rebuild_indexes)
    assert api(Remark.heard_of.might_exist, Remark, "word5001")
