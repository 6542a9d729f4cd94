"""Analyzers: what they make of texts, and that an index knows which one made it."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from typing import Any

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from popoto import BM25Field, KeyField, Model, ModelException, StringField
from popoto.fields._tokenizer import tokenize
from popoto.memory.text import analysis
from popoto.memory.text.analysis import ANALYZERS, UNICODE, WORDS, Analyzer, analyzer_named
from popoto.memory.text.segments import folded, pieces
from popoto.memory.text.stop_words import STOP_WORDS_BY_LANGUAGE
from tests.driver import Api


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("İstanbul STRASSE straße \ufb01ne", "istanbul strasse strasse fine"),
        ("Café naïve ÜBER", "cafe naive uber"),
        ("cafe\u0301 \uff23\uff21\uff26\uff25", "cafe cafe"),
        ("Ёлка йод", "ёлка йод"),
        ("go ai ml a", "go ai ml"),
        ("foo_bar", "foo bar foo_bar"),
        ("node.js, Java.", "node js node.js java"),
        ("e-mail me@x.org", "mail e-mail me org me@x.org"),
        ("2024-05-01", "2024 05 01 2024-05-01"),
        ("7 of 3.14159", "7 of 3 14159 3.14159"),
        ("1,000,000 or 1,5", "1000000 or 1 5 1,5"),
        ("C++ and C#", "c++ c# and"),
        ("机器学习", "机器 器学 学习"),
        ("猫 x猫y", "猫 猫"),
        ("これはテスト。", "これ れは はテ テス スト"),
        ("안녕하세요 세계", "안녕 녕하 하세 세요 세계"),
        ("हिन्दी भाषा", "हिन्दी भाषा"),
        ("Привет мир", "привет мир"),
        ("日本で C++ 2024年", "c++ 日本 本で 2024 年"),
        # What is joined, and marks that belong to a letter, in other scripts as well.
        ("жар-птица, жар-5 и т.д.", "жар птица жар-птица жар 5 жар-5 т.д"),
        ("жар- птица -жар", "жар птица жар"),
        ("жар-5", "жар 5 жар-5"),
        ("日本-жар жар-日本", "日本 жар жар 日本"),
        ("กินข้าว", "กิน นข้ ข้า าว"),
        ("می\u200cخواهم", "می\u200cخواهم"),  # noqa: RUF001
        ("", ""),
        ("… !?", ""),
    ],
)
def test_words_of_any_script(text: str, words: str) -> None:
    assert UNICODE.words(text) == words.split()


@pytest.mark.parametrize(
    "letters",
    [
        *("กขค", "ກຂຄ", "ကခဂ", "ᄀᄁᄂ", "កខគ", "々〇々", "ぁあぃ", "ァアィ", "ㇰㇱㇲ", "㐀㐁㐂"),
        *("一丁丂", "鿽鿾鿿", "ꥠꥡꥢ", "가각갂", "힡힢힣", "ힰힱힲ", "更車賈", "𠀀𠀁𠀂"),
    ],
)
def test_scripts_that_put_no_spaces_between_words_come_as_pairs(letters: str) -> None:
    first, second, third = folded(letters)
    assert UNICODE.words(letters) == [first + second, second + third]


@pytest.mark.parametrize("letters", ["ෆාරි", "ༀཀཁ", "ⴀⴁⴂ", "ሀሁሂ", "ᠠᠡᠢ", "ㄅㄆㄇ", "ꀀꀁꀂ", "ꦄꦅꦆ"])
def test_their_neighbours_do_not(letters: str) -> None:
    assert UNICODE.words(letters) == [letters]


def test_marks_within_a_word_are_no_matter_of_spelling() -> None:
    assert UNICODE.words("Zwie\u00adback für l\u2019été") == ["zwieback", "fur", "ete", "l'ete"]


def test_a_mark_without_a_letter_stays() -> None:
    assert folded("\u0301x") == "\u0301x"


def test_what_made_an_index_is_known_by_these_names() -> None:
    """They stand in indexes: another name would have all of them made anew."""
    assert (WORDS.mark, UNICODE.mark) == ("", "unicode 1")
    release = re.match(r"\d+\.\d+", metadata.version("snowballstemmer"))
    assert release is not None
    assert analyzer_named("english").mark == f"english 2 snowball {release.group()}"
    assert analyzer_named("german").mark == f"german 1 snowball {release.group()}"


@given(st.text())
def test_words_have_no_spaces_and_do_not_depend_on_how_a_text_is_composed(text: str) -> None:
    found = UNICODE.words(text)
    assert all(word and not any(each.isspace() for each in word) for word in found)
    assert UNICODE.words(folded(text)) == found


@given(st.text())
def test_the_documented_words_are_those_of_1_6(text: str) -> None:
    assert WORDS.words(text) == tokenize(text, unique=False)
    assert WORDS.words("twice " + text + " twice").count("twice") >= 2
    assert BM25Field(source="x").analyzer is WORDS


# Stems -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("language", "text", "words"),
    [
        ("english", "The runs of a running Runner", "run run runner"),
        ("english", "Don't take Anna's \u201cbooks\u201d, Anna\u2019s", "take anna book anna"),
        ("english", "It was in May 2023", "may 2023"),
        ("english", "We'll get well, he'd a shed. I'll be ill", "get well shed ill"),
        ("english", "'sure' don't cant YOU\u2019RE O'Brien's O'Dell", "sure obrien odel"),
        ("english", "Anna's-eyed", "anna eye anna-eyed"),
        ("english", "version 2.0 of node.js", "version 2 0 2.0 node js node.js"),
        ("german", "Die Häuser und das Haus über der Straße", "haus haus strass"),
        ("french", "l'eau des mers", "eau l'eau mer"),
        ("russian", "Привет мир как дела", "привет мир дел"),
        ("spanish", "los gatos del niño", "gat nin"),
        ("italian", "il libro della sera", "libr ser"),
        ("portuguese", "o livro da noite", "livr noit"),
        ("dutch", "het boek van de avond", "boek avond"),
    ],
)
def test_stems_of_a_language(language: str, text: str, words: str) -> None:
    assert analyzer_named(language).words(text) == words.split()


def test_a_language_that_cannot_be_had_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LookupError, match="klingon"):
        analyzer_named("klingon")
    monkeypatch.setattr(analysis, "is_available", lambda: False)
    analyzer_named.cache_clear()
    with pytest.raises(ModelException, match=r"'german' needs .*popoto\[stemming\]"):
        BM25Field(source="text", analyzer="german")


def test_every_language_has_a_stemmer() -> None:
    for name in ANALYZERS:
        assert "42" in analyzer_named(name).words("word 42 word") or name == "words"


@pytest.mark.parametrize(
    ("language", "names"),
    [
        ("dutch", "januari maart mei augustus maandag zondag zomer herfst"),
        ("english", "march may august sunday monday summer fall spring"),
        ("french", "mars mai juin ao\u00fbt lundi mardi dimanche \u00e9t\u00e9 hiver"),
        ("german", "m\u00e4rz mai juni august montag sonntag sommer herbst"),
        ("italian", "marzo maggio agosto luned\u00ec sabato estate inverno"),
        ("portuguese", "mar\u00e7o maio agosto segunda ter\u00e7a domingo ver\u00e3o"),
        (
            "russian",
            "март май мая август среда лето",
        ),
        ("spanish", "marzo mayo agosto lunes domingo verano oto\u00f1o"),
    ],
)
def test_names_of_days_months_and_seasons_are_words(language: str, names: str) -> None:
    assert len(analyzer_named(language).words(names)) == len(names.split())


def test_words_that_are_left_out_are_in_the_form_of_those_that_are_found() -> None:
    for words in STOP_WORDS_BY_LANGUAGE.values():
        for word in words:
            assert list(pieces(folded(word))) == [(word,)]


@pytest.mark.parametrize("question", ["May 2023", "may", "US", "get well", "a will", "can", "say"])
def test_words_that_are_something_else_as_well_are_found(api: Api, question: str) -> None:
    class Letter(Model):
        name = KeyField()
        text = StringField()
        words = BM25Field(source="text", analyzer="english")

    api(Letter.create, name="a", text="In May 2023 they say get well in the US, will, can")
    api(Letter.create, name="b", text="We'll be there, and I'll be with you; can't he")
    assert [each.name for each in api(Letter.query.keyword_search, question)] == ["a"]


def test_threads_share_an_analyzer() -> None:
    words = [f"running{'er' * (number % 7)}{chr(97 + number % 26)}s" for number in range(4000)]
    stem = analyzer_named("english").words
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(stem, words))
    assert found == [stem(word) for word in words]


def test_a_search_finds_other_forms_of_a_word(api: Api) -> None:
    class Essay(Model):
        name = KeyField()
        text = StringField()
        words = BM25Field(source="text", analyzer="english")

    api(Essay.create, name="a", text="She was running to the café")
    assert [each.name for each in api(Essay.query.keyword_search, "run cafes")] == ["a"]
    assert api(BM25Field.get_idf, Essay, "words", ["Runs", "the"])["Runs"] < 1


# A change of the analyzer ------------------------------------------------------------------------


def model(analyzer: Any, **options: Any) -> Any:
    class Reed(Model):
        name = KeyField()
        text = StringField(default="")
        agent = StringField(default="a")
        words = BM25Field(source="text", analyzer=analyzer, **options)

    return Reed


@pytest.mark.parametrize("partition_by", [(), ("agent",)])
def test_a_change_is_told_until_the_index_is_made_anew(
    redis_client: redis.Redis, api: Api, partition_by: Any
) -> None:
    at = {"agent": "a"} if partition_by else {}
    Old = model("words", partition_by=partition_by)
    api(Old.create, name="a", text="go foo_bar")
    for analyzer in (UNICODE, Analyzer("unicode", "later", UNICODE.words), WORDS):
        New = model(analyzer, partition_by=partition_by)
        with pytest.raises(ModelException, match=r"unicode|words.*rebuild_indexes\(\)"):
            api(BM25Field.search, New, "words", "foo", **at)
        with pytest.raises(ModelException, match=r"rebuild_indexes\(\)"):
            api(New.query.filter(**at).keyword_search, "foo")
        with pytest.raises(ModelException, match=r"rebuild_indexes\(\)"):
            api(New.create, name="b", text="foo")
        assert not redis_client.exists("Reed:b")
        api(New.rebuild_indexes)
        expected = [] if analyzer is WORDS else ["Reed:a"]
        assert [key for key, _ in api(BM25Field.search, New, "words", "go", **at)] == expected
        api(New.create, name="b", text="foo")
        api(New.query.get(name="b").delete)


def test_a_rebuild_that_was_killed_has_to_be_done_again(redis_client: redis.Redis) -> None:
    model("words").create(name="a", text="go there")
    New = model(UNICODE)
    New.rebuild_indexes()
    redis_client.set("$BM25:Reed:words:analyzer", f"{UNICODE.mark} building")
    for name in ("b", "c"):
        with pytest.raises(ModelException, match=r"building.*rebuild_indexes\(\)"):
            BM25Field.search(New, "words", "go")
        New.create(name=name, text="go here")
    New.rebuild_indexes()
    assert len(BM25Field.search(New, "words", "go")) == 3


def test_an_index_made_with_other_stop_words_has_to_be_made_anew() -> None:
    now = analyzer_named("english")
    earlier = Analyzer("english", str(now.version).replace("2", "1", 1), now.words)
    model(earlier).create(name="a", text="may")
    New = model("english")
    with pytest.raises(ModelException, match=r"rebuild_indexes\(\)"):
        New.query.keyword_search("may")
    New.rebuild_indexes()
    assert len(New.query.keyword_search("may")) == 1


def test_deleting_and_an_empty_index_know_no_analyzer(redis_client: redis.Redis) -> None:
    model(UNICODE).create(name="a", text="go")
    Old = model("words")
    Old.query.get(name="a").delete()
    Old.create(name="b", text="apple")
    assert [key for key, _ in BM25Field.search(Old, "words", "apple")] == ["Reed:b"]
    assert redis_client.exists("$BM25:Reed:words:analyzer") == 0


def test_an_analyzer_of_a_users_own() -> None:
    letters = Analyzer("letters", 1, lambda text: [each for each in text if each.strip()])
    Own = model(letters)
    Own.create(name="a", text="a b")
    assert [key for key, _ in BM25Field.search(Own, "words", "b")] == ["Reed:a"]
