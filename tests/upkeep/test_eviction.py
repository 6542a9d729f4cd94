"""Keys that a server has evicted: what is said of them, and what mends it.

Evicting is done here by DEL: a server with little memory does just that, with any key.
"""

from __future__ import annotations

from typing import Any

import pytest
import redis

from popoto import IndexedField, KeyField, Model, SortedField, UniqueField
from popoto.cli import main
from tests.driver import Api
from tests.truth.oracle import violations


class Berth(Model):
    name = KeyField()
    number = UniqueField(type=int)
    label = IndexedField(unique=True)
    pier = IndexedField()
    place = IndexedField()
    depth = SortedField(type=float, default=0.0)

    class Meta:
        indexes = ((("pier", "place"), True), (("pier", "label"), False))


def berth(name: str, **values: Any) -> Berth:
    number = ord(name)
    return Berth(name=name, **{"number": number, "pier": name, "place": name, **values})


def evict(client: redis.Redis, pattern: str) -> None:
    client.delete(*client.keys(pattern))


# What cannot be told, and what mends it ----------------------------------------------------------


@pytest.mark.parametrize(
    "evicted",
    ["$UniquF:*", "$IndexF:*", "$SortF:*", "$KeyF:*", "$Class:*", "$Index:*", "$Values:*", "$*"],
)
def test_a_rebuild_mends_what_cleaning_cannot(
    api: Api, redis_client: redis.Redis, evicted: str
) -> None:
    for name in "abc":
        api(berth(name, label=f"{name}:label", _ttl=1000).save)
    evict(redis_client, evicted)
    assert api(Berth.clean_indexes) == 0
    if evicted != "$Values:*":
        assert api(Berth.check_indexes)["total"] > 0
    api(Berth.rebuild_indexes)
    assert violations(redis_client, Berth) == []
    assert api(Berth.check_indexes)["total"] == 0
    for conditions in ({"number": 97}, {"pier": "a"}, {"label__startswith": "a:"}, {"name": "a"}):
        assert api(Berth.query.count, **conditions) == 1


def test_a_rebuild_drops_the_texts_of_fields_that_keep_none_any_more(
    api: Api, redis_client: redis.Redis
) -> None:
    api(berth("a").save)
    body = {"name": KeyField(), "pier": IndexedField(), "__module__": __name__}
    later = type(Berth)("Berth", (Model,), body)
    api(later.rebuild_indexes)
    assert set(redis_client.hgetall("$Values:Berth")) == {b"name", b"pier"}
    assert redis_client.exists("$Values:Berth:place", "$Values:Berth:label") == 0
    assert redis_client.exists("$Values:Berth:pier", "$Values:Berth:name") == 2


# Records that share what has to be unique --------------------------------------------------------

SHARED = [
    ({"number": 7}, "$UniquF:*", "number"),
    ({"label": "x"}, "$IndexF:Berth:label:*", "label"),
    ({"label": "None"}, "$IndexF:Berth:label:*", "label"),
    ({"pier": "p", "place": "q"}, "$Index:*", "$Index:Berth:pier:place"),
]


@pytest.mark.parametrize(("values", "evicted", "index"), SHARED)
def test_records_that_share_a_unique_value_are_reported(
    api: Api, redis_client: redis.Redis, values: dict[str, Any], evicted: str, index: str
) -> None:
    api(berth("a", **values).save)
    evict(redis_client, evicted)
    api(berth("b", **values).save)
    api(berth("c").save)
    rebuilt = api(Berth.rebuild_indexes)
    (problem,) = rebuilt.problems
    assert rebuilt.problem_count == 1
    assert {problem.key, problem.reason.split("'")[1]} == {"Berth:a", "Berth:b"}
    assert "must be unique" in problem.reason
    checked = api(Berth.check_indexes)
    assert set(checked["shared_values"]) == {index}
    assert checked["total"] == checked["shared_values"][index] > 0
    assert checked["missing_entries"] == {}
    api(api(Berth.query.get, name=problem.key[-1]).delete)
    assert api(Berth.rebuild_indexes).problems == []
    checked = api(Berth.check_indexes)
    assert checked["total"] == 0
    assert "shared_values" not in checked
    assert violations(redis_client, Berth) == []


def test_every_pair_is_reported(api: Api, redis_client: redis.Redis) -> None:
    for name in "abcd":
        api(berth(name, number=7, label="x").save)
        evict(redis_client, "$UniquF:*")
        evict(redis_client, "$IndexF:Berth:label:*")
    problems = api(Berth.rebuild_indexes, batch_size=1).problems
    for names in ("number", "label"):
        of_it = [each for each in problems if each.reason.startswith(names)]
        told = {each.key for each in of_it} | {each.reason.split("'")[1] for each in of_it}
        assert told == {f"Berth:{name}" for name in "abcd"}
    assert api(Berth.check_indexes)["shared_values"] == {"number": 4, "label": 4}


def test_texts_that_share_a_set_share_no_value(api: Api, redis_client: redis.Redis) -> None:
    for name, label in zip("abcd", ("None", None, "x:y", "x{&#58;}y"), strict=True):
        api(berth(name, label=label).save)
    api(berth("e", pier="x", place="y:z").save)
    api(berth("f", pier="x:y", place="z").save)
    assert api(Berth.check_indexes)["total"] == 0
    assert api(Berth.rebuild_indexes).problems == []
    assert violations(redis_client, Berth) == []


def test_a_check_writes_nothing_where_a_claim_is_dead(redis_client: redis.Redis) -> None:
    berth("a", number=7, label="x").save()
    berth("b").save()
    redis_client.sadd("$UniquF:Berth:number:98", "Berth:gone")
    before = {key: redis_client.dump(key) for key in redis_client.keys("*")}
    assert Berth.check_indexes()["total"] == 1
    assert {key: redis_client.dump(key) for key in redis_client.keys("*")} == before


def test_a_record_that_cannot_be_read_is_asked_for_the_rest(redis_client: redis.Redis) -> None:
    for name in "ab":
        berth(name, number=7, label=name).save()
        evict(redis_client, "$UniquF:*")
    redis_client.hset("Berth:a", "label", b"\xc1")
    Berth.rebuild_indexes()
    assert Berth.check_indexes()["shared_values"] == {"number": 2}


def test_a_slot_that_several_records_share_may_name_none_of_them(
    api: Api, redis_client: redis.Redis
) -> None:
    """That is no problem: no answer follows from it."""
    for name in "ab":
        api(berth(name, label=None, pier="p", place=name).save)
    named = api(Berth.query.get, name="b")
    named.pier = "else"
    api(named.save)
    assert api(Berth.check_indexes)["total"] == 0


def test_the_command_line_names_what_to_do(
    redis_client: redis.Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in "ab":
        berth(name, number=7).save()
        evict(redis_client, "$UniquF:*")
    Berth.rebuild_indexes()
    assert main(["indexes", "check", f"{__name__}:Berth"]) == 1
    said = capsys.readouterr().out
    assert "another record has the same unique value" in said
    assert "change one of the records" in said
    assert "popoto indexes" not in said
