"""`BM25Field`: the numbers, the stored layout, what keeps an index in step with its records."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
import redis

import popoto
from popoto import (
    BM25Field,
    ContentField,
    IntField,
    KeyField,
    Model,
    ModelException,
    QueryException,
    SortedField,
    StringField,
    transaction,
)
from popoto.memory.bm25.corpus import Corpus
from popoto.memory.bm25.formula import inverse_frequency, term_score
from popoto.memory.recall.formula import K1, B
from tests.driver import Api, RoundTrips


class Doc(Model):
    name = KeyField()
    text = StringField(default="")
    group = StringField(default="a", indexed=True)
    words = BM25Field(source="text")


CORPUS = {
    "d1": "redis cluster setup guide redis",
    "d2": "python redis client library",
    "d3": "machine learning with python python python",
    "d4": "database indexing strategies",
}
SMALL = {"1": "aaa bbb ccc", "2": "aaa bbb", "3": "aaa bbb", "4": "aaa"}


def save(texts: dict[str, str], model: Any = Doc) -> None:
    for name, text in texts.items():
        model(name=name, text=text).save()


def search(text: Any, limit: Any = 10, model: Any = Doc) -> dict[str, float]:
    """What is found, by name, in order."""
    found = BM25Field.search(model, "words", text, limit=limit)
    prefix = f"{model.__name__}:"
    return {key.removeprefix(prefix): score for key, score in found}


def exactly(found: dict[str, float], expected: dict[str, float]) -> None:
    assert list(found) == list(expected)
    for name, score in expected.items():
        assert found[name] == pytest.approx(score, rel=5e-6)


def keys_of(client: redis.Redis) -> set[str]:
    return {key.decode().removeprefix("$BM25:") for key in client.keys("$BM25:*")}


# Declaration -----------------------------------------------------------------------------------


def test_a_source_is_needed() -> None:
    with pytest.raises(ValueError, match="source"):
        BM25Field()


def test_it_is_a_field_without_values(redis_client: redis.Redis) -> None:
    assert popoto.BM25Field is BM25Field
    assert (BM25Field.BM25_K1, BM25Field.BM25_B) == (1.2, 0.75)
    assert isinstance(Doc.words, BM25Field)
    doc = Doc.create(name="a", text="some words")
    assert doc.words is None
    assert redis_client.hget("Doc:a", "words") == b"\xc0"
    assert Doc.query.get(name="a").words is None
    assert Doc.words._key_prefix(Doc) == "$BM25:Doc:words"
    with pytest.raises(QueryException, match="no lookups"):
        Doc.query.filter(words="some").all()


def test_a_source_that_is_no_field_indexes_nothing(redis_client: redis.Redis) -> None:
    with pytest.warns(UserWarning, match="source 'gone' is no field"):

        class Lost(Model):
            name = KeyField()
            words = BM25Field(source="gone")

    Lost.create(name="a")
    assert keys_of(redis_client) == set()
    assert search("anything", model=Lost) == {}


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"analyzer": "klingon"}, "analyzer"),
        ({"k1": -1}, "k1"),
        ({"b": 1.5}, "b"),
        ({"b": float("nan")}, "b"),
        ({"k1": True}, "k1"),
        ({"indexed": True}, "indexed"),
    ],
)
def test_settings_that_cannot_work_are_refused(options: dict[str, Any], named: str) -> None:
    with pytest.raises(ModelException, match=named):
        BM25Field(source="text", **options)


# The numbers -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("redis", {"d1": 0.908011, "d2": 0.710238}),
        ("REDIS!", {"d1": 0.908011, "d2": 0.710238}),
        ("redis redis redis", {"d1": 0.908011, "d2": 0.710238}),
        ("xyz redis", {"d1": 0.908011, "d2": 0.710238}),
        ("python", {"d3": 1.04954, "d2": 0.710238}),
        ("redis python", {"d2": 1.42048, "d3": 1.04954, "d1": 0.908011}),
        ("cluster guide python", {"d1": 2.24581, "d3": 1.04954, "d2": 0.710238}),
        ("database", {"d4": 1.36865}),
        ("the", {}),
        ("", {}),
        (None, {}),
    ],
)
def test_scores_are_those_of_the_formula(query: Any, expected: dict[str, float]) -> None:
    save(CORPUS)
    exactly(search(query), expected)


def test_equal_scores_come_in_the_order_of_keys() -> None:
    save(dict(reversed(SMALL.items())))
    exactly(search("aaa"), {"4": 0.132453, "2": 0.105361, "3": 0.105361, "1": 0.0874691})
    exactly(search("ccc bbb"), {"1": 1.29563, "2": 0.356675, "3": 0.356675})


@pytest.mark.parametrize("given", ["class", "keywords"])
def test_constants_are_those_of_the_declared_field(given: str) -> None:
    class Flat(BM25Field):
        BM25_K1 = 2.0
        BM25_B = 0.1

    made = Flat(source="text") if given == "class" else BM25Field(source="text", k1=2, b=0.1)

    class Pet(Model):
        name = KeyField()
        text = StringField()
        words = made

    save({"a": "redis redis cat", "b": "redis dog bird fish lion"}, Pet)
    exactly(search("redis", model=Pet), {"a": 0.276944, "b": 0.179333})


def test_a_limit_of_nothing_finds_nothing() -> None:
    save(CORPUS)
    assert search("redis", limit=0) == search("redis", limit=-1) == {}
    assert list(search("redis python", limit=2)) == ["d2", "d3"]
    with pytest.raises(TypeError, match="limit"):
        search("redis", limit="2")


def test_a_question_that_is_no_text_is_refused() -> None:
    save(CORPUS)
    with pytest.raises(AttributeError):
        search(7)


def test_inverse_frequencies(api: Api) -> None:
    assert api(BM25Field.get_idf, Doc, "words", ["aaa"]) == {"aaa": 0.0}
    assert api(BM25Field.filter_selective_tokens, Doc, "words", ["aaa"], min_idf=0.5) == []
    save(SMALL)
    asked = ["none", "ccc", "aaa", "bbb"]
    found = api(BM25Field.get_idf, Doc, "words", asked)
    expected = {"none": 2.30259, "ccc": 1.20397, "aaa": 0.105361, "bbb": 0.356675}
    exactly(found, expected)
    exactly(api(BM25Field.get_idf, Doc, "words", "ccc"), {"ccc": 1.20397})
    assert api(BM25Field.get_idf, Doc, "words", []) == {}
    assert api(BM25Field.filter_selective_tokens, Doc, "words", asked) == ["none", "ccc"]
    assert api(BM25Field.filter_selective_tokens, Doc, "words", asked, 0.3) == [
        *("none", "ccc", "bbb")
    ]
    assert api(BM25Field.filter_selective_tokens, Doc, "words", []) == []


def test_a_word_is_looked_up_as_texts_are_indexed() -> None:
    save(SMALL)
    assert BM25Field.get_idf(Doc, "words", ["CCC"])["CCC"] == pytest.approx(1.20397, rel=1e-5)


def test_the_index_tells_nothing_of_another_kind_of_field() -> None:
    save(CORPUS)
    for name, told in (("text", "BM25Field.*StringField|Field"), ("nothing", "not found")):
        with pytest.raises(QueryException, match="BM25Field"):
            BM25Field.search(Doc, name, "redis")
        with pytest.raises(QueryException, match=told):
            BM25Field.get_idf(Doc, name, "redis")
        BM25Field.recompute_stats(Doc, name)


# The layout ------------------------------------------------------------------------------------


def test_the_layout_is_that_of_1_6(redis_client: redis.Redis) -> None:
    save({"a": "redis redis redis deployment", "b": "the redis"})
    p = "$BM25:Doc:words"
    assert keys_of(redis_client) == {
        f"Doc:words:{part}"
        for part in (
            *("inv:redis", "inv:deployment", "tf:Doc:a", "tf:Doc:b"),
            *("df", "dl", "n", "avgdl"),
        )
    }
    assert redis_client.zrange(f"{p}:inv:redis", 0, -1, withscores=True) == [
        *((b"Doc:b", 1), (b"Doc:a", 3))
    ]
    assert redis_client.zscore(f"{p}:tf:Doc:a", "redis") == 3
    assert redis_client.zscore(f"{p}:df", "redis") == 2
    assert redis_client.zscore(f"{p}:dl", "Doc:a") == 4
    assert redis_client.get(f"{p}:n") == b"2"
    assert redis_client.get(f"{p}:avgdl") == b"2.5"
    Doc.query.delete()
    assert keys_of(redis_client) == {"Doc:words:n", "Doc:words:avgdl"}
    assert redis_client.get(f"{p}:n") == redis_client.get(f"{p}:avgdl") == b"0"


def test_number_and_mean_length_follow_every_step(redis_client: redis.Redis, api: Api) -> None:
    def told() -> tuple[int, float]:
        number, average = redis_client.mget("$BM25:Doc:words:n", "$BM25:Doc:words:avgdl")
        return int(number), float(average)

    one = Doc(name="1", text="one two three")
    two = Doc(name="2", text="four five six seven eight")
    three = Doc(name="3", text="nine")
    api(one.save)
    assert told() == (1, 2)
    api(two.save)
    assert told() == (2, 3.5)
    api(three.save)
    assert told() == (3, 2.6666666666667)
    two.text = "four"
    api(two.save)
    assert told() == (3, pytest.approx(4 / 3, abs=1e-12))
    api(one.delete)
    assert told() == (2, 1)
    three.text = ""
    api(three.save)
    assert told() == (1, 1)
    api(two.delete)
    assert told() == (0, 0)


def test_the_mean_length_does_not_drift(redis_client: redis.Redis) -> None:
    docs = [Doc.create(name=str(number), text="word " * (number + 1)) for number in range(7)]
    for turn in range(30):
        for number, doc in enumerate(docs):
            doc.text = "word " * (1 + (turn * number) % 5)
            doc.save()
    lengths = [1 + (29 * number) % 5 for number in range(7)]
    stored = float(redis_client.get("$BM25:Doc:words:avgdl") or 0)
    assert stored == pytest.approx(sum(lengths) / 7, rel=1e-14)


def test_statistics_are_counted_again_on_request(redis_client: redis.Redis, api: Api) -> None:
    save(CORPUS)
    redis_client.mset({"$BM25:Doc:words:n": 99, "$BM25:Doc:words:avgdl": 1})
    api(BM25Field.recompute_stats, Doc, "words")
    assert redis_client.get("$BM25:Doc:words:n") == b"4"
    assert redis_client.get("$BM25:Doc:words:avgdl") == b"4.25"


# In step with the records ------------------------------------------------------------------------


def test_a_changed_text_leaves_nothing_of_the_old_one(api: Api) -> None:
    doc = Doc(name="a", text="apple banana")
    api(doc.save)
    doc.text = "banana cherry"
    api(doc.save)
    assert list(search("apple")) == []
    assert list(search("banana")) == list(search("cherry")) == ["a"]
    api(doc.delete)
    assert search("banana cherry") == {}


def test_a_partial_save_of_the_source_indexes_it(api: Api) -> None:
    doc = Doc.create(name="a", text="apple")
    doc.text = "cherry"
    doc.group = "b"
    api(doc.save, update_fields=["group"])
    assert (list(search("apple")), list(search("cherry"))) == (["a"], [])
    api(doc.save, update_fields=["text"])
    assert (list(search("apple")), list(search("cherry"))) == ([], ["a"])


def test_naming_the_index_indexes_what_is_stored(redis_client: redis.Redis) -> None:
    doc = Doc.create(name="a", text="apple")
    redis_client.delete(*(f"$BM25:{key}" for key in keys_of(redis_client)))
    doc.text = "cherry"
    doc.save(update_fields=["words"])
    assert (list(search("apple")), list(search("cherry"))) == (["a"], [])


def test_tokens_are_any_texts(api: Api) -> None:
    save(SMALL)
    for given in ("ccc", ["ccc"], {"ccc"}, iter(["ccc"])):
        assert api(BM25Field.filter_selective_tokens, Doc, "words", given) == ["ccc"]
    for nothing in (None, [], ()):
        assert api(BM25Field.filter_selective_tokens, Doc, "words", nothing) == []
        assert api(BM25Field.get_idf, Doc, "words", nothing) == {}
    for wrong in (5, b"ccc", [b"ccc"], [None], {"ccc": 1}):
        for method in (BM25Field.get_idf, BM25Field.filter_selective_tokens):
            with pytest.raises(TypeError, match="tokens must be a list of texts"):
                api(method, Doc, "words", wrong)
    with pytest.raises(TypeError, match="min_idf must be a number"):
        api(BM25Field.filter_selective_tokens, Doc, "words", ["ccc"], "1")


@pytest.mark.parametrize("given", [None, "Doc", 5])
def test_what_is_no_model_is_named(api: Api, given: Any) -> None:
    for call in (
        lambda: api(BM25Field.search, given, "words", "ccc"),
        lambda: api(BM25Field.get_idf, given, "words", ["ccc"]),
        lambda: api(BM25Field.recompute_stats, given, "words"),
    ):
        with pytest.raises(TypeError, match="BM25Field takes a model"):
            call()


def test_a_text_without_words_leaves_the_index(redis_client: redis.Redis) -> None:
    doc = Doc.create(name="a", text="apple")
    Doc.create(name="b", text="the and for")
    assert redis_client.get("$BM25:Doc:words:n") == b"1"
    doc.text = "the"
    doc.save()
    assert redis_client.get("$BM25:Doc:words:n") == b"0"


def test_an_unchanged_text_costs_nothing(redis_client: redis.Redis) -> None:
    save(CORPUS)
    doc = Doc.query.get(name="d1")
    before = redis_client.info("commandstats")
    doc.save()
    doc.group = "z"
    doc.save()
    after = redis_client.info("commandstats")
    for name in ("zadd", "zrem"):
        key = f"cmdstat_{name}"
        assert after[key]["calls"] - before[key]["calls"] <= 2  # the sets of the group alone


def test_a_record_has_one_document_wherever_it_moves(redis_client: redis.Redis, api: Api) -> None:
    doc = Doc.create(name="a", text="apple")
    doc.name = "b"
    api(doc.save, migrate_key=True)
    assert list(search("apple")) == ["b"]
    doc.name, doc.text = "c", "cherry"
    api(doc.save, migrate_key=True)
    assert (list(search("apple")), list(search("cherry"))) == ([], ["c"])
    assert redis_client.get("$BM25:Doc:words:n") == b"1"


def test_bulk_writes_keep_the_index(redis_client: redis.Redis, api: Api) -> None:
    docs = [Doc(name=name, text=text) for name, text in CORPUS.items()]
    api(Doc.bulk_create, docs)
    exactly(search("redis python"), {"d2": 1.42048, "d3": 1.04954, "d1": 0.908011})
    api(Doc.bulk_update, Doc.query.filter(group="a"), group="b")
    exactly(search("redis python"), {"d2": 1.42048, "d3": 1.04954, "d1": 0.908011})
    api(Doc.bulk_update, Doc.query.filter(group="b"), text="all the same")
    assert list(search("same")) == ["d1", "d2", "d3", "d4"]
    api(Doc.bulk_delete, Doc.query.filter(group="b"))
    assert redis_client.get("$BM25:Doc:words:n") == b"0"


def test_a_pipeline_indexes_when_it_is_executed() -> None:
    pipe = popoto.get_redis().pipeline()
    Doc(name="a", text="apple").save(pipeline=pipe)
    assert search("apple") == {}
    pipe.execute()
    assert list(search("apple")) == ["a"]
    Doc.query.get(name="a").delete(pipeline=pipe)
    assert list(search("apple")) == ["a"]
    pipe.execute()
    assert search("apple") == {}


def test_a_transaction_indexes_all_or_nothing() -> None:
    with transaction() as changes:
        changes.save(Doc(name="a", text="apple"))
        changes.save(Doc(name="b", text="apple cherry"))
    assert list(search("apple")) == ["a", "b"]


def test_a_create_that_is_refused_indexes_nothing() -> None:
    Doc.create(name="a", text="apple")
    with pytest.raises(ModelException, match="already exists"):
        Doc.create(name="a", text="cherry")
    assert (list(search("apple")), list(search("cherry"))) == (["a"], [])


def test_delete_all_takes_the_index_along(redis_client: redis.Redis, api: Api) -> None:
    save(CORPUS)
    api(Doc.delete_all)
    assert keys_of(redis_client) <= {"Doc:words:n", "Doc:words:avgdl"}
    assert search("redis") == {}


def test_a_second_writer_with_an_old_copy_leaves_nothing_behind() -> None:
    Doc.create(name="a", text="apple")
    first, second = Doc.query.get(name="a"), Doc.query.get(name="a")
    first.text = "banana"
    first.save()
    second.text = "cherry"
    second.save()
    assert [list(search(word)) for word in ("apple", "banana", "cherry")] == [[], [], ["a"]]


def test_a_text_of_very_many_words_is_indexed(redis_client: redis.Redis) -> None:
    doc = Doc.create(name="a", text=" ".join(f"word{number}" for number in range(9_000)))
    assert list(search("word0 word8999")) == ["a"]
    assert redis_client.zscore("$BM25:Doc:words:dl", "Doc:a") == 9_000
    doc.delete()
    assert keys_of(redis_client) == {"Doc:words:n", "Doc:words:avgdl"}


def test_numbers_and_none_are_texts_too() -> None:
    class Item(Model):
        name = KeyField()
        text = IntField(null=True)
        words = BM25Field(source="text")

    Item.create(name="a", text=12345)
    Item.create(name="b")
    assert list(search("12345", model=Item)) == ["a"]


# Records that are gone ---------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["expired", "deleted by hand"])
def test_records_that_are_gone_neither_count_nor_use_up_the_limit(
    redis_client: redis.Redis, api: Api, how: str
) -> None:
    save(dict.fromkeys(("c", "d"), "apple") | {"e": "cherry pie"})
    expected = dict(api(BM25Field.search, Doc, "words", "apple"))
    for name in ("a", "b"):
        gone = Doc(name=name, text="apple")
        if how == "expired":
            gone._ttl = 1000
            gone.save()
            redis_client.zadd("$Expiry:Doc", {f"Doc:{name}": 1})
        else:
            gone.save()
        redis_client.delete(f"Doc:{name}")
    assert dict(api(BM25Field.search, Doc, "words", "apple", limit=2)) == expected
    assert redis_client.get("$BM25:Doc:words:n") == b"3"
    assert [doc.name for doc in api(Doc.query.keyword_search, "apple", limit=2)] == ["c", "d"]


def test_a_new_record_under_the_key_of_a_gone_one_has_its_own_words(
    redis_client: redis.Redis,
) -> None:
    Doc.create(name="a", text="apple")
    redis_client.delete("Doc:a")
    Doc.create(name="a", text="the")
    assert search("apple") == {}
    assert redis_client.get("$BM25:Doc:words:n") == b"0"


def test_upkeep_knows_documents(redis_client: redis.Redis, api: Api) -> None:
    save(CORPUS)
    assert api(Doc.check_indexes)["total"] == 0
    redis_client.delete("Doc:d1")
    assert api(Doc.check_indexes)["companions"]["words"] == 1
    api(Doc.clean_indexes)
    assert api(Doc.check_indexes)["total"] == 0
    assert redis_client.get("$BM25:Doc:words:n") == b"3"
    assert redis_client.exists("$BM25:Doc:words:inv:cluster") == 0


def test_a_check_finds_documents_that_are_missing_or_wrong(
    redis_client: redis.Redis, api: Api
) -> None:
    save(CORPUS)
    redis_client.hset("Doc:d1", "text", b"\xa6cherry")
    redis_client.delete("$BM25:Doc:words:tf:Doc:d2")
    redis_client.zrem("$BM25:Doc:words:dl", "Doc:d2")
    found = api(Doc.check_indexes)
    assert (found["wrong_values"], found["missing_entries"]) == ({"words": 1}, {"words": 1})
    assert found["total"] == 2
    api(Doc.rebuild_indexes)
    assert api(Doc.check_indexes)["total"] == 0
    assert list(search("cherry")) == ["d1"]


def test_a_document_of_which_no_length_is_known_counts_as_a_single_word(
    redis_client: redis.Redis,
) -> None:
    save(CORPUS)
    redis_client.zrem("$BM25:Doc:words:dl", "Doc:d1", "Doc:d2")
    scored_as(1, 1, 17 / 4)


@pytest.mark.parametrize("told", [None, "0", "-2", "five"])
def test_documents_of_which_no_mean_length_is_known_count_as_of_single_words(
    told: str | None, redis_client: redis.Redis
) -> None:
    save(CORPUS)
    redis_client.delete("$BM25:Doc:words:avgdl")
    if told is not None:
        redis_client.set("$BM25:Doc:words:avgdl", told)
    scored_as(5, 4, 1)


@pytest.mark.parametrize("told", [None, b"", b"five"])
def test_an_index_that_does_not_tell_its_documents_has_none(told: Any) -> None:
    assert Corpus.told(told, told, 2) == Corpus(0, 0, (2,))
    assert Corpus.summed([Corpus.told(told, b"4", 0), Corpus.told(b"2", b"4.5", 1)]) == Corpus(
        2, 9, (1,)
    )


def scored_as(first: int, second: int, average: float) -> None:
    """Who say "redis" have the scores of texts of such lengths."""
    idf, texts = inverse_frequency(4, 2), {"d1": (2, first), "d2": (1, second)}
    expected = {name: term_score(*each, average, idf, 1.2, 0.75) for name, each in texts.items()}
    exactly(search("redis"), expected)
    found = {each.name: each._recall_score for each in Doc.query.recall("redis", signals=["words"])}
    greatest = idf * (K1 + 1)
    exactly(
        found,
        {name: term_score(*each, average, idf, K1, B) / greatest for name, each in texts.items()},
    )


def test_a_rebuild_counts_a_document_that_is_alone(redis_client: redis.Redis) -> None:
    Doc.create(name="a", text="bread butter jam")
    redis_client.mset({"$BM25:Doc:words:n": 99, "$BM25:Doc:words:avgdl": 1})
    Doc.rebuild_indexes()
    assert redis_client.mget("$BM25:Doc:words:n", "$BM25:Doc:words:avgdl") == [b"1", b"3"]


def test_a_rebuild_makes_every_document_anew(redis_client: redis.Redis, api: Api) -> None:
    save(CORPUS)
    expected = search("redis python")
    p = "$BM25:Doc:words"
    redis_client.delete(f"{p}:inv:redis", f"{p}:dl", f"{p}:n")
    redis_client.zadd(f"{p}:inv:python", {"Doc:d4": 7})
    redis_client.zadd(f"{p}:inv:ghost", {"Doc:d4": 1})
    redis_client.zadd(f"{p}:df", {"nothing": 5})
    redis_client.zadd(f"{p}:tf:Doc:nobody", {"nothing": 5})
    redis_client.delete("Doc:d4")
    api(Doc.rebuild_indexes)
    assert list(search("redis python")) == list(expected)
    assert redis_client.get(f"{p}:n") == b"3"
    assert redis_client.exists(f"{p}:inv:ghost", f"{p}:tf:Doc:nobody", f"{p}:tf:Doc:d4") == 0
    assert redis_client.zscore(f"{p}:df", "nothing") is None
    before = {key: redis_client.dump(key) for key in redis_client.keys("*")}
    api(Doc.rebuild_indexes)
    assert {key: redis_client.dump(key) for key in redis_client.keys("*")} == before


# Content -----------------------------------------------------------------------------------------


@pytest.fixture
def article(tmp_path: Any) -> type[Any]:
    class Article(Model):
        name = KeyField()
        words = BM25Field(source="text")
        text = ContentField(store=popoto.stores.FilesystemStore(str(tmp_path)))
        note = StringField(default="")

    return Article


def test_content_is_indexed_and_re_saving_is_harmless(article: type[Any], api: Api) -> None:
    api(article(name="a", text="apple banana").save)
    (found,) = article.query.filter()
    found.note = "new"
    api(found.save)
    api(article.bulk_update, article.query.filter(), note="newer")
    assert list(search("apple", model=article)) == ["a"]
    found = article.query.get(name="a")
    found.text = "cherry"
    api(found.save)
    assert (list(search("apple", model=article)), list(search("cherry", model=article))) == (
        *([], ["a"]),
    )
    api(article.rebuild_indexes)
    assert list(search("cherry", model=article)) == ["a"]


# keyword_search ----------------------------------------------------------------------------------


def test_records_are_found_with_their_scores(api: Api) -> None:
    save(CORPUS)
    found = api(Doc.query.keyword_search, "redis python")
    exactly(
        {doc.name: doc._bm25_score for doc in found},
        {"d2": 1.42048, "d3": 1.04954, "d1": 0.908011},
    )
    assert found[0].text == CORPUS["d2"]
    assert [doc.name for doc in api(Doc.query.keyword_search, "redis python", limit=1)] == ["d2"]


def test_the_query_holds_before_the_limit(
    api: Api, round_trips: Callable[[], AbstractContextManager[RoundTrips]]
) -> None:
    for number in range(30):
        Doc.create(name=f"{number:02}", text="apple " * (30 - number), group="ab"[number % 2])
    query = Doc.query.filter(group="b")
    with round_trips() as trips:
        found = api(query.keyword_search, "apple", limit=3)
    assert trips.sends == 1
    everything = [doc.name for doc in Doc.query.keyword_search("apple", limit=99)]
    expected = [name for name in everything if int(name) % 2]
    assert [doc.name for doc in found] == expected[:3]
    assert [doc.name for doc in query.limit(2).offset(1).keyword_search("apple", limit=9)] == (
        expected[1:3]
    )
    assert query.values_list("name").keyword_search("apple", limit=2) == [
        (name,) for name in expected[:2]
    ]


def test_conditions_that_python_checks_hold_too(api: Api) -> None:
    class Counted(Model):
        name = KeyField()
        text = StringField()
        number = SortedField(type=int)
        words = BM25Field(source="text")

    # Doubles do not tell these numbers apart.
    for number in range(4):
        Counted.create(name=str(number), text="apple", number=2**53 + number)
    query = Counted.query.filter(number__gt=2**53, number__ne=2**53 + 2)
    assert [each.name for each in api(query.keyword_search, "apple", limit=1)] == ["1"]
    assert [each.name for each in api(query.keyword_search, "apple")] == ["1", "3"]


def test_the_field_is_named_where_there_are_several(api: Api) -> None:
    class Two(Model):
        name = KeyField()
        text = StringField()
        title = StringField()
        words = BM25Field(source="text")
        titles = BM25Field(source="title")

    class Not(Model):
        name = KeyField()

    Two.create(name="a", text="apple", title="cherry")
    with pytest.raises(QueryException, match=r"Two.*words, titles"):
        api(Two.query.keyword_search, "apple")
    assert [each.name for each in api(Two.query.keyword_search, "cherry", field="titles")] == ["a"]
    assert api(Two.query.keyword_search, "cherry", "words") == []
    with pytest.raises(QueryException, match="Not"):
        api(Not.query.keyword_search, "apple")
    with pytest.raises(QueryException, match="BM25Field"):
        api(Two.query.keyword_search, "apple", "name")


def test_a_key_of_another_program_is_named(redis_client: redis.Redis, api: Api) -> None:
    save(CORPUS)
    redis_client.delete("$BM25:Doc:words:inv:redis")
    redis_client.set("$BM25:Doc:words:inv:redis", "theirs")
    with pytest.raises(QueryException, match=r"inv:redis.*string"):
        api(Doc.query.keyword_search, "redis")


def test_an_order_of_its_own_is_refused() -> None:
    with pytest.raises(QueryException, match="keyword_search"):
        Doc.query.order_by("name").keyword_search("apple")


def test_only_allowed_keys_are_found(api: Api) -> None:
    save(CORPUS)
    found = api(BM25Field.search, Doc, "words", "redis python", allowed_keys=["Doc:d1", "Doc:no"])
    assert [key for key, _ in found] == ["Doc:d1"]


def test_partitions_have_statistics_of_their_own(redis_client: redis.Redis, api: Api) -> None:
    class Note(Model):
        name = KeyField()
        agent = StringField()
        text = StringField()
        rank = SortedField(type=int, default=0)
        words = BM25Field(source="text", partition_by="agent")

    for name, agent, text in (
        *(("1", "x:1", "apple pie"), ("2", "x:1", "cherry")),
        *(("3", "dl", "apple"), ("4", "dl", "apple apple")),
    ):
        api(Note(name=name, agent=agent, text=text).save)
    mine = Note.query.filter(agent="x:1")
    assert [each.name for each in api(mine.keyword_search, "apple")] == ["1"]
    with pytest.raises(QueryException, match="agent"):
        api(Note.query.keyword_search, "apple")
    found = api(BM25Field.search, Note, "words", "apple", agent="dl")
    assert [key for key, _ in found] == ["Note:4", "Note:3"]
    note = Note.query.get(name="1")
    note.agent = "dl"
    api(note.save)
    assert [each.name for each in api(Note.query.filter(agent="dl").keyword_search, "pie")] == ["1"]
    assert api(mine.keyword_search, "apple") == []
    assert api(Note.check_indexes)["total"] == 0
    redis_client.delete("Note:3")
    api(Note.clean_indexes)
    api(Note.rebuild_indexes)
    assert redis_client.get("$BM25:Note:words:@dl:n") == b"2"
    api(Note.delete_all)
    assert not redis_client.keys("$BM25:Note:words:@*:inv:*")


@pytest.mark.parametrize(("question", "limit"), [("redis", 0), ("the a of", 10), ("", 0)])
def test_what_can_find_nothing_asks_nobody(
    api: Api,
    round_trips: Callable[[], AbstractContextManager[RoundTrips]],
    question: str,
    limit: int,
) -> None:
    with round_trips() as seen:
        assert api(Doc.query.keyword_search, question, limit=limit) == []
        assert api(BM25Field.search, Doc, "words", question, limit=limit) == []
    assert seen.sends == 0
