"""Texts that share a key, a set or a digest: None and "None", ":" and its escape.

They are different values of different records. What one record does, or leaves when it is
gone, concerns none of the others.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import redis

from popoto import IndexedField, KeyField, Model, ModelException
from popoto.engine.request import Plan
from popoto.engine.run import send
from popoto.exceptions import UniquenessError
from popoto.models.transactions import transaction
from popoto.models.writing.single import delete
from tests.driver import Api
from tests.truth.models import Shelf, Thing
from tests.truth.oracle import records, violations

#: Texts that share one set, and four that share another.
SPELLINGS = ["a:b", "a{&#58;}b"]
LONG = ["a:b:c", "a{&#58;}b:c", "a:b{&#58;}c", "a{&#58;}b{&#58;}c"]


class Card(Model):
    name = KeyField()
    code = IndexedField(unique=True)
    kind = IndexedField()
    text = IndexedField()

    class Meta:
        indexes = ((("kind", "text"), True), (("text", "name"), False))


def texts(client: redis.Redis, name: str) -> set[str]:
    return {each.decode() for each in client.zrange(f"$Values:Card:{name}", 0, -1)}


# A claim whose holder is gone -------------------------------------------------------------------


class Taking:
    """Ways in which the record `mine` comes to hold a code."""

    def __init__(self, api: Api, client: redis.Redis) -> None:
        self.api, self.client = api, client

    def save(self, code: str) -> None:
        self.api(Card(name="mine", code=code).save)

    def change(self, code: str, **how: Any) -> None:
        card = self.api(Card.create, name="mine", code="before")
        card.code = code
        self.api(card.save, **how)

    def save_partly(self, code: str) -> None:
        self.change(code, update_fields=["code"])

    def move(self, code: str) -> None:
        card = self.api(Card.create, name="elsewhere", code="before")
        card.name, card.code = "mine", code
        self.api(card.save, migrate_key=True)

    def bulk_create(self, code: str) -> None:
        self.api(Card.bulk_create, [Card(name="mine", code=code), Card(name="other")])

    def bulk_update(self, code: str) -> None:
        card = self.api(Card.create, name="mine", code="before")
        self.api(Card.bulk_update, [card], code=code)

    def update_or_create(self, code: str) -> None:
        self.api(Card.update_or_create, {"code": code}, name="mine")

    def transaction(self, code: str) -> None:
        together = transaction()
        together.save(Card(name="mine", code=code))
        together.save(Card(name="other"))
        if self.api.is_async:
            self.api.run(together.async_commit())
        else:
            together.commit()

    def pipeline(self, code: str) -> None:
        pipeline = self.client.pipeline()
        self.api(Card(name="mine", code=code).save, pipeline=pipeline)
        pipeline.execute()


WAYS = [name for name in vars(Taking) if name[0] != "_" and name != "move"] + ["move"]


def leave(api: Api, client: redis.Redis, how: str, code: str) -> None:
    """A record that is gone, and whose claim stands."""
    api(Card(name="gone", code=code, _ttl=0 if how == "expired" else None).save)
    client.delete("Card:gone")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("how", ["expired", "deleted by hand"])
@pytest.mark.parametrize("theirs", ["None", *SPELLINGS, *LONG])
@pytest.mark.parametrize("mine", ["None", "a{&#58;}b", "a:b", "a:b{&#58;}c"])
def test_a_claim_that_is_taken_over_leaves_no_text(
    redis_client: redis.Redis, way: str, how: str, theirs: str, mine: str
) -> None:
    if Card.code.value_set_key(theirs) != Card.code.value_set_key(mine):
        return
    api = Api(is_async=False)
    leave(api, redis_client, how, theirs)
    getattr(Taking(api, redis_client), way)(mine)
    assert texts(redis_client, "code") == {mine}
    api(api(Card.query.get, name="mine").delete)
    assert texts(redis_client, "code") == set()


@pytest.mark.parametrize("mine", ["None", "a:b", "a{&#58;}b"])
def test_a_claim_taken_over_from_one_of_several_takes_no_text_of_the_others(
    api: Api, redis_client: redis.Redis, mine: str
) -> None:
    others = [each for each in ("a:b", "a{&#58;}b") if each != mine]
    for number, code in enumerate(others):
        api(Card(name=f"n{number}", code=code).save)
    leave(api, redis_client, "expired", mine)
    api(Card(name="mine", code=mine).save)
    assert texts(redis_client, "code") == {*others, mine}
    assert violations(redis_client, Card) == []


def test_a_question_before_a_pipeline_is_no_takeover(api: Api, redis_client: redis.Redis) -> None:
    leave(api, redis_client, "expired", "None")
    before = dict(redis_client.hgetall("$Values:Card"))
    pipeline = redis_client.pipeline()
    api(Card(name="mine", code="None").save, pipeline=pipeline)
    pipeline.reset()
    assert redis_client.hgetall("$Values:Card") == before
    assert redis_client.smembers("$IndexF:Card:code:None") == {b"Card:gone"}
    assert violations(redis_client, Card) == []


def test_a_takeover_that_meets_a_key_of_a_wrong_type_writes_nothing(
    api: Api, redis_client: redis.Redis
) -> None:
    leave(api, redis_client, "deleted by hand", "x")
    for key in ("$Values:Card", "$Values:Card:code"):
        kept = redis_client.dump(key)
        redis_client.set(key, "planted")
        before = {each: redis_client.dump(each) for each in redis_client.keys("*")}
        with pytest.raises(ModelException, match="holds a string where"):
            api(Card(name="mine", code="x").save)
        assert {each: redis_client.dump(each) for each in redis_client.keys("*")} == before
        redis_client.restore(key, 0, kept, replace=True)


def test_a_takeover_by_a_record_that_stays_in_the_set_looks_at_the_list_of_texts_too(
    api: Api, redis_client: redis.Redis
) -> None:
    mine = api(Card.create, name="mine", code="a:b")
    leave(api, redis_client, "deleted by hand", "a{&#58;}b")
    redis_client.set("$Values:Card:code", "planted")
    with pytest.raises(ModelException, match="holds a string where"):
        api(mine.save, update_fields=["code"])
    assert redis_client.scard("$IndexF:Card:code:a{&#58;}b") == 2


# Entries that go without anybody knowing their text ----------------------------------------------


@pytest.mark.parametrize("text", ["None", *SPELLINGS, *LONG])
@pytest.mark.parametrize("how", ["clean", "rebuild", "query", "created again"])
def test_the_text_of_a_record_deleted_by_hand_goes_with_its_entry(
    api: Api, redis_client: redis.Redis, text: str, how: str
) -> None:
    api(Card(name="gone", kind=text).save)
    redis_client.delete("Card:gone")
    if how == "clean":
        api(Card.clean_indexes)
    elif how == "rebuild":
        api(Card.rebuild_indexes)
    elif how == "query":
        assert api(Card.query.count, kind=text) == 0
    else:
        api(Card(name="gone", kind="x").save)
    assert texts(redis_client, "kind") == ({"x"} if how == "created again" else set())
    assert violations(redis_client, Card) == []


def test_the_other_texts_of_a_list_stay_when_one_goes(redis_client: redis.Redis) -> None:
    """Texts that begin alike are no spellings of each other."""
    kept = {"a", "a:", "a:b", "a{&#58;}", "a:bc", "a:b:cd", "None", "a{&#58;}b:", "b:c"}
    for number, text in enumerate(sorted(kept)):
        Card(name=f"n{number}", kind=text).save()
    for text in LONG:
        Card(name="gone", kind=text).save()
        redis_client.delete("Card:gone")
        Card.clean_indexes()
        assert texts(redis_client, "kind") == kept
    assert violations(redis_client, Card) == []


# Slots of a composite index ----------------------------------------------------------------------


def test_a_record_that_changes_within_one_digest_leaves_no_slot(
    api: Api, redis_client: redis.Redis
) -> None:
    """("a", "b:c") and ("a:b", "c") have one digest; the second stands under another one."""
    api(Card(name="first", kind="a", text="b:c").save)
    api(Card(name="second", kind="a:b", text="c").save)
    assert redis_client.hlen("$Index:Card:kind:text") == 2
    api(api(Card.query.get, name="first").delete)
    second = api(Card.query.get, name="second")
    second.kind, second.text = "a", "b:c"
    api(second.save)
    assert redis_client.hlen("$Index:Card:kind:text") == 1
    assert violations(redis_client, Card) == []
    with pytest.raises(UniquenessError):
        api(Card(name="third", kind="a", text="b:c").save)
    api(Card(name="third", kind="a:b", text="c").save)
    assert violations(redis_client, Card) == []


@pytest.mark.parametrize("deletes", [True, False])
def test_records_that_change_within_one_digest_together_leave_no_slot(
    redis_client: redis.Redis, deletes: bool
) -> None:
    Card(name="first", kind="a", text="b:c").save()
    Card(name="second", kind="a:b", text="c").save()
    first, second = Card.query.get(name="first"), Card.query.get(name="second")
    assert first is not None
    assert second is not None
    second.kind, second.text = "a", "b:c"
    first.kind, first.text = "a:b", "c"
    with transaction() as together:
        if deletes:
            together.delete(first)
        else:
            together.save(first)
        together.save(second)
    assert violations(redis_client, Card) == []
    assert redis_client.hlen("$Index:Card:kind:text") == (1 if deletes else 2)


# Keys --------------------------------------------------------------------------------------------


def stored_things(client: redis.Redis) -> dict[str, Any]:
    found = records(client, Thing)
    assert violations(client, Thing, Shelf) == []
    return found


def finished(plan: Plan[Any], answer: Any) -> Any:
    """The result of a plan that goes on with this answer."""
    try:
        while True:
            answer = send(plan.send(answer))
    except StopIteration as end:
        return end.value


PAIRS = [("None", None), (None, "None"), ("p:q", "p{&#58;}q"), ("p{&#58;}q", "p:q")]


@pytest.mark.parametrize(("part", "twin_part"), PAIRS)
def test_nothing_reaches_a_record_through_the_key_of_another(
    api: Api, redis_client: redis.Redis, part: str | None, twin_part: str | None
) -> None:
    kept = api(Thing.create, part=part, number=1, code="u", mood="m", note="n", level=1)
    mover = api(Thing.create, part="p", number=1, code="v")
    before = stored_things(redis_client)

    def twin(**values: Any) -> Thing:
        return Thing(part=twin_part, number=1, **values)

    def together(*operations: Callable[[Any], Any]) -> None:
        joined = transaction()
        for operation in operations:
            operation(joined)
        if api.is_async:
            api.run(joined.async_commit())
        else:
            joined.commit()

    def create_after_deleting(**values: Any) -> None:
        together(
            lambda joined: joined.delete(twin(**values)),
            lambda joined: joined.create(Thing, part="q", number=2, **values),
        )

    def create_after_saving() -> None:
        together(
            lambda joined: joined.save(twin(code="w")),
            lambda joined: joined.create(Thing, part="q", number=2, code="u"),
        )

    def move() -> None:
        moving = api(Thing.query.get, redis_key=mover.pk)
        moving.part = twin_part
        api(moving.save, migrate_key=True)

    for attempt, error in (
        (lambda: api(twin().save), "same record key"),
        (lambda: api(twin(note="x").save, update_fields=["note"]), "same record key"),
        (lambda: api(Thing.create, part=twin_part, number=1), "already exists|same record key"),
        (lambda: api(Thing.bulk_create, [twin()]), "same record key"),
        (lambda: api(Thing.bulk_update, [twin()], note="x"), "same record key"),
        (
            lambda: api(Thing.get_or_create, {}, part=twin_part, number=1),
            "same record key|already exists",
        ),
        (
            lambda: api(Thing.update_or_create, {}, part=twin_part, number=1),
            "same record key|already exists",
        ),
        (lambda: api(twin().atomic_increment, "level", 1), "unsaved"),
        (lambda: create_after_deleting(code="u"), "must be unique"),
        (lambda: create_after_deleting(mood="m", note="n"), "must be unique|already exists"),
        (create_after_saving, "same record key|must be unique"),
        (move, "already exists"),
    ):
        with pytest.raises((ModelException, TypeError), match=error):
            attempt()
        assert stored_things(redis_client) == before
    assert api(twin().delete) is False
    api(Thing.bulk_delete, [twin()])
    pipeline = redis_client.pipeline()
    api(twin().delete, pipeline=pipeline)
    pipeline.execute()
    assert stored_things(redis_client) == before
    assert api(kept.delete) is True


@pytest.mark.parametrize(("part", "twin_part"), PAIRS)
def test_a_delete_that_is_overtaken_leaves_the_record_of_another_key_text(
    redis_client: redis.Redis, part: str | None, twin_part: str | None
) -> None:
    """The record that it looked at was deleted, and another one created under the same key."""
    Thing(part=part, number=1).save()
    deleting = delete(Thing(part=part, number=1), None, {})
    answer = send(next(deleting))
    Thing(part=part, number=1).delete()
    Thing(part=twin_part, number=1, note="another").save()
    assert finished(deleting, answer) is False
    (found,) = stored_things(redis_client).values()
    assert (found["part"], found["note"]) == (twin_part, "another")


def test_a_record_that_moves_holds_the_key_values_of_its_mover(
    api: Api, redis_client: redis.Redis
) -> None:
    """Another writer had stored others, which made the same key."""
    mover = api(Thing.create, part="None", number=1)
    other = api(Thing.query.get, redis_key=mover.pk)
    other.part = None
    api(other.save)
    mover.number = 2
    api(mover.save, migrate_key=True)
    (found,) = stored_things(redis_client).values()
    assert (found["part"], found["number"]) == ("None", 2)
    assert mover.part == "None"
