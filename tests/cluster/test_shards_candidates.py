"""Which records a recall takes for candidates is decided for all shards, as one server does it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import redis

from popoto import ConfidenceField
from popoto.memory.recall.formula import COMMON_SHARE

from .models import Filed, Said, holder
from .sameness import assert_same

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

AGENTS = ("ann", "bob", "cleo", "dan")
Both = Callable[..., Any]


def remember(both: Both, rows: Iterable[tuple[str, str, str]]) -> None:
    """Records of agents, with a text and a session each, here and on a single server."""
    said = [
        {"agent": agent, "name": f"{place:03}", "text": text, "session": session}
        for place, (agent, text, session) in enumerate(rows)
    ]
    both(lambda: Said.bulk_create([Said(**each) for each in said]))


def long(word: str) -> str:
    return f"{word} {'filler ' * 100}"


def recalled(both: Both, query: Any, asked: str, **more: Any) -> list[str]:
    """The texts of a recall by words, which is the same here and there."""
    answers = both(lambda: query.recall(asked, **{"limit": 5, "signals": ["words"], **more}))
    assert_same(answers, "_recall_score")
    return [each.text for each in answers[0]]


def test_how_many_match_is_added_up(both: Both) -> None:
    """So many that not all of them are looked at; of no shard alone that would be said."""
    texts = [long("alpha")] * 100 + ["beta"] * 101 + ["other"] * 39
    remember(both, ((AGENTS[at % 4], text, "here") for at, text in enumerate(texts)))
    remember_elsewhere = [(AGENTS[at % 4], f"nothing {at}", "there") for at in range(80)]
    both(
        lambda: Said.bulk_create(
            Said(agent=agent, name=f"x{at}", text=text, session=session)
            for at, (agent, text, session) in enumerate(remember_elsewhere)
        )
    )
    assert COMMON_SHARE * 320 < 101
    # Those with the rare word are enough.
    assert "beta" not in recalled(both, Said.query.filter(session="here"), "alpha beta")


def test_where_one_shard_has_to_look_at_each_all_do(
    both: Both, nodes: list[redis.Redis], redis_client: redis.Redis
) -> None:
    """Records of 1.6 are in no list of texts, so no one can tell which texts begin so."""
    rows = [(AGENTS[at % 3], long("alpha"), "here") for at in range(111)]
    rows += [(agent, "beta", "here") for agent in AGENTS[:3]]
    rows += [("dan", "beta", "elsewhere")] * 111
    remember(both, rows)
    query = Said.query.filter(session__startswith="her")
    # Few match, so all of them are looked at.
    assert recalled(both, query, "alpha beta")[:3] == ["beta"] * 3
    holder(nodes, "Said:dan").delete("{Said:dan}$Values:Said")
    redis_client.delete("$Values:Said")
    assert "beta" not in recalled(both, query, "alpha beta")
    Said.rebuild_indexes()


def test_a_shard_that_has_none_of_the_words_does_not_say_that_there_are_no_more(
    both: Both,
) -> None:
    """What rare words bring is less than they could, as it is the same records that have them."""
    texts = ["beta gamma delta"] * 15 + ["one two three"] * 55 + ["filler"] * 100
    rows = [(agent, text, "one") for agent in AGENTS[:3] for text in texts]
    remember(both, [*rows, *[("dan", "filler", "one")] * 200])
    asked = "beta gamma delta one two three"
    assert len(recalled(both, Said.query.filter(), asked, limit=60)) == 60


def test_of_equal_candidates_the_first_keys_are_taken(both: Both) -> None:
    """In the order of keys, which is not that of the shards; and no more than are looked for."""
    both(
        lambda: Said.bulk_create(
            Said(agent=agent, name=f"{place:03}", text="alpha")
            for agent in ("a", "a!")
            for place in range(60)
        )
    )

    def learn() -> None:
        for key in ("Said:a!:059", "Said:a:059"):
            record = Said.query.get(key)
            for _ in range(5):
                ConfidenceField.update_confidence(record, "sure", 1.0)

    both(learn)
    query = Said.query.filter()
    answers = both(lambda: query.recall("alpha", limit=5, signals=["words", "sure"]))
    assert_same(answers, "_recall_score")
    # A hundred are taken: all of the one, forty of the other.
    assert answers[0][0].pk == "Said:a!:059"
    assert "Said:a:059" not in {each.pk for each in answers[0]}


def test_candidates_are_cut_by_the_words_that_have_brought_them(both: Both) -> None:
    """A common word counts for those that are candidates, and makes nobody one."""
    texts = ["alpha"] * 100 + ["alpha beta"] * 60 + ["beta"] * 840 + ["one more filler"] * 2500
    remember(both, ((AGENTS[at % 4], text, "one") for at, text in enumerate(texts)))
    assert recalled(both, Said.query.filter(), "alpha beta") == ["alpha"] * 5


@pytest.mark.parametrize(
    ("asked", "condition"),
    [
        # Few have the rare word: what common ones bring is asked for at once.
        ("alpha beta", {}),
        # Rare words could bring enough; few match, and all of these were looked at.
        ("gamma", {"session": "few"}),
    ],
)
def test_nothing_is_asked_for_twice(
    counted: Callable[[], list[int]], asked: str, condition: dict[str, str]
) -> None:
    texts = ["alpha"] * 10 + ["beta"] * 30 + ["gamma"] * 40
    Said.bulk_create(
        Said(agent=agent, name=str(at), text=text, session="few" if at == 79 else "one")
        for agent in AGENTS
        for at, text in enumerate(texts)
    )
    recall = Said.query.filter(**condition).recall
    recall(asked, limit=3, signals=["words"])
    sent = counted()
    assert len(recall(asked, limit=3, signals=["words"])) == 3
    # Which shards there are, what there is in all, what words bring, the records.
    assert sent == [1, 4, 4, 3]


def test_who_is_in_no_shard_that_there_is_is_gone(
    both: Both,
    nodes: list[redis.Redis],
    redis_client: redis.Redis,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As a vector in a file is, that outlives its record."""
    monkeypatch.setenv("POPOTO_CONTENT_PATH", str(tmp_path))
    agents = ("ann", "bob", "zed")

    def store() -> None:
        for agent in agents:
            Filed.create(agent=agent, name="0", text="the cat sleeps")

    both(store)
    node = holder(nodes, "Filed:zed")
    node.delete(*node.keys("{Filed:zed}*"))
    holder(nodes, "Filed").srem("{Filed}$Shards:Filed", "zed")
    redis_client.delete("Filed:zed:0")

    def recalled() -> tuple[list[str], dict[str, str]]:
        found = Filed.query.filter().recall("cat", limit=3, explain=True)
        return [each.pk for each in found], {e.key: e.rule for e in found.explain().dropped}

    here, there = both(recalled)
    assert here == there == (["Filed:ann:0", "Filed:bob:0"], {"Filed:zed:0": "gone"})
