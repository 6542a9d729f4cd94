"""What a field says of itself is all that models ask: fields that popoto does not know work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import pytest
import redis

import popoto
from popoto import Field, KeyField, Model, ModelException, QueryException, StringField
from popoto.engine.request import Call, Plan, Request
from popoto.fields.asking.orders import OrderIndex
from popoto.fields.keeping.commit import Commit
from popoto.fields.keeping.entries import Entry, ScoreEntry
from popoto.fields.keeping.families import KeyFamily
from popoto.fields.keeping.renewing import Renewal
from popoto.fields.keeping.stand_in import StandIn
from tests.driver import Api

# What is prepared before a commit ----------------------------------------------------------


class Echo(Field[str]):
    """Keeps what a slow service makes of the attribute `text`."""

    prepares = True
    asked: list[str] = []

    def unprepared(
        self, instance: Any, encoded: Any, commit: Commit, *, is_held: bool
    ) -> StandIn | None:
        text = instance.text
        held = instance._stored.get(self.name)
        if not text or (held is not None and self.decode(held) == f"echo of {text}"):
            return None
        return StandIn(text.encode())

    def prepare(self, wanted: Sequence[tuple[Any, StandIn]]) -> Plan[list[bytes]]:
        answers = yield Call(lambda: [self._service(each.decode()) for _, each in wanted])
        return [self.encode(answer) for answer in answers]

    def _service(self, text: str) -> str:
        self.asked.append(text)
        return f"echo of {text}"

    def settle(self, instance: Any, wanted: StandIn, stored: bytes) -> None:
        setattr(instance, self.name, self.decode(stored))


class Saying(Model):
    name = KeyField()
    text = StringField()
    echo = Echo()
    rank = popoto.SortedField(type=int, default=0)


@pytest.fixture(autouse=True)
def nothing_asked() -> None:
    Echo.asked.clear()


def test_a_field_prepares_its_value_from_another_one(api: Api) -> None:
    saying = api(Saying.create, name="a", text="hello")
    assert saying.echo == "echo of hello"
    assert api(Saying.load, name="a").echo == "echo of hello"
    saying.text = "bye"
    api(saying.save)
    assert api(Saying.load, name="a").echo == "echo of bye"
    assert Echo.asked == ["hello", "bye"]


def test_what_needs_no_preparing_is_left_alone(api: Api) -> None:
    saying = api(Saying.create, name="a", text="hello")
    api(saying.save)
    found = api(Saying.load, name="a")
    found.rank = 2
    api(found.save)
    assert Echo.asked == ["hello"]


def test_a_partial_save_prepares_only_the_fields_that_it_names(api: Api) -> None:
    saying = api(Saying.create, name="a", text="hello")
    saying.text = "bye"
    api(saying.save, update_fields=["text"])
    assert Echo.asked == ["hello"]
    assert api(Saying.load, name="a").echo == "echo of hello"
    api(saying.save, update_fields=["echo"])
    assert api(Saying.load, name="a").echo == "echo of bye"


def test_a_value_is_prepared_once_however_often_the_commit_is_built(api: Api) -> None:
    mine = api(Saying.create, name="a", text="hello", rank=1)
    theirs = api(Saying.load, name="a")
    theirs.rank = 5
    api(theirs.save)
    mine.rank = 3
    mine.text = "again"
    api(mine.save)
    assert Echo.asked == ["hello", "again"]
    assert [each.name for each in api(Saying.query.filter(rank=3).all)] == ["a"]


def test_bulk_operations_prepare_each_value(api: Api) -> None:
    api(Saying.bulk_create, [Saying(name=name, text=name * 2) for name in "ab"])
    assert {each.echo for each in api(Saying.query.all)} == {"echo of aa", "echo of bb"}
    api(Saying.bulk_update, Saying.query.filter(name="a"), text="new", echo=None)
    assert api(Saying.load, name="a").echo == "echo of new"
    assert Echo.asked == ["aa", "bb", "new"]


class Sealed(Field[str]):
    """Text that a service has to seal before it is stored."""

    prepares = True

    def codec(self) -> tuple[Any, Any]:
        encode, decode = super().codec()
        return (lambda value: StandIn(encode(value))), decode

    def unprepared(
        self, instance: Any, encoded: Any, commit: Commit, *, is_held: bool
    ) -> StandIn | None:
        return encoded if isinstance(encoded, StandIn) else None

    def prepare(self, wanted: Sequence[tuple[Any, StandIn]]) -> Plan[list[bytes]]:
        yield Call(lambda: None)
        encode = super().codec()[0]
        return [encode(f"sealed {self.decode(each)}") for _, each in wanted]

    def unready(self, encoded: Any) -> str | None:
        return "is sealed by a service" if isinstance(encoded, StandIn) else None


class Letter(Model):
    name = KeyField()
    seal = Sealed()


def test_what_is_still_to_be_prepared_is_neither_written_nor_compared(api: Api) -> None:
    letter = api(Letter.create, name="a", seal="x")
    assert api(Letter.load, name="a").seal == "sealed x"
    with pytest.raises(ModelException, match=r"Letter.seal is sealed by a service: raw_update"):
        api(Letter.raw_update, ["Letter:a"], seal="y")
    with pytest.raises(ModelException, match=r"Letter.seal is sealed by a service"):
        api(letter.save, expected={"seal": "sealed x"})
    assert api(Letter.load, name="a").seal == "sealed x"


# What is added to a commit ------------------------------------------------------------------


class Tally(Field[str]):
    """Counts the writes of its records, in the same step as each write."""

    def on_commit(self, instance: Any, batch: Any, commit: Commit) -> None:
        batch.hincrby(f"tally:{self.model_name}", commit.operation, 1)


class Counted(Model):
    name = KeyField()
    kind = popoto.UniqueField(type=str, null=False)
    tally = Tally()


def tally(client: redis.Redis, model: str = "Counted") -> dict[bytes, bytes]:
    return client.hgetall(f"tally:{model}")


def test_a_field_adds_to_saves_and_deletes(api: Api, redis_client: redis.Redis) -> None:
    record = api(Counted.create, name="a", kind="x")
    record.kind = "y"
    api(record.save)
    assert tally(redis_client) == {b"create": b"1", b"update": b"1"}
    api(record.delete)
    assert tally(redis_client) == {b"create": b"1", b"update": b"1", b"delete": b"1"}


def test_a_refused_save_carries_nothing_of_it_out(api: Api, redis_client: redis.Redis) -> None:
    api(Counted.create, name="a", kind="x")
    with pytest.raises(ModelException, match="must be unique"):
        api(Counted.create, name="b", kind="x")
    assert tally(redis_client) == {b"create": b"1"}


def test_a_field_that_is_added_later_adds_to_commits_as_well(redis_client: redis.Redis) -> None:
    class Late(Model):
        name = KeyField()

    Late._meta.add_field("tally", Tally())
    Late.create(name="a")
    assert tally(redis_client, "Late") == {b"create": b"1"}


# Order --------------------------------------------------------------------------------------


class Folded(Field[str]):
    """Text that is ordered regardless of case; its nulls are the empty texts."""

    def sort_key(self, value: Any) -> tuple[Any, ...]:
        return super().sort_key(value.lower() or None)


class Unordered(Field[str]):
    """Text that nothing is ordered by."""

    @property
    def is_orderable(self) -> bool:
        return False


class ByLength(Field[str]):
    """Text with an index in the order of lengths."""

    @property
    def length_key(self) -> str:
        return f"$Length:{self.model_name}:{self.name}"

    @property
    def makes_entries(self) -> bool:
        return True

    def entries(self, key: str, values: Mapping[str, Any]) -> Sequence[Entry]:
        return (ScoreEntry(self.length_key, key, len(values[self.name] or "")),)

    def key_families(self) -> Sequence[KeyFamily]:
        return (KeyFamily("sorted_fields", self.name, self.length_key, "zset"),)

    def order_index(self, among: str | None) -> OrderIndex | None:
        return OrderIndex(self.length_key, 0)


class Word(Model):
    number = KeyField(type=int)
    folded = Folded()
    unordered = Unordered(default="")
    sized = ByLength()


def words(api: Api, *texts: str) -> None:
    for number, text in enumerate(texts):
        api(Word.create, number=number, folded=text, sized=text)


def test_results_are_ordered_by_what_the_field_compares(api: Api) -> None:
    words(api, "b", "C", "", "A")
    found = api(Word.query.order_by("folded").all)
    assert [each.folded for each in found] == ["", "A", "b", "C"]
    assert api(Word.query.order_by("-folded").first).folded == "C"


def test_extremes_leave_out_what_the_field_takes_for_null(api: Api) -> None:
    words(api, "b", "", "A")
    assert api(Word.query.min, "folded") == "A"
    assert api(Word.query.max, "folded") == "b"


def test_a_field_without_an_order_is_refused(api: Api) -> None:
    with pytest.raises(QueryException, match=r"Word.unordered cannot be ordered by"):
        api(Word.query.order_by("unordered").all)


def test_an_index_that_a_field_names_orders_on_the_server(api: Api) -> None:
    words(api, "four", "1", "seven..", "22")
    found = api(Word.query.order_by("-sized").limit(3).all)
    assert [each.sized for each in found] == ["seven..", "four", "22"]
    assert "along the sorted set $Length:Word:sized" in str(Word.query.order_by("sized").explain())


class Mirrored(KeyField):
    """A key whose text in the record key is not its value's."""

    def text_of(self, value: Any) -> str:
        return str(value)[::-1]


