"""Another program's key where a signal of a ranking is kept is named, with what belongs there."""

from __future__ import annotations

import re

import pytest
import redis

from popoto import (
    AccessTrackerMixin,
    ConfidenceField,
    CyclicDecayField,
    DecayingSortedField,
    FloatField,
    KeyField,
    Model,
    QueryException,
    TemporalPeriod,
)
from tests.driver import Api


class Tide(AccessTrackerMixin, Model):
    name = KeyField()
    weight = FloatField(default=1.0)
    fresh = DecayingSortedField(base_score_field="weight")
    level = CyclicDecayField(
        cycles=[(TemporalPeriod.WEEKLY, 3.0, 0)], pressure_rate=0.1, base_score_field="weight"
    )
    sure = ConfidenceField()


@pytest.mark.parametrize(
    ("signal", "key", "kind"),
    [
        ("fresh", "$DecayingSortF:Tide:fresh", "zset"),
        ("fresh", "$DecayBase:Tide:fresh", "zset"),
        ("level", "$CyclicDecayF:Tide:level", "zset"),
        ("level", "$DecayBase:Tide:level", "zset"),
        ("level", "$CyclicDecayF:Tide:level:cycles", "hash"),
        ("level", "$CyclicDecayF:Tide:level:pressure", "hash"),
        ("sure", "$ConfidencF:Tide:sure:data", "hash"),
        ("access_count", "$Values:Tide:$keys", "zset"),
    ],
)
def test_it_is_named(api: Api, redis_client: redis.Redis, signal: str, key: str, kind: str) -> None:
    api(Tide.create, name="a")
    assert redis_client.delete(key) == 1
    redis_client.set(key, "text")
    told = re.escape(f"{key}' is a string instead of a {kind}. ")
    with pytest.raises(QueryException, match=told):
        api(Tide.query.composite_score, {signal: 1.0})
