"""A record's write is carried out, and the reply is lost: what the caller is told."""

from __future__ import annotations

import pytest

from popoto import EventStreamMixin, IndexedField, IntField, KeyField, Model
from popoto.exceptions import OutcomeUnknownError
from popoto.models.transactions import Transaction
from popoto.testing.faults import FaultProxy
from tests.driver import Api


class Berth(Model):
    name = KeyField()
    kind = IndexedField()


def test_a_move_to_another_key_is_not_repeated(api: Api, proxy: FaultProxy) -> None:
    """The repetition would say that the new key is taken, and nothing was written."""
    berth = api(Berth.create, name="a", kind="quay")
    berth.name = "b"
    proxy.lose_reply(b"EVALSHA")
    with pytest.raises(OutcomeUnknownError, match="may or may not"):
        api(berth.save, migrate_key=True)
    assert api(Berth.query.keys) == [b"Berth:b"]


def test_a_change_of_indexed_fields_is_repeated(api: Api, proxy: FaultProxy) -> None:
    """Its guards fail the second time, and then the new values are found stored."""
    berth = api(Berth.create, name="a", kind="quay")
    berth.kind = "pier"
    proxy.lose_reply(b"EVALSHA")
    api(berth.save)
    assert api(Berth.query.filter(kind="pier").keys) == [b"Berth:a"]
    assert api(Berth.query.filter(kind="quay").keys) == []


def test_a_creation_is_not_repeated(api: Api, proxy: FaultProxy) -> None:
    """The repetition could not tell the own record from that of another creator."""
    api(Berth.create, name="a")
    proxy.lose_reply(b"EVALSHA")
    with pytest.raises(OutcomeUnknownError):
        api(Berth.create, name="b", kind="quay")
    assert api(Berth.query.filter(kind="quay").keys) == [b"Berth:b"]


class Buoy(Model):
    name = KeyField()
    kind = IndexedField()
    version = IntField()

    class Meta:
        version_field = "version"


class Lamp(EventStreamMixin, Model):
    name = KeyField()
    kind = IndexedField()


def test_a_change_that_expects_something_is_not_repeated(api: Api, proxy: FaultProxy) -> None:
    """The repetition would find its own values, which are not those that were expected."""
    berth = api(Berth.create, name="a", kind="quay")
    berth.kind = "pier"
    proxy.lose_reply(b"EVALSHA")
    with pytest.raises(OutcomeUnknownError):
        api(berth.save, expected=["kind"])
    buoy = api(Buoy.create, name="a", kind="red")
    buoy.kind = "green"
    proxy.lose_reply(b"EVALSHA")
    with pytest.raises(OutcomeUnknownError):
        api(buoy.save)
    assert api(Buoy.query.get, name="a").version == 2


def test_a_change_that_adds_an_event_is_not_repeated(api: Api, proxy: FaultProxy) -> None:
    lamp = api(Lamp.create, name="a", kind="red")
    lamp.kind = "green"
    proxy.lose_reply(b"EVALSHA")
    with pytest.raises(OutcomeUnknownError):
        api(lamp.save)
    assert api(Lamp.query.filter(kind="green").count) == 1


def test_a_change_of_fields_that_nothing_guards_is_not_repeated(
    api: Api, proxy: FaultProxy
) -> None:
    class Note(Model):
        name = KeyField()
        pages = IntField()

    note = api(Note.create, name="a", pages=1)
    note.pages = 2
    proxy.lose_reply(b"EVALSHA")
    with pytest.raises(OutcomeUnknownError):
        api(note.save)


def test_a_change_that_turns_into_a_creation_is_not_repeated(api: Api, proxy: FaultProxy) -> None:
    """The record is gone: the second try writes it whole, as the caller wants."""
    berth = api(Berth.create, name="a", kind="quay")
    api(Berth(name="a").delete)
    berth.kind = "pier"
    lost = proxy.lose_reply(b"SADD")
    with pytest.raises(OutcomeUnknownError):
        api(berth.save, recreate=True)
    assert lost.happened == 1
    assert api(Berth.query.filter(kind="pier").keys) == [b"Berth:a"]


def test_a_transaction_is_not_repeated(api: Api, proxy: FaultProxy) -> None:
    """Of what it does together not all shows in what is stored."""
    berth = api(Berth.create, name="a", kind="quay")
    berth.kind = "pier"
    work = Transaction()
    work.save(berth)
    proxy.lose_reply(b"EVALSHA")
    with pytest.raises(OutcomeUnknownError):
        api(work.commit)
    assert api(Berth.query.filter(kind="pier").keys) == [b"Berth:a"]