class Mirror(Model):
    name = Mirrored()


def test_the_order_of_a_key_is_that_of_its_values_and_not_of_their_texts(api: Api) -> None:
    for name in ("az", "by", "cx"):
        api(Mirror.create, name=name)
    assert [each.name for each in api(Mirror.query.order_by("name").limit(2).all)] == ["az", "by"]


# Belonging to a model -----------------------------------------------------------------------


class Shadow(Field[str]):
    """Follows another field, which has to be there."""

    option_defaults = {"of": ""}

    @property
    def registries(self) -> frozenset[str]:
        return super().registries | {"shadow"}

    def check_model(
        self, fields: Mapping[str, Any], indexes: Sequence[tuple[tuple[str, ...], bool]]
    ) -> None:
        if self.of not in fields:
            raise ModelException(f"{self.label}: there is no field {self.of!r}")


def test_a_field_refuses_a_model_that_it_cannot_belong_to() -> None:
    with pytest.raises(ModelException, match=r"Dim.shadow: there is no field 'light'"):
        type("Dim", (Model,), {"name": KeyField(), "shadow": Shadow(of="light")})


def test_a_model_lists_its_fields_by_the_words_they_name() -> None:
    class Bright(Model):
        name = KeyField()
        light = StringField()
        shadow = Shadow(of="light")
        dark = Shadow(of="light", indexed=True)

    assert [each.name for each in Bright._meta.listed("shadow")] == ["shadow", "dark"]
    assert Bright._meta.indexed_field_names == {"dark"}
    assert Bright._meta.listed("light") == []
    assert Bright.shadow.owner is Bright


