"""Deletions from several shards while another writer changes one of the records."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest

from popoto.exceptions import ProtectedError
from popoto.models.writing import cascading
from popoto.models.writing.deleting import Deletion
from popoto.models.writing.depending import Relatives
from popoto.models.writing.relatives import referrers_first
from tests.driver import Api
from tests.interference import before_each_commit

from .models import Note

pytestmark = [pytest.mark.cluster, pytest.mark.slow]


@pytest.mark.parametrize("agents", list(itertools.permutations(("ann", "bob", "cleo"))))
def test_one_that_stays_protects_what_it_refers_to(
    api: Api, monkeypatch: pytest.MonkeyPatch, agents: Sequence[str]
) -> None:
    """Whenever it stops to match: none refers to a record that is gone."""
    top, middle, deep = agents
    turn, has_gone = 0, False
    while not has_gone:
        turn += 1
        first = Note.create(agent=top, number=1, topic="old")
        second = Note.create(agent=middle, number=1, topic="old", rests_on=first)
        Note.create(agent=deep, number=1, topic="old", rests_on=second)
        turns = itertools.count(1)
        changed: list[int] = []

        def interfere(
            turns: itertools.count[int] = turns, changed: list[int] = changed, now: int = turn
        ) -> None:
            if next(turns) == now:
                changed.append(Note.query.filter(agent=deep).update(topic="new"))

        with monkeypatch.context() as patch:
            before_each_commit(patch, interfere)
            try:
                api(Note.query.filter(topic="old").delete)
            except ProtectedError:
                assert changed == [1]
                assert {each.agent for each in Note.query.all()} == {top, middle, deep}
            else:
                assert Note.query.count() == 0
                # It came too late.
                has_gone = changed != [1]
        Note.delete_all()
    assert turn > 2


@pytest.mark.parametrize("turn", range(1, 8))
def test_an_error_tells_what_has_gone_before(
    api: Api, monkeypatch: pytest.MonkeyPatch, turn: int
) -> None:
    """Commits on shards are one after the other: what nobody refers to may have gone."""
    first = Note.create(agent="ann", number=1, topic="old")
    second = Note.create(agent="bob", number=1, topic="old", rests_on=first)
    Note.create(agent="cleo", number=1, topic="old", reply_to=first)
    turns = itertools.count(1)

    def interfere() -> None:
        if next(turns) == turn:
            Note.query.filter(pk=second.pk).update(topic="new")

    told = ""
    with monkeypatch.context() as patch:
        before_each_commit(patch, interfere)
        try:
            api(Note.query.filter(topic="old").delete)
        except ProtectedError as error:
            told = str(error)
    left = {each.agent for each in Note.query.all()}
    if not told:
        assert left == set()
    elif "nothing was written" in told:
        assert left == {"ann", "bob", "cleo"}
    else:
        assert "1 others that were to go have been deleted before" in told
        assert left == {"ann", "bob"}


def test_it_goes_on_for_as_long_as_one_goes_each_time(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What ends it is a look after which nothing has gone, and not the number of looks."""
    monkeypatch.setattr(cascading, "_MOST_LOOKS", 2)
    for agent in "abcdef":
        Note.create(agent=agent, number=0, topic="old")
    numbers, left = itertools.count(1), 6

    def refer_to_the_others() -> None:
        nonlocal left
        notes = Note.query.filter(topic="old").all()
        if len(notes) < left:
            left = len(notes)
            for note in notes:
                Note.create(agent=note.agent, number=next(numbers), reply_to=note)

    with monkeypatch.context() as patch:
        before_each_commit(patch, refer_to_the_others)
        assert api(Note.query.filter(topic="old").delete) == 6
    assert next(numbers) > 5
    assert Note.query.filter(topic="old").count() == 0
    assert {each.reply_to for each in Note.query.all()} == {None}


def test_records_go_before_those_that_they_refer_to() -> None:
    keys = [f"Note:ann:{number}" for number in range(5)]
    deletions = [Deletion(Note(agent="ann", number=number), {}) for number in range(5)]
    found = Relatives({}, ())
    found.referrers = {
        keys[0]: [keys[1], keys[2], "Note:bob:1"],
        keys[1]: [keys[3], keys[2]],
        # A circle.
        keys[3]: [keys[4]],
        keys[4]: [keys[3]],
    }
    order = [each.key for each in referrers_first(deletions, found)]
    assert sorted(order) == keys
    assert order == [keys[4], keys[3], keys[2], keys[1], keys[0]]
