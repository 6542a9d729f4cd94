"""Exceptions: one class per name, the documented bases, and what they say."""

from __future__ import annotations

import copy
import logging
import pickle
from typing import Any

import pytest
import redis

import popoto
from popoto import KeyField, Model, exceptions, redis_db
from popoto.models import query
from tests.driver import Api


@pytest.mark.parametrize(
    ("name", "base"),
    [
        ("PopotoException", Exception),
        ("ModelException", Exception),
        ("KeyMutationError", exceptions.ModelException),
        ("SkipSaveException", exceptions.ModelException),
        ("UniquenessError", exceptions.ModelException),
        ("AlreadyExistsError", exceptions.ModelException),
        ("ValidationError", exceptions.ModelException),
        ("QueryException", Exception),
        ("PublisherException", Exception),
        ("SubscriberException", Exception),
    ],
)
def test_bases(name: str, base: type[Exception]) -> None:
    assert issubclass(getattr(exceptions, name), base)


def test_one_class_per_name() -> None:
    for name in (
        "ModelException",
        "KeyMutationError",
        "QueryException",
        "PublisherException",
        "SubscriberException",
        "SkipSaveException",
    ):
        assert getattr(popoto, name) is getattr(exceptions, name)
    assert query.QueryException is exceptions.QueryException
    assert redis_db.PopotoException is exceptions.PopotoException


def test_a_framework_exception_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, logger="POPOTO-REDIS_DB"):
        error = exceptions.PopotoException("it broke")
    assert (error.message, str(error)) == ("it broke", "it broke")
    assert "it broke" in caplog.text


def test_other_exceptions_are_not_logged_for_being_made(caplog: pytest.LogCaptureFixture) -> None:
    exceptions.ModelException("quiet")
    exceptions.QueryException("quiet")
    assert caplog.text == ""


class Thing(Model):
    name = KeyField()


def test_errors_of_the_server_pass_through(
    api: Api, redis_client: redis.Redis, tmp_path: object
) -> None:
    redis_db.set_REDIS_DB_settings(unix_socket_path=f"{tmp_path}/nobody.sock")
    for call in (
        lambda: api(Thing(name="a").save),
        lambda: api(Thing(name="a").delete),
        lambda: api(Thing.query.get, name="a"),
        lambda: api(Thing.query.all),
        lambda: api(Thing.query.count),
    ):
        with pytest.raises(redis.ConnectionError):
            call()


def test_an_instance_survives_a_failed_save(api: Api, redis_client: redis.Redis) -> None:
    thing = Thing(name="a")
    redis_client.set("$Class:Thing", "wrong")
    with pytest.raises(popoto.ModelException):
        api(thing.save)
    assert (thing._is_persisted, thing._saved_field_values) == (False, {})
    redis_client.delete("$Class:Thing")
    assert api(thing.save) == 1


def example_of(kind: type[Exception]) -> Exception:
    """An exception as our code makes it, with what it carries."""
    if kind is exceptions.BulkError:
        row = exceptions.RowError(3, "Lamp:a", exceptions.UniquenessError("taken"))
        return exceptions.BulkError("one row", [row], 2, [1])
    if kind is exceptions.NotReplicatedError:
        return exceptions.NotReplicatedError("too few", wanted=2, replicas=1, result=7)
    if kind is exceptions.ConflictError:
        return exceptions.ConflictError("other", expected={"a": 1}, stored=None, mine={"a": 2})
    if kind is exceptions.ValidationError:
        return exceptions.ValidationError("no", model_name="Lamp", field_name="a", value={1})
    if kind is exceptions.ProtectedError:
        return exceptions.ProtectedError("held", ["Lamp:a"])
    return kind("a message")


@pytest.mark.parametrize(
    "kind",
    [
        each
        for each in vars(exceptions).values()
        if isinstance(each, type) and issubclass(each, Exception)
    ],
)
@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda each: pickle.loads(pickle.dumps(each))]
)
def test_they_pass_between_processes(kind: type[Exception], copied: Any) -> None:
    error = example_of(kind)
    error.add_note("a note")
    passed = copied(error)
    assert type(passed) is kind
    assert str(passed) == str(error)
    assert passed.args == error.args
    # Rows carry errors, which are equal to themselves alone.
    assert repr(vars(passed)) == repr(vars(error))
    assert passed.__notes__ == ["a note"]
