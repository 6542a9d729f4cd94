"""Decay fields of one record that are touched together: one change, whatever indexes cover them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
import redis

from popoto import (
    DecayingSortedField,
    KeyField,
    Model,
    ModelException,
    clock,
    transaction,
)
from tests.driver import Api, RoundTrips
from tests.memory.observed import Both
from tests.truth.oracle import violations

Counting = Callable[[], AbstractContextManager[RoundTrips]]

NOW = 1_700_000_000.0


class Twofold(Model):
    name = KeyField()
    topic = KeyField(default="t")
    warm = DecayingSortedField(partition_by="topic")
    bright = DecayingSortedField()
    loud = DecayingSortedField()

    class Meta:
        indexes = ((("warm", "bright"), True),)


@pytest.fixture
def twofold() -> Twofold:
    with clock.using(NOW):
        return Twofold.create(name="a")


def moments(record: Any) -> list[float]:
    return [record.warm, record.bright, record.loud]


@pytest.mark.parametrize("how", ["alone", "pipeline", "transaction"])
def test_an_outcome_touches_all_of_them(
    api: Api, redis_client: redis.Redis, twofold: Twofold, how: str
) -> None:
    acted = ([twofold], {twofold.pk: "acted"})
    for round_ in (1, 2):
        with clock.using(NOW + round_):
            if how == "alone":
                api(Both().on_context_used, *acted)
            elif how == "pipeline":
                pipeline = redis_client.pipeline()
                api(Both().on_context_used, *acted, pipeline=pipeline)
                pipeline.execute()
            else:
                together = transaction()
                api(Both().on_context_used, *acted, pipeline=together)
                api(together.commit)
        found = api(Twofold.load, name="a", topic="t")
        assert moments(found) == moments(twofold) == [NOW + round_] * 3
        assert Twofold.check_indexes()["total"] == 0
        assert violations(redis_client, Twofold) == []


def test_it_is_one_round_trip(api: Api, twofold: Twofold, round_trips: Counting) -> None:
    api(Both().on_context_used, [twofold], {twofold.pk: "acted"})
    with round_trips() as seen:
        api(Both().on_context_used, [twofold], {twofold.pk: "acted"})
    assert seen.sends == 1


def test_a_transaction_touches_fields_that_no_index_has_in_common(
    api: Api, redis_client: redis.Redis, twofold: Twofold
) -> None:
    together = transaction()
    together.touch(twofold, "loud")
    with pytest.raises(ModelException, match="takes part in this transaction already"):
        together.touch(twofold, "loud")
    together.touch(twofold, "warm")
    for name in ("bright", "warm"):
        with pytest.raises(ModelException, match="takes part in this transaction already"):
            together.touch(twofold, name)
    with clock.using(NOW + 5):
        api(together.commit)
    assert Twofold.check_indexes()["total"] == 0
    assert violations(redis_client, Twofold) == []


def test_one_after_another_they_keep_the_index_too(
    api: Api, redis_client: redis.Redis, twofold: Twofold
) -> None:
    for later, name in enumerate(("warm", "bright", "warm"), 1):
        with clock.using(NOW + later):
            api(twofold.touch, name)
    assert moments(api(Twofold.load, name="a", topic="t")) == [NOW + 3, NOW + 2, NOW]
    assert violations(redis_client, Twofold) == []
