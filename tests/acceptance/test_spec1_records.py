"""What popoto 1.6 left in records, and other small print of keys and records."""

from __future__ import annotations

import msgpack
import pytest
import redis

from popoto import KeyField, Model, StringField
from tests.driver import Api


class Note(Model):
    name = KeyField()
    text = StringField(max_length=3)


@pytest.mark.parametrize(("stored", "text"), [(5, "5"), (2.5, "2.5"), (True, "True")])
def test_a_number_that_1_6_left_in_a_text_field_reads_as_text(
    api: Api, redis_client: redis.Redis, stored: object, text: str
) -> None:
    Note(name="a").save()
    redis_client.hset("Note:a", "text", msgpack.packb(stored))
    for found in (api(Note.query.get, name="a"), Note.query.filter(name="a")[0]):
        assert found is not None
        assert found.text == text
        assert found.to_dict() == {"name": "a", "text": text}
