"""Rows of one call that take and leave texts for which one index set stands."""

from __future__ import annotations

import redis

from popoto import IndexedField, KeyField, Model
from tests.driver import Api
from tests.truth.oracle import violations


class Note(Model):
    name = KeyField()
    topic = IndexedField()


#: How ":" stands in a key, as a text: the set of "u:v" is that of this text.
ESCAPED = "u{&#58;}v"


def test_a_text_stays_listed_that_one_row_takes_and_another_leaves(
    api: Api, redis_client: redis.Redis
) -> None:
    first, taking, leaving = (
        api(Note.create, name=name, topic=topic)
        for name, topic in [("a", "p"), ("b", "q"), ("c", ESCAPED)]
    )
    first.topic, taking.topic, leaving.topic = "r", ESCAPED, "s"
    api(Note.bulk_create, [Note(name="new", topic="t"), first, taking, leaving])
    assert [each.name for each in Note.query.filter(topic__contains="{&#58;}")] == ["b"]
    assert violations(redis_client, Note) == []