# Adding on the server -----------------------------------------------------------------------


class Even(popoto.IntField):
    @classmethod
    def is_valid(cls, field: Any, value: Any, null_check: bool = True, **kwargs: Any) -> bool:
        return super().is_valid(field, value, null_check, **kwargs) and value % 2 == 0


class Doubled(popoto.SortedField):
    def score(self, value: Any) -> float:
        return 2 * super().score(value)


class Numbers(Model):
    name = KeyField()
    team = StringField()
    count = popoto.IntField()
    share = popoto.FloatField()
    price = popoto.DecimalField()
    worth = popoto.SortedField(type=Decimal, default=Decimal(0))
    rank = popoto.SortedField(type=int, partition_by="team", default=0)
    level = popoto.IndexedField(type=int)
    seat = popoto.SortedField(type=int, unique=True, default=0)
    even = Even()
    doubled = Doubled(type=int, default=0)


def test_the_server_adds_to_plain_and_sorted_numbers() -> None:
    fields = Numbers._meta.by_name
    plain = fields["count"].server_addition(-3)
    assert plain is not None
    assert (plain.kind, plain.delta, plain.order_key) == ("int", "-3", None)
    shared = fields["share"].server_addition(0.1)
    assert shared is not None
    assert (shared.kind, shared.delta) == ("float", "0.1")
    ranked = fields["rank"].server_addition(2**53)
    assert ranked is not None
    assert ranked.order_key is not None
    assert ranked.order_key({"team": "a:b"}) == "$SortF:Numbers:rank:a{&#58;}b"


