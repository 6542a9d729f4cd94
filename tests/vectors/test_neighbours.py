"""Approximate search: the nearest by an index, and everything else as in an exact search.

By a stand-in for usearch, and by usearch itself.
"""

from __future__ import annotations

import dataclasses
import importlib.machinery
import importlib.util
import random
import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from popoto import EmbeddingField, IndexedField, KeyField, Model, ModelException, StringField
from popoto.fields.vectors import nearness
from popoto.memory.vectors.matrix import View
from popoto.models.reading.ranking import comparing
from tests.driver import Api, client_in_use
from tests.vectors.provider import Known
from tests.vectors.stand_in import Index

COUNT = 200
USEARCH = pytest.param(
    "usearch",
    marks=pytest.mark.skipif(
        importlib.util.find_spec("usearch") is None,
        reason="usearch is not installed: pip install 'popoto[usearch]' (popoto[dev] has it)",
    ),
)


@pytest.fixture(params=["stand-in", USEARCH], autouse=True)
def package(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "stand-in":
        outer, inner = ModuleType("usearch"), ModuleType("usearch.index")
        outer.__spec__ = importlib.machinery.ModuleSpec("usearch", None)
        inner.Index = Index  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "usearch", outer)
        monkeypatch.setitem(sys.modules, "usearch.index", inner)


@pytest.fixture
def dice() -> random.Random:
    return random.Random(7)


@pytest.fixture
def clustered(dice: random.Random) -> Known:
    """Texts "0", "1" ... whose vectors crowd around ten points, and as many questions."""
    centres = [[dice.gauss(0, 1) for _ in range(16)] for _ in range(10)]
    provider = Known(dimensions=16)
    for number in range(3 * COUNT):
        centre = dice.choice(centres)
        provider.table[str(number)] = [each + dice.gauss(0, 0.7) for each in centre]
    return provider


@pytest.fixture
def memory(clustered: Known, store: Any) -> Any:
    class Memory(Model):
        name = KeyField()
        text = StringField()
        room = IndexedField(type=str, default="hall")
        vector = EmbeddingField(
            source="text", provider=clustered, store=store, search="approximate"
        )

    return Memory


@pytest.fixture
def filled(memory: Any) -> Any:
    memory.bulk_create([memory(name=f"n{n:03}", text=str(n)) for n in range(COUNT)])
    return memory


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """For each time that a question was compared with all vectors, with how many."""
    found: list[int] = []
    plain = View.similarities

    def watched(self: View, vector: Any) -> Any:
        found.append(len(self.rows))
        return plain(self, vector)

    monkeypatch.setattr(View, "similarities", watched)
    return found


def nearest(model: Any, question: str, texts: dict[str, str], limit: int = 10) -> Any:
    """What an exact search of these texts, by name, finds."""
    table = model.vector.provider.table

    def unit(text: str) -> Any:
        vector = np.asarray(table[text], dtype=np.float64)
        return vector / np.linalg.norm(vector)

    scores = {name: float(unit(text) @ unit(question)) for name, text in texts.items()}
    best = sorted(scores.items(), key=lambda each: (each[1], each[0]), reverse=True)[:limit]
    return [(name, pytest.approx(score, abs=1e-6)) for name, score in best if score > 0]


def scored(found: list[Any]) -> list[tuple[str, float]]:
    return [(each.name, each._similarity_score) for each in found]


TEXTS = {f"n{n:03}": str(n) for n in range(COUNT)}


def test_the_nearest_are_found_with_exact_scores_and_without_comparing_all(
    api: Api, filled: Any, compared: list[int]
) -> None:
    for question in map(str, range(COUNT, COUNT + 20)):
        found = api(filled.query.semantic_search, question)
        assert scored(found) == nearest(filled, question, TEXTS)
    assert compared == []


def test_of_many_that_have_just_the_least_score_those_that_match_are_found(
    api: Api, memory: Any
) -> None:
    """Far more than are looked at first are as near as they are."""
    rooms = ["cellar" if number % 40 == 39 else "hall" for number in range(COUNT)]
    memory.bulk_create(memory(name=f"n{n:03}", text="0", room=rooms[n]) for n in range(COUNT))
    least = api(memory.query.semantic_search, "0", limit=1)[0]._similarity_score
    found = api(memory.query.filter(room="cellar").semantic_search, "0", limit=9, min_score=least)
    assert len(found) == COUNT // 40


