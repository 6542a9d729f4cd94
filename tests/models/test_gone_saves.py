"""A save of a record that somebody else has deleted, or that expired: it does not come back."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import redis

from popoto import (
    IndexedField,
    IntField,
    KeyField,
    Model,
    ModelException,
    StringField,
    UniqueField,
    transaction,
)
from popoto.exceptions import BulkError, ConflictError, NotStoredError, RecordGoneError, RowError
from tests.driver import Api

GONE = "'Session:a' is not stored any more.*nothing was written"


class Session(Model):
    token = KeyField()
    user = IndexedField()
    mail = UniqueField(type=str)
    hits = IntField(default=0)


class Plain(Model):
    """Nothing but the key follows from its values."""

    token = KeyField()
    note = StringField()


class Watched(Model):
    token = KeyField()
    note = StringField()

    def save(self, *arguments: Any, **options: Any) -> Any:
        type(self)._log.append(sorted(options))
        return super().save(*arguments, **options)

    _log: list[list[str]] = []


def nothing_is_stored(client: redis.Redis) -> bool:
    return client.keys("*Session*") == [] and Session.query.count() == 0


@pytest.fixture(params=["created", "loaded", "found", "pickled"])
def session(request: pytest.FixtureRequest) -> Session:
    """An instance of a stored record, however it came about."""
    created = Session.create(token="a", user="ann", mail="a@x")
    if request.param == "loaded":
        (created,) = [Session.query.get(token="a")]
    elif request.param == "found":
        (created,) = Session.query.filter(user="ann").all()
    elif request.param == "pickled":
        created = pickle.loads(pickle.dumps(created))
    assert created is not None
    return created


def by_another(client: redis.Redis) -> None:
    Session(token="a").delete()


def by_a_query(client: redis.Redis) -> None:
    Session.query.filter(user="ann").delete()


def by_delete_all(client: redis.Redis) -> None:
    Session.delete_all()


def by_hand(client: redis.Redis) -> None:
    client.delete("Session:a")


def by_time(client: redis.Redis) -> None:
    client.pexpire("Session:a", 0)


@pytest.mark.parametrize("taken_away", [by_another, by_a_query, by_delete_all, by_hand, by_time])
@pytest.mark.parametrize("changes", [{}, {"hits": 1}, {"user": "bob"}, {"mail": "b@x"}], ids=str)
def test_it_is_refused_and_nothing_is_written(
    api: Api,
    redis_client: redis.Redis,
    session: Session,
    taken_away: Callable[[redis.Redis], None],
    changes: dict[str, Any],
) -> None:
    taken_away(redis_client)
    for name, value in changes.items():
        setattr(session, name, value)
    with pytest.raises(RecordGoneError, match=GONE):
        api(session.save)
    assert not redis_client.exists("Session:a")
    assert Session.query.count() == Session.query.filter(user="bob").count() == 0
    api(Session.create, token="b", user="bob", mail=changes.get("mail", "a@x"))


def test_the_error_is_what_partial_saves_raise_as_well(api: Api, session: Session) -> None:
    Session(token="a").delete()
    session.hits = 3
    with pytest.raises(RecordGoneError, match=GONE) as caught:
        api(session.save, update_fields=["hits"])
    assert isinstance(caught.value, NotStoredError)
    assert isinstance(caught.value, ModelException)


def test_it_is_written_again_whole_on_request(api: Api, session: Session) -> None:
    Session(token="a").delete()
    session.hits = 3
    assert api(session.save, recreate=True) == 4
    assert api(Session.query.get, mail="a@x").to_dict() == {
        "token": "a",
        "user": "ann",
        "mail": "a@x",
        "hits": 3,
    }
    session.hits = 4
    api(session.save)
    assert api(Session.query.get, token="a").hits == 4


def test_the_wish_changes_nothing_where_the_record_is_there(api: Api, session: Session) -> None:
    other = Session.query.get(token="a")
    assert other is not None
    other.user = "other"
    other.save()
    session.hits = 3
    api(session.save, recreate=True)
    found = api(Session.query.get, token="a")
    assert (found.user, found.hits) == ("other", 3)
    api(Session(token="b", mail="b@x").save, recreate=True)
    assert api(Session.query.count) == 2


def test_an_instance_that_has_deleted_itself_may_be_saved_again(api: Api, session: Session) -> None:
    assert api(session.delete) is True
    api(session.save)
    assert api(Session.query.filter(user="ann").count) == 1
    assert api(Session.bulk_delete, [session]) == 1
    api(session.save)
    joined = transaction()
    joined.delete(session)
    api(joined.commit)
    api(session.save)
    assert api(Session.query.count) == 1


def test_a_new_instance_of_the_same_key_is_a_new_record(api: Api, session: Session) -> None:
    Session(token="a").delete()
    api(Session(token="a", mail="n@x").save)
    session.hits = 5
    api(session.save)
    found = api(Session.query.get, token="a")
    assert (found.mail, found.hits) == ("n@x", 5)


def test_a_bare_record_is_refused_as_well(api: Api, redis_client: redis.Redis) -> None:
    plain = api(Plain.create, token="a", note="x")
    redis_client.delete("Plain:a")
    plain.note = "y"
    with pytest.raises(RecordGoneError):
        api(plain.save)
    assert redis_client.keys("Plain*") == []


def test_in_a_transaction_it_refuses_the_whole(api: Api, redis_client: redis.Redis) -> None:
    kept, gone = (api(Session.create, token=each, mail=f"{each}@x") for each in "ba")
    Session(token="a").delete()
    kept.hits = gone.hits = 9
    joined = transaction()
    joined.save(kept)
    joined.save(gone)
    with pytest.raises(RecordGoneError, match=GONE) as caught:
        api(joined.commit)
    assert "Operation 1 of the transaction" in caught.value.__notes__[0]
    assert [each.hits for each in api(Session.query.all)] == [0]
    joined = transaction()
    joined.save(kept)
    joined.save(gone, recreate=True)
    api(joined.commit)
    assert [each.hits for each in api(Session.query.all)] == [9, 9]


def test_in_bulk_its_row_is_refused(api: Api) -> None:
    kept, gone = (api(Session.create, token=each, mail=f"{each}@x") for each in "ba")
    Session(token="a").delete()
    kept.hits = gone.hits = 9
    with pytest.raises(BulkError, match=GONE.replace("nothing", "")):
        api(Session.bulk_create, [kept, gone])
    refused: list[RowError] = []
    assert api(Session.bulk_create, [kept, gone], on_error=refused.append) == [kept]
    assert [(row.position, type(row.error)) for row in refused] == [(1, RecordGoneError)]
    assert [each.pk for each in api(Session.query.all)] == ["Session:b"]
    assert api(Session.bulk_create, [kept, gone], recreate=True) == [kept, gone]
    assert api(Session.query.count) == 2


def test_a_row_that_is_refused_does_not_speak_for_a_new_record_of_its_key(api: Api) -> None:
    gone = api(Session.create, token="a", mail="a@x")
    Session(token="a").delete()
    new = Session(token="a", user="new", mail="n@x")
    refused: list[RowError] = []
    assert api(Session.bulk_create, [gone, new], on_error=refused.append) == [new]
    assert [each.user for each in api(Session.query.all)] == ["new"]
    assert [row.position for row in refused] == [0]


def test_in_a_pipeline_it_is_refused_when_it_is_queued(
    redis_client: redis.Redis, session: Session
) -> None:
    Session(token="a").delete()
    pipeline = redis_client.pipeline()
    with pytest.raises(RecordGoneError):
        session.save(pipeline=pipeline)
    assert pipeline.execute() == []
    session.save(pipeline=pipeline, recreate=True)
    pipeline.execute()
    assert Session.query.filter(user="ann").count() == 1


def test_in_a_pipeline_that_deletes_it_before_it_is_refused(
    redis_client: redis.Redis, session: Session
) -> None:
    pipeline = redis_client.pipeline()
    Session(token="a").delete(pipeline=pipeline)
    with pytest.raises(RecordGoneError):
        session.save(pipeline=pipeline)
    pipeline.execute()
    assert nothing_is_stored(redis_client)


def test_in_a_pipeline_a_delete_after_it_was_queued_makes_it_fail(
    redis_client: redis.Redis, session: Session
) -> None:
    pipeline = redis_client.pipeline()
    session.user = "bob"
    session.save(pipeline=pipeline)
    Session(token="a").delete()
    with pytest.raises(redis.exceptions.ResponseError, match="nothing was written"):
        pipeline.execute()
    assert nothing_is_stored(redis_client)


def test_an_instance_whose_pipeline_was_dropped_was_never_stored(redis_client: redis.Redis) -> None:
    new = Session(token="a", user="ann", mail="a@x")
    new.save(pipeline=redis_client.pipeline())
    new.save()
    assert Session.query.filter(user="ann").count() == 1


def test_a_save_that_a_delete_overtakes_is_refused_by_the_commit_itself(
    redis_client: redis.Redis,
) -> None:
    """Nobody looks before: of any order in which they arrive, none brings it back."""

    async def race() -> None:
        for _ in range(30):
            session = await Session.async_create(token="a", user="ann", mail="a@x")
            other = await Session.query.async_get(token="a")
            session.user = "bob"
            await asyncio.gather(other.async_delete(), session.async_save(), return_exceptions=True)
            assert nothing_is_stored(redis_client)

    asyncio.run(race())


def test_an_expectation_that_fails_is_told_first(api: Api, session: Session) -> None:
    Session(token="a").delete()
    with pytest.raises(ConflictError):
        api(session.save, expected=True, recreate=True)


def test_update_or_create_creates_what_was_deleted_after_it_was_found(
    api: Api, redis_client: redis.Redis
) -> None:
    class Fleeting(Model):
        name = KeyField()
        note = StringField()

        def pre_save(self, **kwargs: Any) -> Any:
            if self._is_persisted:
                redis_client.delete("Fleeting:a")
            return super().pre_save(**kwargs)

    api(Fleeting.create, name="a", note="old")
    found, created = api(Fleeting.update_or_create, name="a", defaults={"note": "new"})
    assert (found.note, created) == ("new", True)
    assert [each.note for each in api(Fleeting.query.all)] == ["new"]


def test_a_save_of_the_class_is_told_what_the_caller_wants(api: Api) -> None:
    watched = api(Watched.create, token="a", note="x")
    Watched(token="a").delete()
    Watched._log.clear()
    watched.note = "y"
    with pytest.raises(BulkError, match="not stored any more"):
        api(Watched.bulk_create, [watched])
    api(Watched.bulk_create, [watched], recreate=True)
    assert Watched._log == [[], ["recreate"]]
    assert [each.note for each in api(Watched.query.all)] == ["y"]
