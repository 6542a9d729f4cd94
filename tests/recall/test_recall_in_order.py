"""`recall` where a model says in what order its records were said, and by whom."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest

from popoto import (
    BM25Field,
    DecayingSortedField,
    EmbeddingField,
    IndexedField,
    KeyField,
    Model,
    ModelException,
    Recall,
    SortedField,
    StringField,
)
from popoto.models.reading.ranking.recalling import sequence
from tests.driver import Api, RoundTrips
from tests.recall.remembered import Said, names
from tests.vectors.provider import Known

TALK = [
    ("a1", "one", 1, "Anna", "hello there"),
    ("a2", "one", 2, "Ben", "where was the harbour festival"),
    ("a3", "one", 3, "Anna", "down by the river"),
    ("b1", "two", 1, "Ben", "the harbour was full"),
    ("b2", "two", 2, "Anna", "quite cold today"),
]


@pytest.fixture
def said() -> Any:
    for name, session, turn, speaker, text in TALK:
        Said.create(name=name, session=session, turn=turn, speaker=speaker, text=text)
    return Said


def told(found: Any, key: str, name: str) -> float:
    by_key = {each.key: each for each in (*found.explain().results, *found.explain().dropped)}
    value: float = by_key[key][name].value
    return value


def test_neighbours_of_what_answers_come_along(api: Api, said: Any) -> None:
    found = api(said.query.recall, "harbour festival", explain=True)
    assert names(found) == ["a2", "a3", "b1", "a1", "b2"]
    assert told(found, "Said:a1", "words") == 0
    assert told(found, "Said:a1", "neighbours") == told(found, "Said:a3", "neighbours") > 0
    assert told(found, "Said:a2", "neighbours") == 0
    assert names(api(said.query.recall, "harbour festival", signals=["words"])) == ["a2", "b1"]


def test_the_best_of_its_session_lifts_a_record(api: Api, said: Any) -> None:
    found = api(said.query.recall, "harbour festival", explain=True)
    text = sum(
        told(found, "Said:a2", name) * weight for name, weight in (("words", 1.0), ("length", 0.1))
    )
    for key in ("Said:a1", "Said:a2", "Said:a3"):
        assert told(found, key, "session") == pytest.approx(text)
    assert told(found, "Said:b2", "session") == told(found, "Said:b1", "session") < text


def test_who_is_named_has_said_it(api: Api, said: Any) -> None:
    found = api(said.query.recall, "What did BEN say of the harbour?", explain=True)
    assert [told(found, f"Said:{name}", "speaker") for name in ("a2", "b1", "b2")] == [1, 1, 0]
    for question in ("the harbour", "Anna and Ben at the harbour", "the harbour of Benin"):
        found = api(said.query.recall, question, explain=True)
        assert "speaker" not in {each.name for each in found.explain().results[0].parts}


def test_conditions_hold_for_neighbours(api: Api, said: Any) -> None:
    query = said.query.filter(speaker="Anna")
    found = api(query.recall, "harbour festival")
    assert found == []
    found = api(query.recall, "river", explain=True)
    assert names(found) == ["a3", "a1"]
    assert [(each.key, each.rule) for each in found.explain().dropped] == [("Said:a2", "condition")]
    query = said.query.filter(session="two")
    assert names(api(query.recall, "harbour festival")) == ["b1", "b2"]


def test_a_vector_has_parts_of_those_before_and_after(api: Api) -> None:
    known = Known(
        {"question": (1, 0, 0), "before": (0, 1, 0), "it": (1, 0, 0), "after": (0, 0, 1)},
        name="three",
    )

    class Heard(Model):
        name = KeyField()
        session = IndexedField(null=True)
        turn = SortedField(type=int, partition_by="session")
        text = StringField()
        meaning = EmbeddingField(source="text", provider=known, store="server")

        class Meta:
            recall = Recall(session="session", order="turn")

    for turn, text in enumerate(("before", "it", "after")):
        Heard.create(name=text, session="s", turn=turn, text=text)
    found = api(Heard.query.recall, "question", explain=True)
    assert names(found) == ["it", "before", "after"]
    assert told(found, "Heard:it", "meaning") == pytest.approx(1 / 1.29**0.5)
    assert told(found, "Heard:before", "meaning") == pytest.approx(0.5 / 1.25**0.5)
    assert told(found, "Heard:after", "meaning") == pytest.approx(0.2 / 1.04**0.5)
    Heard.create(name="lone", session=None, turn=1, text="it")
    assert "lone" in names(api(Heard.query.recall, "question"))


def test_of_a_long_session_what_is_near_the_best_comes(api: Api, said: Any) -> None:
    Said.bulk_create(
        [
            Said(name=f"l{n:03}", session="long", turn=n, speaker="Cy", text="well well")
            for n in range(301)
        ]
    )
    record = Said.query.get(name="l150")
    record.text = "a comet"
    record.save()
    found = api(said.query.recall, "comet", limit=1000, explain=True)
    assert len(found) == 201
    assert {"l050", "l250"} <= set(names(found))
    assert "l049" not in names(found)


def test_neighbours_are_those_of_the_best_sessions(
    api: Api, said: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sequence, "_SESSIONS", 1)
    assert names(api(said.query.recall, "harbour festival")) == ["a2", "b1", "a3", "a1"]


def test_an_order_costs_three_round_trips_more(
    api: Api, said: Any, round_trips: Callable[[], AbstractContextManager[RoundTrips]]
) -> None:
    api(said.query.recall, "harbour")
    with round_trips() as seen:
        api(said.query.recall, "harbour")
    assert seen.sends <= 5


# Declaring it ----------------------------------------------------------------------------------


def declared(recall: Any) -> Any:
    class Declared(Model):
        name = KeyField()
        session = IndexedField()
        other = StringField()
        turn = SortedField(type=int, partition_by="session")
        rank = SortedField(type=int)
        fresh = DecayingSortedField(partition_by="session")
        text = StringField()
        words = BM25Field(source="text")

        class Meta:
            pass

        Meta.recall = recall

    return Declared


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"session": "nobody", "order": "turn"}, "Declared.Meta.recall: Unknown field 'nobody'"),
        ({"speaker": "nobody"}, "Declared.Meta.recall: Unknown field 'nobody'"),
        ({"session": "other", "order": "turn"}, "partition_by='other'"),
        ({"session": "session", "order": "rank"}, "partition_by='session'"),
        ({"session": "session", "order": "other"}, "partition_by='session'"),
        ({"session": "session", "order": "fresh"}, "partition_by='session'"),
        ({"session": "session"}, "name both"),
        ({"order": "turn"}, "name both"),
        ({}, "names no field"),
    ],
)
def test_declarations_that_cannot_work_are_refused(arguments: dict[str, str], message: str) -> None:
    with pytest.raises(ModelException, match=message):
        declared(Recall(**arguments))


def test_what_is_no_declaration_is_refused() -> None:
    with pytest.raises(ModelException, match="must be Recall"):
        declared("session")


def test_a_speaker_alone_will_do(api: Api) -> None:
    model = declared(Recall(speaker="other"))
    for name, other in (("a", "Anna"), ("b", "Ben")):
        model.create(name=name, session="s", other=other, turn=1, rank=1, text="the same words")
    assert names(api(model.query.filter(session="s").recall, "words of Ben")) == ["b", "a"]


def test_declarations_are_inherited(api: Api) -> None:
    class Kind(Model):
        name = KeyField()
        speaker = StringField()
        text = StringField()
        words = BM25Field(source="text")

        class Meta:
            abstract = True
            recall = Recall(speaker="speaker")

    class Own(Kind):
        pass

    for name in ("Anna", "Ben"):
        Own.create(name=name, speaker=name, text="the same words")
    assert names(api(Own.query.recall, "words of Ben")) == ["Ben", "Anna"]
