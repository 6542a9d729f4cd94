"""Filters and sketches through the life of a model: made anew beside writers, checked, removed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import redis

from popoto import Defaults, ExistenceFilter, KeyField, Model, ModelException, StringField
from popoto.engine.request import Call
from popoto.engine.run import send
from popoto.models.upkeep.rebuilding import Rebuild
from tests.driver import Api, at_the
from tests.interference import before_each_commit
from tests.memory.words import Note, Plain, filter_model, sketch_model

FILTER, SKETCH = "$EF:Note:words", "$FS:Note:counts"


def beside(client: redis.Redis) -> set[str]:
    """The keys of filters and sketches."""
    return {key.decode() for kind in ("$EF*", "$FS*") for key in client.keys(kind)}


def test_a_rebuild_begins_with_nothing(api: Api, redis_client: redis.Redis) -> None:
    note = api(Note.create, name="a", text="kubernetes")
    note.text = "deployment"
    api(note.save)
    api(api(Note.create, name="b", text="gardening").delete)
    for _ in range(2):
        assert api(Note.rebuild_indexes) == 1
        assert api(
            Note.words.might_exist_batch, Note, ["kubernetes", "deployment", "gardening"]
        ) == {
            "kubernetes": False,
            "deployment": True,
            "gardening": False,
        }
        assert api(Note.counts.get_frequency, Note, "deployment") == 1
        assert api(Note.counts.get_frequency, Note, "kubernetes") == 0
    assert beside(redis_client) == {FILTER, SKETCH}
    assert redis_client.ttl(FILTER) == redis_client.ttl(SKETCH) == -1


def test_each_record_counts_once_after_a_rebuild(api: Api) -> None:
    for _ in range(3):
        api(Note.bulk_create, [Note(name=str(each), text="common") for each in range(25)])
    assert api(Note.counts.get_frequency, Note, "common") == 75
    api(Note.rebuild_indexes, batch_size=10)
    assert api(Note.counts.get_frequency, Note, "common") == 25


def test_without_records_nothing_is_left_after_a_rebuild(
    api: Api, redis_client: redis.Redis
) -> None:
    api(api(Note.create, name="a", text="kubernetes").delete)
    assert beside(redis_client) == {FILTER, SKETCH}
    api(Note.rebuild_indexes)
    assert beside(redis_client) == set()
    assert api(Note.words.might_exist, Note, "kubernetes") is False


def test_a_rebuild_without_function_takes_the_keys(api: Api) -> None:
    api(Plain.create, name="kubernetes")
    api(Plain.rebuild_indexes)
    assert api(Plain.words.might_exist, Plain, "kubernetes") is True
    assert api(Plain.counts.get_frequency, Plain, "kubernetes") == 1


def test_records_without_fingerprint_are_reported(api: Api, redis_client: redis.Redis) -> None:
    api(Note.create, name="a", text="kubernetes")
    api(Note.create, name="b", text="deployment")
    redis_client.hset("Note:b", "text", b"\xc0")
    rebuilt = api(Note.rebuild_indexes)
    assert [problem.key for problem in rebuilt.problems] == ["Note:b", "Note:b"]
    for problem, name in zip(rebuilt.problems, ("words", "counts"), strict=True):
        assert problem.reason.startswith(
            f"Note.{name}: no fingerprint: fingerprint_fn returned None"
        )
    assert rebuilt.problem_count == 1
    assert api(Note.words.might_exist, Note, "kubernetes") is True


@pytest.mark.parametrize("number", range(1, 12))
@pytest.mark.parametrize("versions", [(2, 2), (1, 1), (1, 2), (2, 1)])
def test_what_is_saved_meanwhile_is_in_the_old_one_and_in_the_new_one(
    api: Api, monkeypatch: pytest.MonkeyPatch, number: int, versions: tuple[int, int]
) -> None:
    monkeypatch.setattr(Defaults, "HASH_VERSION", versions[0])
    for each in range(6):
        api(Note.create, name=str(each), text=f"word{each}")
    monkeypatch.setattr(Defaults, "HASH_VERSION", versions[1])

    def save_some() -> None:
        Note(name="new", text="brandnew").save()
        note = Note.query.get(name="3")
        assert note is not None
        note.text = "changed"
        note.save(update_fields=["text"])
        assert Note.words.might_exist_count(Note, ["brandnew", "changed"]) == 2

    with monkeypatch.context() as patch:
        before_each_commit(patch, at_the(number, save_some))
        api(Note.rebuild_indexes, batch_size=2)
    words = ["word0", "word5", "brandnew", "changed"]
    expected = 4 if Note.query.get(name="new") else 2
    assert api(Note.words.might_exist_count, Note, words) == expected
    for word in words[:expected]:
        assert api(Note.counts.get_frequency, Note, word) >= 1


class Stepwise:
    """A rebuild that comes as far as it is told."""

    def __init__(self, model: Any) -> None:
        self._plan = Rebuild(model, model._meta, 1000).plan()
        self._step = next(self._plan)

    def until(self, is_there: Callable[[], Any]) -> Any:
        """Go on until something is so; the result at the end."""
        while not is_there():
            step = self._step
            reply = step.function() if isinstance(step, Call) else send(step)
            try:
                self._step = self._plan.send(reply)
            except StopIteration as stop:
                return stop.value
        return None

    def finish(self) -> Any:
        return self.until(lambda: False)

    def stop(self) -> None:
        self._plan.close()


def half_of_a_rebuild(client: redis.Redis, model: Any = Note, key: str = SKETCH) -> Stepwise:
    """One that has taken in the first records."""
    rebuild = Stepwise(model)
    rebuild.until(lambda: client.exists(f"{key}:building"))
    return rebuild


def test_a_rebuild_that_was_killed_leaves_nothing_for_long(redis_client: redis.Redis) -> None:
    Note.create(name="a", text="kubernetes")
    half_of_a_rebuild(redis_client).stop()
    assert all(0 < redis_client.ttl(f"{key}:building") <= 3600 for key in (FILTER, SKETCH))
    Note.create(name="b", text="deployment")
    left = beside(redis_client) - {FILTER, SKETCH}
    assert left == {f"{key}:{end}" for key in (FILTER, SKETCH) for end in ("building", "builder")}
    assert all(0 < redis_client.ttl(key) <= 3600 for key in left)
    assert Note.words.might_exist_count(Note, ["kubernetes", "deployment"]) == 2
    assert Note.check_indexes()["total"] == 0
    Note.rebuild_indexes()
    assert beside(redis_client) == {FILTER, SKETCH}
    assert Note.words.might_exist_count(Note, ["kubernetes", "deployment"]) == 2
    assert Note.counts.get_frequency(Note, "deployment") == 1


def test_what_writers_begin_for_a_rebuild_that_was_killed_expires_too(
    redis_client: redis.Redis,
) -> None:
    rebuild = Stepwise(Note)
    rebuild.until(lambda: redis_client.exists(f"{SKETCH}:builder"))
    rebuild.stop()
    Note.create(name="a", text="kubernetes")
    for key in (FILTER, SKETCH):
        assert 0 < redis_client.ttl(f"{key}:building") <= 3600


def test_of_two_rebuilds_the_later_one_counts(redis_client: redis.Redis) -> None:
    Note.create(name="a", text="kubernetes")
    earlier = half_of_a_rebuild(redis_client)
    later = Stepwise(Note)
    later.until(lambda: not redis_client.exists(f"{SKETCH}:building"))
    rebuilt = earlier.finish()
    assert [problem.key for problem in rebuilt.problems] == [FILTER, SKETCH]
    assert "another rebuild" in rebuilt.problems[0].reason
    assert later.finish().problems == []
    assert Note.words.might_exist(Note, "kubernetes") is True
    assert Note.counts.get_frequency(Note, "kubernetes") == 1
    assert beside(redis_client) == {FILTER, SKETCH}


def test_a_writer_of_other_settings_is_refused_while_it_is_made_anew(
    redis_client: redis.Redis,
) -> None:
    Old, New = filter_model(capacity=1_000), filter_model(capacity=2_000)
    Old.create(name="a", text="kubernetes")
    rebuild = half_of_a_rebuild(redis_client, New, "$EF:Page:words")
    with pytest.raises(ModelException, match="nothing was written"):
        Old.create(name="b", text="deployment")
    rebuild.finish()
    assert New.words.might_exist(New, "kubernetes") is True


def test_a_filter_of_version_1_that_has_another_form_takes_nothing(
    api: Api, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its length does not tell, since it ends with the last bit that is set."""
    monkeypatch.setattr(Defaults, "HASH_VERSION", 1)
    api(Note.create, name="a", text="kubernetes")
    mark: Any = redis_client.get(f"{FILTER}:form")
    redis_client.set(f"{FILTER}:form", mark.replace(b"1", b"2"))
    before = redis_client.get(FILTER)
    with pytest.raises(ModelException, match=r"rebuild_indexes\(\)"):
        api(Note.create, name="b", text="deployment")
    assert redis_client.get(FILTER) == before
    assert not redis_client.exists("Note:b")
    api(Note.rebuild_indexes)
    api(Note.create, name="b", text="deployment")


