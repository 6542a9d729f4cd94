"""Records of a model that defines its own `save` go through it when they are imported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import redis

from popoto import DatetimeField, KeyField, Model, StringField
from tests.cli.running import exported, imported

HERE = "tests.cli.test_models_with_their_own_save"
SAVED: list[dict[str, Any]] = []


class Letter(Model):
    name = KeyField()
    text = StringField()
    changed = DatetimeField(auto_now=True)

    def save(self, *args: Any, **kwargs: Any) -> Any:
        SAVED.append(kwargs)
        return super().save(*args, **kwargs)


def test_it_is_called_and_told_to_keep_times(tmp_path: Path, redis_client: redis.Redis) -> None:
    letter = Letter.create(name="a", text="x")
    before = redis_client.hgetall("Letter:a")
    path = tmp_path / "letters.jsonl"
    exported(path, HERE)
    letter.delete()
    SAVED.clear()
    assert imported(path, HERE) == 0
    assert SAVED == [{"skip_auto_now": True}]
    assert redis_client.hgetall("Letter:a") == before


def test_records_that_exist_are_left_alone(tmp_path: Path, redis_client: redis.Redis) -> None:
    Letter.create(name="a", text="x")
    path = tmp_path / "letters.jsonl"
    exported(path, HERE)
    letter = Letter.query.get(name="a")
    letter.text = "newer"
    letter.save()
    before = redis_client.hgetall("Letter:a")
    assert imported(path, HERE) == 1
    assert redis_client.hgetall("Letter:a") == before
    assert imported(path, HERE, "--existing", "skip") == 0
    assert redis_client.hgetall("Letter:a") == before
    assert imported(path, HERE, "--existing", "replace") == 0
    assert Letter.query.get(name="a").text == "x"
