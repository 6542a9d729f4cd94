"""No script that indexes words stops half-way either (see `test_every_command`)."""

from __future__ import annotations

import pytest
import redis

from popoto import BM25Field, KeyField, Model, ModelException, StringField, transaction
from tests.driver import Api
from tests.truth.traced import calls, is_write, traced, unproven, walk_errors


class Leaf(Model):
    name = KeyField()
    agent = StringField(default="a")
    text = StringField(default="")
    words = BM25Field(source="text", partition_by="agent")


def fill(others: int) -> dict[str, Leaf]:
    """Two documents, and others that have a word in common with them."""
    common = [Leaf(name=f"{number:03}", text=f"common {number}00") for number in range(others)]
    texts = {"a": "apple common common", "b": "cherry common"}
    made = [Leaf(name=name, text=text) for name, text in texts.items()]
    Leaf.bulk_create([*common, *made])
    return {each.name: each for each in made}


def _save(api: Api, leaves: dict[str, Leaf]) -> None:
    leaves["a"].text = "damson common"
    api(leaves["a"].save)


def _create(api: Api, leaves: dict[str, Leaf]) -> None:
    api(Leaf.create, name="c", text="apple elder common")


def _first(api: Api, leaves: dict[str, Leaf]) -> None:
    api(Leaf.create, name="c", agent="new", text="apple elder")


def _move(api: Api, leaves: dict[str, Leaf]) -> None:
    leaves["a"].name = "moved"
    api(leaves["a"].save, migrate_key=True)


def _to_another_partition(api: Api, leaves: dict[str, Leaf]) -> None:
    leaves["a"].agent = "b"
    api(leaves["a"].save)


def _delete(api: Api, leaves: dict[str, Leaf]) -> None:
    api(leaves["a"].delete)


def _transaction(api: Api, leaves: dict[str, Leaf]) -> None:
    together = transaction()
    together.create(Leaf, name="new", text="apple apple")
    leaves["b"].text = "the"
    together.save(leaves["b"])
    together.delete(leaves["a"])
    api(together.commit)


OPERATIONS = {
    each.__name__: each
    for each in (_save, _create, _first, _move, _to_another_partition, _delete, _transaction)
}


@pytest.mark.single_server("notes what scripts do under a key of one server")
@pytest.mark.parametrize("operation", OPERATIONS)
def test_after_the_first_write_nothing_is_left_that_a_server_could_refuse(
    redis_client: redis.Redis, api: Api, operation: str
) -> None:
    # So many that one more makes the set of a word a longer one.
    leaves = fill(126)
    with traced():
        OPERATIONS[operation](api, leaves)
    asked = calls(redis_client)
    names = {each.name for call in asked for each in call if is_write(each)}
    assert {"ZADD", "ZREM"} & names
    assert [str(each) for call in asked for each in unproven(call)] == []


@pytest.mark.slow(1)
@pytest.mark.single_server("notes what scripts do under a key of one server")
@pytest.mark.parametrize("others", [126, 127, 2_030], ids=["begins", "ends", "is shortened"])
def test_the_log_of_a_large_index_is_looked_at_as_well(
    redis_client: redis.Redis, others: int
) -> None:
    """With two documents more it has 128, where no log is kept, or more."""
    leaves = fill(others)
    with traced():
        if others == 127:
            leaves["a"].delete()
        else:
            Leaf.create(name="c", text="apple elder common")
            Leaf.create(name="d", text="apple elder common")
    asked = calls(redis_client)
    written = {each.name for call in asked for each in call if b"changes" in each.key}
    assert written >= {"DEL"} if others == 127 else {"TIME", "ZADD"}
    assert [str(each) for call in asked for each in unproven(call)] == []
    assert redis_client.exists("$BM25:Leaf:words:@a:changes") == (others != 127)


@pytest.mark.single_server("notes what scripts do under a key of one server")
@pytest.mark.slow
@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_error_at_any_command_before_the_first_write_leaves_everything_as_it_was(
    redis_client: redis.Redis, operation: str
) -> None:
    api = Api(is_async=False)
    walk_errors(redis_client, lambda: fill(1), lambda leaves: OPERATIONS[operation](api, leaves))
    api.close()


@pytest.mark.parametrize(
    "part", ["inv:apple", "tf:Leaf:c", "df", "dl", "n", "avgdl", "analyzer", "changes"]
)
def test_a_key_of_another_program_is_told_and_left_alone(
    redis_client: redis.Redis, part: str
) -> None:
    key = f"$BM25:Leaf:words:@a:{part}"
    redis_client.rpush(key, "a list")
    with pytest.raises(ModelException, match=f"{part}.*holds a list"):
        Leaf.create(name="c", text="apple")
    assert redis_client.keys("*") == [key.encode()]