def test_any_history_is_followed(
    api: Api, filled: Any, compared: list[int], dice: random.Random
) -> None:
    texts = dict(TEXTS)
    for turn in range(40):
        name = dice.choice(sorted(texts))
        record = api(filled.query.get, name=name)
        match turn % 4:
            case 0:
                api(record.delete)
                del texts[name]
            case 1:
                record.text = texts[name] = str(COUNT + turn)
                api(record.save)
            case 2:
                record.name = f"m{turn}"
                api(record.save, migrate_key=True)
                texts[f"m{turn}"] = texts.pop(name)
            case _:
                api(filled.create, name=f"c{turn}", text=str(turn))
                texts[f"c{turn}"] = str(turn)
        question = str(2 * COUNT + turn)
        assert scored(api(filled.query.semantic_search, question)) == nearest(
            filled, question, texts
        )
    assert compared == []


def test_when_most_are_gone_the_others_are_found(
    api: Api, filled: Any, compared: list[int]
) -> None:
    more = [filled(name=f"x{n:03}", text=str(n)) for n in range(600)]
    filled.bulk_create(more)
    api(filled.query.semantic_search, "0")
    api(filled.query.semantic_search, "0")
    compared.clear()
    filled.bulk_delete(more)
    for question in ("300", "301"):
        assert scored(api(filled.query.semantic_search, question)) == nearest(
            filled, question, TEXTS
        )
    assert compared == []


def test_vectors_that_are_made_anew_are_followed(api: Api, filled: Any) -> None:
    api(filled.query.semantic_search, "0")
    table = filled.vector.provider.table
    for number in range(COUNT):
        table[str(number)] = table[str(number + COUNT)]
    assert api(filled.reembed, anew=True) == COUNT
    assert scored(api(filled.query.semantic_search, "500")) == nearest(filled, "500", TEXTS)


def test_conditions_hold_before_the_limit(api: Api, filled: Any, compared: list[int]) -> None:
    few = {f"n{n:03}": str(n) for n in range(0, COUNT, 40)}
    for name in few:
        record = filled.query.get(name=name)
        record.room = "cellar"
        record.save()
    search = filled.query.filter(room="cellar").semantic_search
    for question in ("300", "301", "302"):
        assert scored(api(search, question, limit=3)) == nearest(filled, question, few, 3)
    others = {name: text for name, text in TEXTS.items() if name not in few}
    search = filled.query.filter(room="hall").semantic_search
    assert scored(api(search, "303")) == nearest(filled, "303", others)
    assert api(filled.query.filter(room="attic").semantic_search, "303") == []
    assert compared == []


def test_a_least_score_needs_no_comparison_unless_it_is_negative(
    api: Api, filled: Any, compared: list[int]
) -> None:
    close = [each for each in nearest(filled, "300", TEXTS, COUNT) if each[1].expected >= 0.8]
    assert 0 < len(close) < 64
    found = api(filled.query.semantic_search, "300", limit=50, min_score=0.8)
    assert scored(found) == close[:50]
    assert compared == []
    found = api(filled.query.semantic_search, "300", limit=5, min_score=-1)
    assert scored(found) == nearest(filled, "300", TEXTS, 5)
    assert compared == [COUNT]


def test_more_than_the_nearest_are_found_where_more_are_asked_for(api: Api, filled: Any) -> None:
    found = api(filled.query.semantic_search, "300", limit=90)
    assert scored(found) == nearest(filled, "300", TEXTS, 90)
    refused = {f"Memory:{name}" for name, _ in nearest(filled, "300", TEXTS, 80)}
    found = api(
        filled.query.semantic_search, "300", limit=5, post_filter=lambda key, _: key not in refused
    )
    assert scored(found) == nearest(filled, "300", TEXTS, 85)[80:]


