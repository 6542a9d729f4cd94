"""Keys of other programs, rights that a user lacks, numbers that are none: all or nothing."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis
from redis.exceptions import NoPermissionError, OutOfMemoryError, RedisError

from popoto import Field, IndexedField, KeyField, ModelException, StringField, redis_db
from popoto.engine.batch import Batch
from popoto.engine.request import Request
from popoto.engine.run import run
from popoto.exceptions import CommandRefusedError, NotStoredError, UniquenessError
from popoto.models.base import Model
from tests.driver import Api
from tests.truth.everything import OPERATIONS, Operation, Ship, fill, state
from tests.truth.traced import calls, traced

pytestmark = pytest.mark.slow(0.1)  # and they are many

State = dict[bytes, object]


@pytest.fixture
def sync() -> Iterator[Api]:
    api = Api(is_async=False)
    yield api
    api.close()


def outcome(client: redis.Redis, api: Api, operation: Operation) -> tuple[State, State]:
    """What is stored before an operation, and after it on a server where nothing is in its way."""
    client.flushall()
    ships = fill()
    before = state(client)
    operation(api, ships)
    return before, state(client)


def problem_of(operation: Operation, api: Api, ships: dict[str, Ship]) -> Exception | None:
    try:
        operation(api, ships)
    except (ModelException, RedisError) as error:
        return error
    return None


# Keys of other programs -----------------------------------------------------------------------


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_key_that_another_program_uses_is_named_and_nothing_is_written(
    redis_client: redis.Redis, sync: Api, name: str
) -> None:
    operation = OPERATIONS[name]
    before, done = outcome(redis_client, sync, operation)
    written = {key for key in {*before, *done} if before.get(key) != done.get(key)}
    assert written
    for key in sorted({*before, *done}):
        redis_client.flushall()
        ships = fill()
        redis_client.delete(key)
        redis_client.set(key, "another program's")
        planted = state(redis_client)
        problem = problem_of(operation, sync, ships)
        if problem is None:
            assert key not in written, key
            assert redis_client.get(key) == b"another program's"
            continue
        told = str(problem)
        # In a pipeline the refusal may be an error of its execute().
        if name != "pipeline" or isinstance(problem, ModelException):
            assert re.search(r"holds a string where a \w+ belongs", told), (key, told)
            assert "Rename or delete that key" in told
        assert key.decode() in told
        assert "nothing was written" in told
        assert state(redis_client) == planted, key


@pytest.mark.parametrize("name", ["delete", "save", "increment"])
def test_what_is_read_before_the_first_try_is_named_too(
    redis_client: redis.Redis, api: Api, name: str
) -> None:
    tool = Ship(name="a", note="x")
    ships = fill()
    redis_client.delete("Ship:a")
    redis_client.set("Ship:a", "another program's")
    ways: dict[str, Callable[[], object]] = {
        "delete": lambda: api(tool.delete),
        "save": lambda: api(tool.save, update_fields=["note"]),
        "increment": lambda: api(
            ships["a"].atomic_increment, "trips", 1, pipeline=redis_db.POPOTO_REDIS_DB.pipeline()
        ),
    }
    with pytest.raises(ModelException, match="'Ship:a' holds a string where a hash belongs"):
        ways[name]()


@pytest.mark.parametrize("key", ["$Class:Ship", "$Values:Ship:$keys", "$Expiry:Ship"])
@pytest.mark.parametrize("work", ["clean_indexes", "rebuild_indexes"])
def test_upkeep_names_it_too(redis_client: redis.Redis, api: Api, work: str, key: str) -> None:
    fill()
    redis_client.delete(key)
    redis_client.set(key, "another program's")
    planted = state(redis_client)
    with pytest.raises(ModelException, match=rf"{re.escape(key)}' holds a string where a z?set"):
        api(getattr(Ship, work))
    assert state(redis_client) == planted


def test_emptying_names_the_class_set(redis_client: redis.Redis, api: Api) -> None:
    fill()
    redis_client.delete("$Class:Ship")
    redis_client.set("$Class:Ship", "another program's")
    planted = state(redis_client)
    with pytest.raises(ModelException, match=r"\$Class:Ship' holds a string where a set belongs"):
        api(Ship.delete_all)
    assert state(redis_client) == planted


def test_an_expectation_of_what_is_no_record_says_so(redis_client: redis.Redis, api: Api) -> None:
    ships = fill()
    redis_client.delete("Ship:a")
    redis_client.set("Ship:a", "another program's")
    ships["a"].note = "x"
    with pytest.raises(ModelException, match="'Ship:a' holds a string where a hash belongs"):
        api(ships["a"].save, update_fields=["note"], expected={"trips": 0})


# Numbers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("found", ["many", "007", "1.5", "9" * 19, ""])
@pytest.mark.parametrize("name", ["create", "save", "delete", "bulk_create", "transaction"])
def test_text_where_a_number_belongs_is_named(
    redis_client: redis.Redis, api: Api, name: str, found: str
) -> None:
    ships = fill()
    redis_client.hset("$Values:Ship", "flag", found)
    planted = state(redis_client)
    with pytest.raises(ModelException, match=r"\$Values:Ship' holds .* under 'flag' where a whole"):
        OPERATIONS[name](api, ships)
    assert state(redis_client) == planted


# Rights ----------------------------------------------------------------------------------------


@pytest.fixture
def limited(redis_client: redis.Redis, server_url: str) -> Iterator[list[str]]:
    """Rights to be given to the user `limited`, by whom popoto then connects."""
    rights: list[str] = []
    yield rights
    redis_client.acl_deluser("limited")


def connect(server_url: str, user: str | None) -> None:
    redis_db.set_REDIS_DB_settings(
        unix_socket_path=urlsplit(server_url).path, username=user, password=user and "pw"
    )


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_user_who_may_not_use_a_command_writes_nothing_or_all(
    redis_client: redis.Redis, sync: Api, server_url: str, name: str
) -> None:
    operation = OPERATIONS[name]
    _, done = outcome(redis_client, sync, operation)
    with traced():
        outcome(redis_client, sync, operation)
    commands = {each.name.lower() for call in calls(redis_client) for each in call}
    for command in sorted(commands):
        redis_client.flushall()
        ships = fill()
        before = state(redis_client)
        redis_client.execute_command(
            "ACL", "SETUSER", "limited", "reset", "on", ">pw", "~*", "&*", "+@all", f"-{command}"
        )
        connect(server_url, "limited")
        with contextlib.suppress(RedisError, ModelException):
            operation(sync, ships)
        connect(server_url, None)
        assert state(redis_client) in (before, done), command
    redis_client.acl_deluser("limited")


@pytest.mark.parametrize("key", ["$GeoF:Ship:place", "$Class:Ship", "stream:ships", "$Expiry:Ship"])
def test_a_user_who_may_write_some_keys_by_one_selector_and_call_scripts_by_another(
    redis_client: redis.Redis, api: Api, server_url: str, key: str
) -> None:
    """The server lets the script begin, since that right is for all keys."""
    if redis_client.info("server")["redis_version"] < "7":
        return
    fill()
    before = state(redis_client)
    allowed = " ".join(f"~{name.decode()}" for name in before if name != key.encode())
    redis_client.execute_command(
        *("ACL", "SETUSER", "limited", "reset", "on", ">pw", "~*", "+evalsha", "+eval", "&*"),
        f"(+@all {allowed} ~$Late:* ~Ship:* ~*new* ~*blue ~*:q ~*:4 ~*:s)",
    )
    connect(server_url, "limited")
    with pytest.raises(NoPermissionError, match=r"nothing was written|ACL|permission"):
        OPERATIONS["create"](api, {})
    connect(server_url, None)
    redis_client.acl_deluser("limited")
    assert state(redis_client) == before


class Account(Model):
    name = KeyField()
    tenant = StringField()
    email = StringField()
    nick = Field(type=str, unique=True)
    tag = IndexedField(default="x")

    class Meta:
        indexes = ((("tenant", "email"), True),)


@pytest.fixture
def other_tenant(redis_client: redis.Redis, server_url: str) -> Iterator[Account]:
    """A record of ours, on a connection that may not read the record of another tenant."""
    Account.create(name="globex1", tenant="t", email="a", nick="g")
    Account.create(name="acme1", tenant="t", email="b", nick="n")
    redis_client.execute_command(
        *("ACL", "SETUSER", "limited", "reset", "on", ">pw", "&*", "+@all", "-@dangerous"),
        *("~Account:acme*", "~$*Account*"),
    )
    connect(server_url, "limited")
    mine = Account.query.get(name="acme1")
    assert mine is not None
    yield mine
    connect(server_url, None)
    redis_client.acl_deluser("limited")


@pytest.mark.parametrize("taken", [{"email": "a"}, {"nick": "g"}], ids=str)
def test_what_a_record_holds_that_the_user_may_not_read_is_taken(
    redis_client: redis.Redis, api: Api, other_tenant: Account, taken: dict[str, str]
) -> None:
    before = state(redis_client)
    values = {"tenant": "t", "email": "c", "nick": "m", "tag": "new", **taken}
    for name, value in {**taken, "tag": "y"}.items():
        setattr(other_tenant, name, value)
    with pytest.raises(UniquenessError, match="may not read that record"):
        api(other_tenant.save)
    with pytest.raises(UniquenessError, match="may not read that record"):
        api(Account.create, name="acme2", **values)
    with pytest.raises(ModelException, match="may not read that record"):
        api(Account.bulk_create, [Account(name="acme3", **values)])
    assert state(redis_client) == before


def test_a_text_that_a_hidden_record_may_hold_stays_in_its_list(
    redis_client: redis.Redis, other_tenant: Account, server_url: str
) -> None:
    """None and "None" share a set; whether another holder is left cannot be seen."""
    connect(server_url, None)
    Account.create(name="globex2", nick="x1", tag="None")
    Account.create(name="acme4", nick="x2", tag="None")
    connect(server_url, "limited")
    Account.query.get(name="acme4").delete()
    assert redis_client.zscore("$Values:Account:tag", "None") == 0
    assert not redis_client.exists("Account:acme4")


@pytest.mark.single_server("its names belong to no model and so to no shard")
def test_a_slot_that_a_hidden_record_may_hold_is_left_to_it(
    redis_client: redis.Redis, other_tenant: Account
) -> None:
    slots = "$Slots:Account"
    redis_client.hset(slots, "digest", "Account:globex1")
    batch = Batch()
    batch.put("SLOT", slots, "digest", "alternative", other_tenant.pk, "email", b"\xa1a")
    run(Request.write(batch.call(), shard="Account").plan())
    assert redis_client.hgetall(slots) == {
        b"digest": b"Account:globex1",
        b"alternative": b"Account:acme1",
    }


def test_the_last_of_a_list_of_texts_goes_only_where_its_count_may_go(
    redis_client: redis.Redis, server_url: str
) -> None:
    if redis_client.info("server")["redis_version"] < "7":
        return

    class Label(Model):
        name = KeyField()
        text = IndexedField(default="x")

    first, last = Label.create(name="a"), Label.create(name="b")
    redis_client.execute_command(
        *("ACL", "SETUSER", "limited", "reset", "on", ">pw", "~*", "&*", "+@all", "-hdel"),
        "(+hdel ~$Expiry:*)",
    )
    connect(server_url, "limited")
    assert first.delete() is True
    before = state(redis_client)
    with pytest.raises(NoPermissionError, match=r"HDEL .*nothing was written"):
        last.delete()
    assert state(redis_client) == before
    connect(server_url, None)
    redis_client.acl_deluser("limited")


# Memory ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", OPERATIONS)
def test_full_memory_writes_nothing_or_all(redis_client: redis.Redis, sync: Api, name: str) -> None:
    operation = OPERATIONS[name]
    before, done = outcome(redis_client, sync, operation)
    redis_client.flushall()
    ships = fill()
    redis_client.config_set("maxmemory", 1)
    try:
        with contextlib.suppress(RedisError, ModelException):
            operation(sync, ships)
    finally:
        redis_client.config_set("maxmemory", 0)
    assert state(redis_client) in (before, done)


def test_full_memory_is_met_by_the_first_command_that_writes(redis_client: redis.Redis) -> None:
    """Not by the first command: that may find nothing to do."""
    redis_client.hset("slots", "digest", "Ship:other")
    batch = Batch()
    batch.put("HDELIF", "slots", "digest", "Ship:a")
    batch.put("HSET", "Ship:a", "name", "a")
    batch.put("SREM", "$Class:Ship", "Ship:b")
    redis_client.sadd("$Class:Ship", "Ship:b")
    redis_client.config_set("maxmemory", 1)
    try:
        with pytest.raises(OutOfMemoryError):
            run(Request.of(batch.call(), shard="Ship").plan())
    finally:
        redis_client.config_set("maxmemory", 0)
    assert not redis_client.exists("Ship:a")
    assert redis_client.sismember("$Class:Ship", "Ship:b")


# What hooks queue --------------------------------------------------------------------------------


class Counting(Field):
    """Queues a command of its own with every save."""

    command: tuple[object, ...] = ()

    @classmethod
    def on_save(cls, model_instance, field_name, field_value, pipeline=None, **_):  # type: ignore[no-untyped-def]
        return pipeline.execute_command(*cls.command)


class Visit(Model):
    name = KeyField()
    place = IndexedField(default="gate")
    number = Counting(type=int, default=0)


@pytest.mark.single_server("its hook names keys of no model and so of no shard")
@pytest.mark.parametrize(
    ("command", "told"),
    [
        (("INCR", "text"), "where a whole number belongs"),
        (("HINCRBY", "hash", "n", 1), "where a whole number belongs"),
        (("INCRBYFLOAT", "text", 1), "where a whole number belongs"),
        (("LPUSH", "text", 1), "holds a string where a list belongs"),
        (("ZINCRBY", "hash", 1, "m"), "holds a hash where a zset belongs"),
        (("PFADD", "hash", "m"), "holds a hash where a HyperLogLog belongs"),
        (("NOSUCH", "k"), "does not know"),
    ],
    ids=str,
)
def test_what_a_hook_has_queued_is_looked_at(
    redis_client: redis.Redis,
    api: Api,
    monkeypatch: pytest.MonkeyPatch,
    command: tuple[object, ...],
    told: str,
) -> None:
    redis_client.set("text", "abc")
    redis_client.hset("hash", "n", "abc")
    before = state(redis_client)
    monkeypatch.setattr(Counting, "command", command)
    with pytest.raises((ModelException, RedisError), match=told):
        api(Visit.create, name="a")
    assert state(redis_client) == before


@pytest.mark.single_server("its hook names keys of no model and so of no shard")
@pytest.mark.usefixtures("limited")
def test_a_hook_may_use_what_the_user_may(
    redis_client: redis.Redis, api: Api, monkeypatch: pytest.MonkeyPatch, server_url: str
) -> None:
    redis_client.execute_command(
        "ACL", "SETUSER", "limited", "reset", "on", ">pw", "~*", "&*", "+@all", "-setrange"
    )
    before = state(redis_client)
    connect(server_url, "limited")
    monkeypatch.setattr(Counting, "command", ("SETRANGE", "text", 0, "new"))
    with pytest.raises((ModelException, RedisError), match=r"(?i)setrange"):
        api(Visit.create, name="a")
    monkeypatch.setattr(Counting, "command", ("APPEND", "text", "new"))
    assert state(redis_client) == before
    api(Visit.create, name="a")
    assert redis_client.get("text") == b"new"
    connect(server_url, None)


@pytest.mark.single_server("its hook names keys of no model and so of no shard")
@pytest.mark.parametrize(
    ("command", "then", "left"),
    [
        (("INCRBYFLOAT", "text", "0.25"), None, b"1.75"),
        (("HINCRBYFLOAT", "hash", "n", "0.25"), None, b"1.75"),
        # What goes away first may be of any type.
        (("DEL", "text"), ("HSET", "text", "n", "new"), b"new"),
        (("UNLINK", "hash"), ("SET", "hash", "new"), b"new"),
    ],
    ids=str,
)
def test_what_a_hook_has_queued_and_can_be_done_is_done(
    redis_client: redis.Redis,
    api: Api,
    monkeypatch: pytest.MonkeyPatch,
    command: tuple[object, ...],
    then: tuple[object, ...] | None,
    left: bytes,
) -> None:
    def on_save(*_: Any, pipeline: Any, **__: Any) -> Any:
        for each in filter(None, (command, then)):
            pipeline.execute_command(*each)
        return pipeline

    redis_client.set("text", "1.5")
    redis_client.hset("hash", "n", "1.5")
    monkeypatch.setattr(Counting, "on_save", on_save)
    api(Visit.create, name="a")
    key = str(command[1])
    is_hash = redis_client.type(key) == b"hash"
    assert (redis_client.hget(key, "n") if is_hash else redis_client.get(key)) == left


@pytest.mark.parametrize("command", [("ZADD", "z", "x", "m"), ("SETEX", "s", 0, "v"), ("SADD",)])
def test_what_only_the_server_refuses_does_not_stop_the_rest(
    redis_client: redis.Redis,
    api: Api,
    monkeypatch: pytest.MonkeyPatch,
    command: tuple[object, ...],
) -> None:
    monkeypatch.setattr(Counting, "command", command)
    with pytest.raises(CommandRefusedError, match="was carried out, but not what a hook"):
        api(Visit.create, name="a")
    monkeypatch.setattr(Counting, "command", ("PERSIST", "Visit:a"))
    assert [each.name for each in Visit.query.filter(place="gate")] == ["a"]
    assert Visit.check_indexes()["total"] == 0


def test_records_that_are_missing_are_still_told_apart(api: Api) -> None:
    with pytest.raises(NotStoredError):
        api(Ship(name="nowhere").save, update_fields=["note"])
