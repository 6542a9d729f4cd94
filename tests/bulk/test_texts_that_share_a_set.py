"""Rows of one call that take and leave texts for which one index set stands."""

from __future__ import annotations

import pytest
import redis

import popoto
from popoto import IndexedField, KeyField, Model, UniqueField
from popoto.exceptions import BulkError, UniquenessError
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


COLONS = ["u:v:w", f"{ESCAPED}:w", "u:v{&#58;}w", f"{ESCAPED}{{&#58;}}w"]


@pytest.mark.parametrize(
    ("texts", "name"), [(COLONS, "u{&#58;}v{&#58;}w"), (["None", None], "None")]
)
def test_with_the_last_member_of_a_set_all_its_texts_go(
    api: Api, redis_client: redis.Redis, texts: list[str | None], name: str
) -> None:
    """Also those of records that went without their text, as popoto 1.6 takes its entries away."""
    for last in range(len(texts)):
        notes = [Note.create(name=str(place), topic=text) for place, text in enumerate(texts)]
        stays = notes.pop(last)
        for note in notes:
            redis_client.delete(note.pk)
            redis_client.srem("$Class:Note", note.pk)
            redis_client.srem(f"$IndexF:Note:topic:{name}", note.pk)
        assert redis_client.zcard("$Values:Note:topic") == len([text for text in texts if text])
        api(stays.delete)
        assert not redis_client.exists("$Values:Note:topic")


@pytest.mark.parametrize(
    ("texts", "kept"),
    [((COLONS[0], COLONS[1], COLONS[2]), [COLONS[0]]), ((None, None, "None"), [])],
)
@pytest.mark.parametrize("backwards", [False, True])
def test_each_of_several_texts_that_leave_one_set_is_listed_no_more(
    api: Api,
    redis_client: redis.Redis,
    texts: tuple[str | None, ...],
    kept: list[str],
    backwards: bool,
) -> None:
    first, *others = (
        Note.create(name=name, topic=text) for name, text in zip("abc", texts, strict=True)
    )
    api(Note.bulk_delete, others[::-1] if backwards else others)
    assert redis_client.zrange("$Values:Note:topic", 0, -1) == [text.encode() for text in kept]
    assert api(Note.query.filter(topic=first.topic).all) == [first]
    assert violations(redis_client, Note) == []


class Ticket(Model):
    name = KeyField()
    code = UniqueField()


def test_two_rows_may_claim_different_texts_of_one_set(api: Api, redis_client: redis.Redis) -> None:
    rows = [Ticket(name="a", code="u:v"), Ticket(name="b", code=ESCAPED)]
    assert api(Ticket.bulk_create, rows) == rows
    transaction = popoto.transaction()
    transaction.save(Ticket(name="c", code="x:" * 20))
    transaction.save(Ticket(name="d", code="x{&#58;}" * 20))
    api(transaction.commit)
    assert {each.name: each.code for each in Ticket.query.all()} == {
        "a": "u:v",
        "b": ESCAPED,
        "c": "x:" * 20,
        "d": "x{&#58;}" * 20,
    }
    assert violations(redis_client, Ticket) == []
    for code in ("u:v", ESCAPED):
        with pytest.raises(UniquenessError):
            api(Ticket.create, name="e", code=code)


def test_the_text_of_a_claim_that_nobody_holds_any_more_is_listed_no_more(
    api: Api, redis_client: redis.Redis
) -> None:
    for name, code in zip("ab", COLONS, strict=False):
        Ticket.create(name=name, code=code)
    redis_client.delete("Ticket:b")
    api(Ticket.create, name="c", code=COLONS[2])
    assert redis_client.zrange("$Values:Ticket:code", 0, -1) == sorted(
        text.encode() for text in (COLONS[0], COLONS[2])
    )


@pytest.mark.parametrize("code", ["", "x" * 31, "x" * 32, "x" * 255, "x" * 256, "x" * 70_000])
def test_two_rows_that_claim_one_text_are_refused(api: Api, code: str) -> None:
    with pytest.raises(BulkError, match="row 1 of this batch already exists in row 0"):
        api(Ticket.bulk_create, [Ticket(name="a", code=code), Ticket(name="b", code=code)])
    assert Ticket.query.count() == 0
