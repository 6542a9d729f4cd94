"""What is too large for one call: checked whole, then written part by part, and told as it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import redis
from redis.exceptions import ResponseError

from popoto import IndexedField, KeyField, Model, SortedField, UniqueField, redis_db
from popoto.exceptions import (
    BulkError,
    NothingWrittenError,
    OutcomeUnknownError,
    PartlyWrittenError,
    RowError,
    UniquenessError,
)
from popoto.models.writing import joining
from tests.driver import Api
from tests.truth.oracle import violations


class Article(Model):
    sku = KeyField()
    barcode = UniqueField()
    shelf = IndexedField(default="new")
    stock = SortedField(type=int, default=0)


@pytest.fixture
def small_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some five rows in one call."""
    monkeypatch.setattr(joining, "MOST_ARGUMENTS", 350)


def articles(number: int, **last: Any) -> list[Article]:
    rows = [Article(sku=f"s{each:03}", barcode=f"b{each}") for each in range(number)]
    for name, value in last.items():
        setattr(rows[-1], name, value)
    return rows


def stored() -> list[str]:
    return sorted(each.sku for each in Article.query.all())


# One call -----------------------------------------------------------------------------------------


@pytest.mark.slow(4)
def test_ten_thousand_rows_are_one_step(redis_client: redis.Redis) -> None:
    Article.create(sku="first", barcode="taken")
    with pytest.raises(BulkError) as refused:
        Article.bulk_create(articles(10_000, barcode="taken"), batch_size=10_000)
    assert (refused.value.done, refused.value.stored) == (0, [])
    assert stored() == ["first"]
    redis_client.config_resetstat()
    Article.bulk_create(articles(10_000), batch_size=10_000)
    assert redis_client.info("commandstats")["cmdstat_evalsha"]["calls"] == 1


def test_long_values_count_as_well(
    monkeypatch: pytest.MonkeyPatch, redis_client: redis.Redis
) -> None:
    """What a server takes in at once has a limit in bytes, too."""
    monkeypatch.setattr(joining, "MOST_ARGUMENTS", 5_000)
    Article.create(sku="first", barcode="f")
    redis_client.config_resetstat()
    Article.bulk_create([Article(sku=f"s{n}", barcode="x" * 1_000_000 + str(n)) for n in range(4)])
    # Each is checked, then written.
    assert redis_client.info("commandstats")["cmdstat_evalsha"]["calls"] == 8


# Several ------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("small_calls")
def test_a_row_that_any_part_refuses_leaves_nothing_written(api: Api) -> None:
    Article.create(sku="first", barcode="taken")
    with pytest.raises(BulkError, match=r"row 19: .*; nothing of its batch was written") as refused:
        api(Article.bulk_create, articles(20, barcode="taken"))
    assert (refused.value.done, refused.value.stored) == (0, [])
    assert stored() == ["first"]


@pytest.mark.usefixtures("small_calls")
def test_the_bad_rows_of_all_parts_are_told_at_once(api: Api) -> None:
    Article.create(sku="first", barcode="taken")
    Article.create(sku="second", barcode="as well")
    rows = articles(20, barcode="taken")
    rows[1].barcode = "as well"
    with pytest.raises(BulkError, match="and 1 more rows") as refused:
        api(Article.bulk_create, rows)
    assert [row.position for row in refused.value.errors] == [1, 19]
    assert stored() == ["first", "second"]


@pytest.mark.usefixtures("small_calls")
def test_a_foreign_key_in_any_part_leaves_nothing_written(
    api: Api, redis_client: redis.Redis
) -> None:
    redis_client.set("$IndexF:Article:shelf:odd", "another program's")
    with pytest.raises(BulkError, match="holds a string where a set belongs"):
        api(Article.bulk_create, articles(20, shelf="odd"))
    rows = articles(20)
    api(Article.bulk_create, rows)
    redis_client.delete("$IndexF:Article:shelf:odd")
    rows[-1].shelf = "odd"
    rows[-1].save()
    redis_client.delete("$IndexF:Article:shelf:odd")
    redis_client.set("$IndexF:Article:shelf:odd", "another program's")
    with pytest.raises(BulkError, match=r"row 19: .* nothing of its batch"):
        api(Article.bulk_delete, rows)
    with pytest.raises(BulkError, match="nothing of its batch"):
        api(Article.bulk_update, rows, shelf="else")
    assert len(stored()) == 20


@pytest.mark.usefixtures("small_calls")
def test_good_parts_are_written_and_bad_rows_told_where_errors_are_collected(api: Api) -> None:
    Article.create(sku="first", barcode="taken")
    told: list[RowError] = []
    rows = articles(20, barcode="taken")
    assert api(Article.bulk_create, rows, on_error=told.append) == rows[:-1]
    assert [each.position for each in told] == [19]


@pytest.mark.usefixtures("small_calls")
@pytest.mark.parametrize("loaded", [True, False])
def test_rows_that_exchange_values_with_rows_of_other_parts_go_in_one_step(
    api: Api, redis_client: redis.Redis, loaded: bool
) -> None:
    rows = articles(20)
    Article.bulk_create(rows)
    wanted = [*(f"b{each}" for each in range(1, 20)), "b0"]
    given = rows if loaded else [Article(sku=each.sku) for each in rows]
    for row, barcode in zip(given, wanted, strict=True):
        row.barcode = barcode
    api(Article.bulk_create, given)
    assert [each.barcode for each in Article.query.order_by("sku").all()] == wanted
    assert violations(redis_client, Article) == []


