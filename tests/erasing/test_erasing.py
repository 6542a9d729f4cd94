"""`erase` leaves nothing of a subject on the server or in files, and nothing of others changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import redis

import popoto
from popoto import (
    BM25Field,
    ContentField,
    CoOccurrenceField,
    IndexedField,
    IntField,
    KeyField,
    Model,
    ModelException,
    Relationship,
    StreamConsumer,
    StringField,
    UniqueField,
)
from popoto.stores import AbstractContentStore
from tests.driver import Api
from tests.erasing.looking import contents_of, files_with, keys_with
from tests.erasing.models import ANN, BOB, Deed, Memory, lived, remember


def test_nothing_of_the_subject_is_left(
    api: Api, redis_client: redis.Redis, directory: Path
) -> None:
    lived(ANN)
    lived(BOB)
    assert keys_with(redis_client, ANN)
    assert files_with(directory, ANN)
    reports = [api(Memory.erase, agent=ANN), api(Deed.erase, agent=ANN)]
    assert keys_with(redis_client, ANN) == []
    assert files_with(directory, ANN) == []
    assert [report.records for report in reports] == [3, 2]
    assert all(report.is_complete for report in reports)
    assert Memory.check_indexes()["total"] == Deed.check_indexes()["total"] == 0


def of_one(word: str, held: dict[bytes, Any]) -> dict[bytes, Any]:
    """The keys that name somebody, whole, and of the others the members that do."""
    found: dict[bytes, Any] = {}
    for key, value in held.items():
        if word.encode() in key:
            found[key] = value
        elif isinstance(value, list):
            found[key] = [each for each in value if word in repr(each)]
    return {key: value for key, value in found.items() if value}


def test_what_is_of_others_stays_as_it_is_to_the_last_byte(
    redis_client: redis.Redis, directory: Path
) -> None:
    lived(ANN)
    lived(BOB)
    before = of_one(BOB, contents_of(redis_client))
    files = files_of_bob(directory)
    popoto.erase(ANN, [Memory, Deed])
    after = of_one(BOB, contents_of(redis_client))
    assert after.keys() == before.keys()
    for key, value in before.items():
        assert after[key] == value, key
    assert files_of_bob(directory) == files


def files_of_bob(directory: Path) -> dict[Path, bytes]:
    """His files; what they have in common with others (the index of vectors) left out."""
    found = {path: path.read_bytes() for path in files_with(directory, BOB)}
    return {path: held for path, held in found.items() if path.name != "_index.json"}


async def test_the_twin_erases_from_all_models_that_say_whose_their_records_are(
    redis_client: redis.Redis,
) -> None:
    lived(ANN)
    reports = await popoto.async_erase(ANN, [Memory, Deed])
    assert {name: each.records for name, each in reports.items()} == {"Memory": 3, "Deed": 2}
    assert keys_with(redis_client, ANN) == []


def test_the_report_says_what_was_looked_at_and_what_is_beyond_reach() -> None:
    lived(ANN)
    lived(BOB)
    report = Memory.erase(agent=ANN)
    kinds = {kind for kind, trace in report.traces.items() if trace.looked_at}
    assert kinds >= {"records", "index entries", "keys", "words", "vectors", "contents", "events"}
    assert kinds >= {"histories", "filters"}
    assert report.traces["records"].looked_at == 6
    assert report.traces["filters"].looked_at == 3  # those of others, which stay in them
    assert report.subject == {"agent": ANN}
    assert "Memory of agent='ann1f0c': erased" in str(report)
    assert any("backups" in what for what in report.beyond_reach)
    assert "beyond reach: append-only files" in str(report)


def test_nothing_there_is_no_error() -> None:
    report = Memory.erase(agent=ANN)
    assert report.records == 0
    assert report.is_complete


# What mentions a subject elsewhere -------------------------------------------------------------


def test_edges_and_histories_of_others_do_not_name_it_any_more(redis_client: redis.Redis) -> None:
    mine, yours = remember(ANN, "mine"), remember(BOB, "yours")
    Memory.links.link(Memory, yours.pk, mine.pk)
    Memory.links.link(Memory, mine.pk, yours.pk)
    assert [entry.target for entry in yours.history() if entry.kind == "link"] == [mine.pk]
    before = [entry for entry in yours.history() if entry.kind != "link"]
    Memory.erase(agent=ANN)
    assert keys_with(redis_client, "mine") == []
    assert yours.history() == before


class Walk(Model):
    """Whose a walk is its key says."""

    agent = KeyField()
    number = KeyField(type=int)
    near = CoOccurrenceField()

    class Meta:
        history = True
        subject = "agent"


def test_a_history_forgets_keys_that_say_that_they_are_the_subjects() -> None:
    """Of records that went long ago as well; of other models, or without the part, none do."""
    walk = Walk.create(agent=BOB, number=1)
    others = {f"Stroll:{ANN}:1", f"Walk:{BOB}:{ANN}", "Walk"}
    for target in (f"Walk:{ANN}:1", *others):
        Walk.near.link(Walk, walk.pk, target)
    Walk.erase(agent=ANN)
    assert {entry.target for entry in walk.history() if entry.kind == "link"} == others


@pytest.mark.single_server("a consumer names its stream, which has a hash tag on a cluster")
async def test_events_go_and_dead_letters_too(redis_client: redis.Redis) -> None:
    remember(ANN, "mine")
    Deed.create(agent=ANN, number=1)
    Deed.create(agent=BOB, number=1)

    def refuse(entries: Any) -> None:
        raise LookupError

    for stream in ("stream:mutations", f"stream:deeds:{ANN}"):
        consumer = StreamConsumer(stream, "g", "c", refuse, block_ms=0, claim_timeout_ms=0)
        consumer.max_retries = 0
        with pytest.raises(LookupError):
            await consumer.process_batch()
        await consumer.process_batch()
    assert redis_client.xlen("dead:stream:mutations") == 1
    popoto.erase(ANN, [Memory, Deed])
    assert keys_with(redis_client, ANN, "mine") == []
    assert redis_client.xlen(f"stream:deeds:{BOB}") == 1


def test_events_of_records_that_were_deleted_long_ago_go_as_well(
    redis_client: redis.Redis,
) -> None:
    remember(ANN, "mine").delete()
    Deed.create(agent=ANN, number=1).delete()
    assert keys_with(redis_client, ANN)
    popoto.erase(ANN, [Memory, Deed])
    assert keys_with(redis_client, ANN, "mine") == []


def test_what_missing_records_left_goes_as_well(redis_client: redis.Redis, directory: Path) -> None:
    lived(ANN)
    for key in redis_client.scan_iter("Memory:*"):
        redis_client.delete(key)
    redis_client.delete(f"Deed:{ANN}:0")
    popoto.erase(ANN, [Memory, Deed])
    assert [key for key in keys_with(redis_client, ANN) if b"stream" not in key] == []


def test_entries_that_missing_records_left_are_counted(redis_client: redis.Redis) -> None:
    Deed.create(agent=ANN, number=1)
    redis_client.delete(f"Deed:{ANN}:1")
    report = Deed.erase(agent=ANN)
    assert report.records == 0
    assert report.traces["index entries"].removed >= 2


def test_a_partition_of_proposals_of_which_its_list_alone_knows_goes_as_well(
    redis_client: redis.Redis,
) -> None:
    """The proposals themselves have expired, or were deleted by hand."""
    redis_client.sadd("$RP:Memory:partitions", ANN, BOB)
    Memory.erase(agent=ANN)
    assert redis_client.smembers("$RP:Memory:partitions") == {BOB.encode()}


def test_records_that_no_index_knows_are_found(redis_client: redis.Redis) -> None:
    remember(ANN, "mine")
    for key in redis_client.scan_iter("$*Memory*"):
        redis_client.delete(key)
    assert Memory.erase(agent=ANN).records == 1
    assert keys_with(redis_client, ANN) == []


class Tale(Model):
    name = KeyField()
    teller = StringField()
    words = BM25Field(source="teller")


def test_words_of_a_large_index_are_not_told_by_its_log(redis_client: redis.Redis) -> None:
    Tale.bulk_create([Tale(name=f"n{each}", teller=BOB) for each in range(1_001)])
    Tale.create(name="mine", teller=ANN)
    assert redis_client.zscore("$BM25:Tale:words:changes", "Tale:mine") is not None
    Tale.erase(teller=ANN)
    assert keys_with(redis_client, ANN, "Tale:mine") == []


class Leaflet(Model):
    title = KeyField()
    writer = KeyField()


class Marginalia(Model):
    number = KeyField(type=int)
    page = Relationship(model=Leaflet, null=True)


def test_records_of_others_that_refer_to_it_stay_and_are_reported(
    redis_client: redis.Redis,
) -> None:
    page = Leaflet.create(title="start", writer=ANN)
    Marginalia.create(number=1, page=page)
    Marginalia.create(number=2)
    report = Leaflet.erase(writer=ANN)
    assert report.traces["references"].remaining == 1
    assert not report.is_complete
    assert "NOT COMPLETE" in str(report)
    assert Marginalia.query.count() == 2


# Contents --------------------------------------------------------------------------------------


class Letter(Model):
    number = KeyField(type=int)
    writer = IndexedField()
    text = ContentField()
    copy = ContentField()


def test_a_text_that_others_have_too_stays_theirs(directory: Path) -> None:
    Letter.create(number=1, writer=ANN, text="the same", copy="ann's alone")
    bob = Letter.create(number=2, writer=BOB, text="the same", copy="bob's alone")
    bob.text = "another"
    bob.save()
    bob.text = "the same"
    bob.save()
    report = Letter.erase(writer=ANN)
    assert report.traces["contents"].removed == 2
    loaded = Letter.query.get(number=2)
    assert (loaded.text, loaded.copy) == ("the same", "bob's alone")
    assert files_with(directory, "ann's alone") == []


def test_earlier_versions_go_and_those_of_others_stay(directory: Path) -> None:
    letters = [Letter.create(number=each, writer=who) for each, who in ((1, ANN), (2, BOB))]
    for letter in letters:
        for version in ("first", "second", "third"):
            letter.text = f"{version} of {letter.writer}"
            letter.save()
    assert len(files_with(directory, f"of {ANN}")) == len(files_with(directory, f"of {BOB}")) == 3
    Letter.erase(writer=ANN)
    assert files_with(directory, f"of {ANN}") == []
    assert len(files_with(directory, f"of {BOB}")) == 3


class InMemory(AbstractContentStore):
    def __init__(self) -> None:
        self.contents: dict[str, bytes] = {}

    def save(self, content: bytes, key: str, model_class_name: str) -> str:
        reference = f"mem:{content.decode()}"
        self.contents[reference] = content
        return reference

    def load(self, reference: str) -> bytes:
        return self.contents[reference]

    def delete(self, reference: str) -> None:
        if self.contents.pop(reference, None) is None:
            raise FileNotFoundError(reference)

    def exists(self, reference: str) -> bool:
        return reference in self.contents


STORE = InMemory()


class Card(Model):
    number = KeyField(type=int)
    writer = IndexedField()
    text = ContentField(store=STORE)


def test_contents_in_a_store_of_ones_own(api: Api) -> None:
    STORE.contents.clear()
    for number, (who, text) in enumerate([(ANN, "hers"), (ANN, "both"), (BOB, "both")]):
        Card.create(number=number, writer=who, text=text)
    api(Card.erase, writer=ANN)
    assert list(STORE.contents.values()) == [b"both"]


# Who is meant ----------------------------------------------------------------------------------


class Order(Model):
    number = KeyField(type=int)
    customer = IntField()
    shop = StringField()
    mail = UniqueField()


def test_several_conditions_mean_records_that_fulfil_all() -> None:
    for number, (customer, shop) in enumerate([(1, "a"), (1, "b"), (2, "a")]):
        Order.create(number=number, customer=customer, shop=shop, mail=str(number))
    assert Order.erase(customer=1, shop="a").records == 1
    assert sorted(order.number for order in Order.query.all()) == [1, 2]


def test_a_field_without_an_index_can_say_it_and_text_is_taken_as_for_other_calls() -> None:
    Order.create(number=1, customer=7, shop="a", mail="x")
    assert Order.erase(customer="7").records == 1


@pytest.mark.parametrize(
    ("conditions", "told"),
    [
        ({}, "whose records are meant"),
        ({"customr": 1}, "Unknown field 'customr'"),
        ({"customer": None}, "None says of no record"),
        ({"customer": "x"}, "nothing was removed"),
    ],
)
def test_what_cannot_be_meant_is_refused(conditions: dict[str, Any], told: str) -> None:
    Order.create(number=1, customer=7, shop="a", mail="x")
    with pytest.raises(ModelException, match=told):
        Order.erase(**conditions)
    assert Order.query.count() == 1


@pytest.mark.parametrize("field", ["body", "tags", "near"])
def test_fields_whose_values_are_elsewhere_say_of_no_record_whose_it_is(field: str) -> None:
    with pytest.raises(ModelException, match="cannot say whose"):
        Memory.erase(**{field: "x"})


def test_a_batch_without_rows_is_refused_also_where_nothing_is_stored() -> None:
    with pytest.raises(ValueError, match="batch_size"):
        Memory.erase(agent=ANN, batch_size=0)


def test_models_that_do_not_say_it_are_refused_before_anything_is_removed() -> None:
    remember(ANN, "mine")
    with pytest.raises(ModelException, match=r"Meta\.subject"):
        popoto.erase(ANN, [Memory, Order])
    assert Memory.query.filter(agent=ANN).count() == 1


def test_the_field_that_says_it_has_to_be_there() -> None:
    with pytest.raises(ModelException, match="Unknown field 'whom'"):

        class Wrong(Model):
            name = KeyField()

            class Meta:
                subject = "whom"