@pytest.mark.parametrize("versions", [(1, 2), (2, 1)])
def test_a_rebuild_makes_it_in_the_version_that_is_set(
    api: Api,
    redis_client: redis.Redis,
    monkeypatch: pytest.MonkeyPatch,
    versions: tuple[int, int],
) -> None:
    marks: list[list[bytes]] = []
    for version in versions:
        monkeypatch.setattr(Defaults, "HASH_VERSION", version)
        api(Note.create, name="a", text="kubernetes", overwrite=True)
        api(Note.rebuild_indexes)
        note = redis_client.get(f"{FILTER}:form") or redis_client.get(FILTER)[-64:]
        marks.append([note[:15], redis_client.hget(SKETCH, "form")[:15]])
        assert api(Note.words.might_exist, Note, "kubernetes") is True
        assert api(Note.counts.get_frequency, Note, "kubernetes") == 1
    assert marks == [
        [b"popoto %d filter" % version, b"popoto %d sketch" % version] for version in versions
    ]


def test_a_key_of_another_kind_is_not_replaced(api: Api, redis_client: redis.Redis) -> None:
    redis_client.rpush(FILTER, "a list")
    with pytest.raises(ModelException, match="holds a list where a string belongs"):
        api(Note.rebuild_indexes)
    assert redis_client.lrange(FILTER, 0, -1) == [b"a list"]