# Others in between -----------------------------------------------------------------------------


Before = Callable[[int, Callable[[], Any]], None]


@pytest.fixture
def before_write(monkeypatch: pytest.MonkeyPatch) -> Before:
    """Have something happen just before the n-th call that writes."""
    planned: dict[int, Callable[[], Any]] = {}
    seen = 0

    def look(command: Any) -> None:
        nonlocal seen
        if command[0] in ("EVALSHA", "EVAL") and b"check" not in map(_bytes, command) and planned:
            seen += 1
            work = planned.pop(seen, None)
            if work is not None:
                work()

    for kind in (redis_db.SyncConnection, redis_db.AsyncConnection):
        call = kind.call

        def watched(self: Any, command: Any, *, call: Any = call, **more: Any) -> Any:
            look(command)
            return call(self, command, **more)

        monkeypatch.setattr(kind, "call", watched)

    def plan(number: int, work: Callable[[], Any]) -> None:
        nonlocal seen
        seen = 0
        planned[number] = work

    return plan


def _bytes(word: Any) -> bytes:
    return word if isinstance(word, bytes) else str(word).encode()


def taken_meanwhile(client: redis.Redis) -> None:
    """Another program's creation of a record, in a moment of its own."""
    client.sadd("$UniquF:Article:barcode:b9", "Article:thief")
    client.hset("Article:thief", mapping={"sku": b"\xa5thief", "barcode": b"\xa2b9"})


@pytest.mark.single_server("stages what the connection to one server does")
@pytest.mark.usefixtures("small_calls")
def test_what_others_take_between_two_parts_is_told_with_what_is_stored(
    api: Api, redis_client: redis.Redis, before_write: Before
) -> None:
    Article.create(sku="t", barcode="x")
    before_write(2, lambda: taken_meanwhile(redis_client))
    with pytest.raises(BulkError, match=r"row 9: .*of its batch \d+ rows were written") as refused:
        api(Article.bulk_create, articles(20))
    error = refused.value
    skus = [f"s{position:03}" for position in error.stored]
    # Parts that come after it are not written.
    assert 0 < error.done == len(error.stored) <= 9
    assert stored() == [*skus, "t"]
    assert isinstance(error.errors[0].error, UniquenessError)
    assert "nothing was written" not in str(error)
    assert "nothing of its batch" not in str(error)


def fail(error: Exception) -> Callable[[], None]:
    def work() -> None:
        raise error

    return work


@pytest.mark.single_server("stages what the connection to one server does")
@pytest.mark.usefixtures("small_calls")
@pytest.mark.parametrize("number", [1, 3])
def test_a_connection_that_is_lost_between_two_parts_is_told_with_what_is_stored(
    api: Api, before_write: Before, number: int
) -> None:
    Article.create(sku="t", barcode="x")
    before_write(number, fail(NothingWrittenError("no server")))
    with pytest.raises(redis.ConnectionError) as lost:
        api(Article.bulk_create, articles(20))
    done = len(stored()) - 1
    if number == 1:
        assert (type(lost.value), done) == (NothingWrittenError, 0)
        return
    assert isinstance(lost.value, PartlyWrittenError)
    assert not isinstance(lost.value, NothingWrittenError)
    assert lost.value.done == done > 0
    assert f"{done} rows were written before that" in str(lost.value)
    assert f"0-{done - 1}" in str(lost.value)


@pytest.mark.single_server("stages what the connection to one server does")
@pytest.mark.parametrize("kind", [OutcomeUnknownError, ResponseError])
def test_other_errors_keep_their_class_and_tell_what_is_stored(
    api: Api, before_write: Before, kind: type[Exception]
) -> None:
    Article.create(sku="t", barcode="x")
    before_write(3, fail(kind("odd")))
    with pytest.raises(kind) as lost:
        api(Article.bulk_create, articles(20), batch_size=5)
    assert lost.value.__notes__ == ["Article.bulk_create: 10 rows were written before that."]
    assert len(stored()) == 11


WAYS: dict[str, Callable[[Api, list[Article]], Any]] = {
    "bulk_update": lambda api, rows: api(Article.bulk_update, rows, batch_size=5, stock=1),
    "bulk_delete": lambda api, rows: api(Article.bulk_delete, rows, batch_size=5),
    "raw_update": lambda api, rows: api(
        Article.raw_update, [each.pk for each in rows], batch_size=5, stock=1
    ),
}


@pytest.mark.single_server("stages what the connection to one server does")
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_every_bulk_operation_does(
    api: Api,
    before_write: Before,
    way: Callable[[Api, list[Article]], Any],
) -> None:
    rows = Article.bulk_create(articles(20))
    before_write(3, fail(NothingWrittenError("no server")))
    with pytest.raises(PartlyWrittenError, match="10 rows were written before that") as lost:
        way(api, rows)
    assert lost.value.done == 10


@pytest.mark.slow
def test_emptying_does(api: Api, redis_client: redis.Redis, before_write: Before) -> None:
    rows = Article.bulk_create(articles(2_000, shelf="odd"))
    redis_client.delete("$IndexF:Article:shelf:odd")
    redis_client.set("$IndexF:Article:shelf:odd", "another program's")
    with pytest.raises(BulkError, match="delete_all: row") as refused:
        api(Article.delete_all, batch_size=10_000)
    assert refused.value.done == 0
    with pytest.raises(BulkError) as refused:
        api(Article.delete_all, batch_size=20)
    assert refused.value.done == len(rows) - redis_client.scard("$Class:Article")