@pytest.mark.parametrize("rule", ["sum", "max", "min"])
def test_boosts_lift_what_is_not_near(
    api: Api, filled: Any, compared: list[int], rule: str
) -> None:
    far = nearest(filled, "300", TEXTS, COUNT)[-1][0]
    boost = {f"Memory:{far}": 2.0, "Memory:gone": 9.0}
    found = api(filled.query.semantic_search, "300", co_occurrence_boost=boost, aggregate=rule)
    assert compared == []
    place = filled.vector.keeper.place
    filled.vector.keeper.place = dataclasses.replace(place, approximate_from=None)
    exact = api(filled.query.semantic_search, "300", co_occurrence_boost=boost, aggregate=rule)
    assert compared == [COUNT]
    assert [name for name, _ in scored(found)] == [name for name, _ in scored(exact)]
    assert [score for _, score in scored(found)] == pytest.approx(
        [score for _, score in scored(exact)], abs=1e-6
    )


def test_records_that_are_gone_make_room(api: Api, filled: Any) -> None:
    best = [name for name, _ in nearest(filled, "300", TEXTS, 5)]
    client_in_use().delete(*(f"Memory:{name}" for name in best))
    left = {name: text for name, text in TEXTS.items() if name not in best}
    for _ in range(2):
        assert scored(api(filled.query.semantic_search, "300")) == nearest(filled, "300", left)


def test_until_the_index_has_all_they_are_compared(
    api: Api, filled: Any, compared: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparing, "_MOST_TAKEN_OVER", 80)
    for _ in range(3):
        assert scored(api(filled.query.semantic_search, "300")) == nearest(filled, "300", TEXTS)
    assert compared == [COUNT, COUNT]


def test_an_index_can_be_prepared(
    api: Api, filled: Any, compared: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparing, "_MOST_TAKEN_OVER", 1)
    assert api(EmbeddingField.prepare_search, filled) == COUNT
    assert len(api(filled.query.semantic_search, "300")) == 10
    assert compared == []


def test_auto_compares_all_of_a_few_and_without_usearch(
    api: Api, clustered: Known, store: Any, compared: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Automatic(Model):
        name = KeyField()
        text = StringField()
        vector = EmbeddingField(
            source="text", provider=clustered, store=store, search="auto", approximate_from=100
        )

    def fill(start: int, stop: int) -> None:
        Automatic.bulk_create([Automatic(name=f"n{n:03}", text=str(n)) for n in range(start, stop)])

    fill(0, 99)
    api(Automatic.query.semantic_search, "300")
    assert compared == [99]
    fill(99, COUNT)
    assert scored(api(Automatic.query.semantic_search, "300")) == nearest(Automatic, "300", TEXTS)
    # On the server, what it was before is compared while it is asked what has changed.
    assert compared == ([99, 99] if store == "server" else [99])
    compared.clear()
    monkeypatch.setattr(nearness, "has_usearch", lambda: False)
    Automatic.vector._keeper = None
    api(Automatic.query.semantic_search, "300")
    assert compared == [COUNT]


def test_by_default_all_are_compared(clustered: Known, store: Any, compared: list[int]) -> None:
    class Plain(Model):
        name = KeyField()
        text = StringField()
        vector = EmbeddingField(source="text", provider=clustered, store=store)

    Plain.bulk_create([Plain(name=f"n{n:03}", text=str(n)) for n in range(COUNT)])
    assert EmbeddingField.prepare_search(Plain) == COUNT
    Plain.query.semantic_search("300")
    assert compared == [COUNT]


def test_there_may_be_nothing_to_prepare(api: Api, memory: Any) -> None:
    class Bare(Model):
        name = KeyField()

    assert api(EmbeddingField.prepare_search, Bare) == 0
    assert api(EmbeddingField.prepare_search, memory) == 0
    assert api(memory.query.semantic_search, "300") == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"search": "nearly"}, "search='nearly'.*'exact'"),
        ({"search": "approximate", "cache": False}, "cache=False"),
        ({"search": "auto", "approximate_from": -1}, "approximate_from=-1"),
        ({"search": "auto", "approximate_from": True}, "approximate_from=True"),
        ({"search": "auto", "approximate_from": "many"}, "approximate_from='many'"),
    ],
)
def test_options_that_cannot_work_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ModelException, match=words):

        class Refused(Model):
            name = KeyField()
            text = StringField()
            vector = EmbeddingField(source="text", **options)


def test_without_usearch_an_approximate_search_names_the_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(nearness, "has_usearch", lambda: False)
    with pytest.raises(ImportError, match=r"popoto\[usearch\]"):

        class Refused(Model):
            name = KeyField()
            text = StringField()
            vector = EmbeddingField(source="text", search="approximate")