# ── Upkeep ───────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("version", [1, 2])
def test_upkeep_finds_nothing_wrong_with_them(
    api: Api, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch, version: int
) -> None:
    monkeypatch.setattr(Defaults, "HASH_VERSION", version)
    api(Note.create, name="a", text="kubernetes")
    before = beside(redis_client)
    assert api(Note.check_indexes)["total"] == 0
    assert api(Note.clean_indexes) == 0
    assert beside(redis_client) == before


@pytest.mark.parametrize("version", [1, 2])
def test_delete_all_leaves_no_key(
    api: Api, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch, version: int
) -> None:
    monkeypatch.setattr(Defaults, "HASH_VERSION", version)
    api(Note.bulk_create, [Note(name=str(each), text=f"word{each}") for each in range(5)])
    half_of_a_rebuild(redis_client).stop()
    assert api(Note.delete_all) == 5
    assert redis_client.keys("*") == []


def test_those_of_a_field_that_is_gone_are_reported_and_removed_by_a_rebuild(
    api: Api, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Defaults, "HASH_VERSION", 1)
    api(filter_model("Leaf").create, name="a", text="kubernetes")
    api(sketch_model("Leaf").create, name="b", text="kubernetes")

    class Leaf(Model):
        name = KeyField()
        text = StringField(null=True)
        renamed = ExistenceFilter(fingerprint_fn=lambda record: record.text)

    assert beside(redis_client) == {"$EF:Leaf:words", "$EF:Leaf:words:form", "$FS:Leaf:counts"}
    found = api(Leaf.check_indexes)
    assert found["abandoned_indexes"] == {"$EF:Leaf:words": 1, "$FS:Leaf:counts": 1}
    assert found["total"] == 2
    assert api(Leaf.clean_indexes) == 0
    api(Leaf.rebuild_indexes)
    assert beside(redis_client) == {"$EF:Leaf:renamed", "$EF:Leaf:renamed:form"}
    assert api(Leaf.check_indexes)["total"] == 0
    assert api(Leaf.renamed.might_exist, Leaf, "kubernetes") is True


def test_the_model_of_another_name_is_left_alone(api: Api, redis_client: redis.Redis) -> None:
    api(filter_model("Leaf").create, name="a", text="kubernetes")
    api(filter_model("Leaflet").create, name="a", text="deployment")
    api(filter_model("Leaf").delete_all)
    assert beside(redis_client) == {"$EF:Leaflet:words"}
