"""Keys made of hostile values: two records never share one, and no value acts as a pattern."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from popoto import (
    AccessTrackerMixin,
    BM25Field,
    ConfidenceField,
    CoOccurrenceField,
    IndexedField,
    KeyField,
    Model,
    ModelException,
    SortedField,
    UniqueField,
    redis_db,
)
from popoto.engine import keys
from popoto.engine.scanning import literally
from tests.hostile.inputs import texts


class Pair(AccessTrackerMixin, Model):
    one = KeyField()
    two = KeyField()
    tag = IndexedField()
    code = UniqueField(type=int)
    rank = SortedField(type=int, partition_by="tag")
    sure = ConfidenceField()
    near = CoOccurrenceField()
    words = BM25Field(source="tag", partition_by="tag")


class Pairs(Model):
    """Its name begins with that of the other."""

    one = KeyField()
    tag = IndexedField()


Values = tuple[str, str, str]
LOOKUPS: dict[str, Callable[[str, str], bool]] = {
    "": str.__eq__,
    "__in": str.__eq__,
    "__startswith": str.startswith,
    "__endswith": str.endswith,
    "__contains": str.__contains__,
}


@settings(max_examples=25, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(texts, texts, texts), min_size=1, max_size=4, unique=True), texts)
def test_values_are_nothing_but_values(rows: list[Values], asked: str) -> None:
    client = redis_db.POPOTO_REDIS_DB
    client.flushall()
    other = Pairs.create(one=rows[0][0], tag=rows[0][2])
    before = set(client.scan_iter(count=1000))
    stored: dict[str, Values] = {}
    for number, (one, two, tag) in enumerate(rows):
        pair = Pair(one=one, two=two, tag=tag, code=number, rank=number)
        key = str(pair.db_key)
        try:
            Pair.create(one=one, two=two, tag=tag, code=number, rank=number)
        except ModelException:
            # One spelling of two values, or the same key fields again: what is stored stays.
            assert key in stored
        else:
            assert key not in stored
            stored[key] = (one, two, tag)
    for key, (one, two, tag) in stored.items():
        found = Pair.query.get(one=one, two=two)
        assert found is not None
        assert (found.one, found.two, found.tag, found._redis_key) == (one, two, tag, key)
        assert Pair.query.get(key) == found
        found.confirm_access()
        ConfidenceField.update_confidence(found, "sure", 0.9)
    for name, matches in LOOKUPS.items():
        for position, field in enumerate(("one", "two", "tag")):
            wanted = [asked] if name == "__in" else asked
            told = {each._redis_key for each in Pair.query.filter(**{f"{field}{name}": wanted})}
            assert told == {key for key, row in stored.items() if matches(row[position], asked)}, (
                field,
                name,
            )
    assert Pair.check_indexes()["total"] == 0
    Pair.query.filter(tag=asked).delete()
    left = {key for key, row in stored.items() if row[2] != asked}
    assert {each._redis_key for each in Pair.query.all()} == left
    assert Pair.check_indexes()["total"] == 0
    Pair.delete_all()
    assert Pairs.query.all() == [other]
    assert Pairs.check_indexes()["total"] == 0
    assert set(client.scan_iter(count=1000)) == before


@given(st.lists(texts, min_size=1, max_size=4), st.lists(texts, min_size=1, max_size=4))
def test_parts_that_differ_make_keys_that_differ(one: list[str], other: list[str]) -> None:
    """As far as the layout of popoto 1.6 tells them apart: not what spells an escape out."""
    told = [part.replace(keys.ESCAPED_SEPARATOR, ":") for part in one]
    others = [part.replace(keys.ESCAPED_SEPARATOR, ":") for part in other]
    assert (keys.join(*one) == keys.join(*other)) == (told == others)


@given(texts, texts)
def test_a_pattern_made_of_a_text_finds_that_text_alone(text: str, other: str) -> None:
    client = redis_db.POPOTO_REDIS_DB
    client.flushall()
    for each in {text, other, text + "x", f"x{text}"}:
        client.set(each, 1)
    found = set(client.scan_iter(literally(text), count=1000))
    assert found == {text.encode()}