@pytest.mark.parametrize("name", ["price", "worth", "level", "seat", "even", "doubled"])
def test_what_else_follows_from_a_number_is_not_left_to_the_server(name: str) -> None:
    assert Numbers._meta.by_name[name].server_addition(1) is None


def test_the_server_does_not_add_what_doubles_cannot_tell() -> None:
    assert Numbers._meta.by_name["count"].server_addition(2**53 + 1) is None
    assert Numbers._meta.by_name["rank"].server_addition(-(2**53) - 1) is None


class Watched(popoto.IntField):
    """Adds every value to a set, as hooks of popoto 1.6 do."""

    @classmethod
    def on_save(
        cls,
        model_instance: Any,
        field_name: str,
        field_value: Any,
        pipeline: Any = None,
        **kwargs: Any,
    ) -> Any:
        return pipeline.sadd("watched", field_value)


class Meter(Model):
    name = KeyField()
    level = Watched(default=0)


def test_an_addition_calls_the_hook_of_the_field(api: Api, redis_client: redis.Redis) -> None:
    meter = api(Meter.create, name="a", level=1)
    assert api(meter.atomic_increment, "level", 2) == 3
    assert redis_client.smembers("watched") == {b"1", b"3"}


# What is kept for all records together --------------------------------------------------------


class Longest(Field[str]):
    """Keeps the longest name of all records of a model under a key of its own."""

    def rebuilding(self, model_name: str, shard: str) -> Renewal:
        return LongestRenewal(shard)


class LongestRenewal:
    def __init__(self, shard: str) -> None:
        self.shard = shard
        self.names: list[str] = []

    def begin(self) -> Plan[None]:
        yield Request.of(("DEL", "longest:building"), shard=self.shard)

    def add(self, records: Sequence[Any]) -> Plan[Sequence[tuple[str, str]]]:
        self.names += [record.name for record in records]
        yield from ()
        return [(record.pk, "too short") for record in records if len(record.name) < 2]

    def finish(self) -> Plan[Sequence[tuple[str, str]]]:
        yield Request.of(("SET", "longest", max(self.names, key=len)), shard=self.shard)
        return [("longest", "is new")]


class Measured(Model):
    name = KeyField()
    longest = Longest()


def test_a_rebuild_makes_anew_what_a_field_keeps_for_all_records(
    api: Api, redis_client: redis.Redis
) -> None:
    for name in ("a", "bcd", "ef"):
        api(Measured.create, name=name)
    rebuilt = api(Measured.rebuild_indexes, batch_size=2)
    assert rebuilt == 3
    assert rebuilt.problems == [("Measured:a", "too short"), ("longest", "is new")]
    assert redis_client.get("longest") == b"bcd"
