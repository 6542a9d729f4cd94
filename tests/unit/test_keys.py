"""The keys, character by character: stored data of popoto 1.6 has them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from popoto.engine import keys


def test_the_layout() -> None:
    assert keys.class_set_key("Thing") == "$Class:Thing"
    assert keys.record_keys_key("Thing") == "$Values:Thing:$keys"
    assert keys.composite_index_key("Thing", ("b", "a")) == "$Index:Thing:b:a"
    assert keys.expiry_key("Thing") == "$Expiry:Thing"
    assert keys.expiry_values_key("Thing") == "$Expiry:Thing:values"
    assert keys.values_key("Thing", "kind") == "$Values:Thing:kind"
    assert keys.values_coverage_key("Thing") == "$Values:Thing"
    assert keys.capped_list_key("Thing:a", "log") == "Thing:a::log"
    assert keys.shard_prefix("Thing", is_cluster=True) == "{Thing}"
    assert keys.shard_prefix("Thing", is_cluster=False) == ""
    assert keys.join("Thing", 5, "a:b", None) == "Thing:5:a{&#58;}b:None"


@pytest.mark.parametrize(
    ("name", "prefix"),
    [
        ("KeyField", "$KeyF"),
        ("UniqueField", "$UniquF"),
        ("Field", "$F"),
        ("IndexedField", "$IndexF"),
        ("Relationship", "$RelationshipF"),
    ],
)
def test_prefixes_lose_letters_of_field_at_both_ends(name: str, prefix: str) -> None:
    assert keys.field_prefix(name) == prefix


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("plain", "plain"),
        ("", ""),
        ("a/b", "a//b"),
        ("'?*^[]-", "/'/?/*/^/[/]/-"),
        ("a:b", "a{&#58;}b"),
        ("/", "//"),
        ("{x}", "{x}"),
    ],
)
def test_escapes(text: str, escaped: str) -> None:
    assert keys.escape(text) == escaped
    assert keys.unescape(escaped) == text


@pytest.mark.parametrize("text", ["a/b", "/", "a/", "{", "{&#58;", "/:"])
def test_what_no_escape_makes_is_left_as_it_is(text: str) -> None:
    assert keys.unescape(text) == text


@given(st.text(alphabet="ab/:'?*^[]-{}&#58;None"))
def test_escaping_can_be_undone(text: str) -> None:
    if keys.ESCAPED_SEPARATOR not in text:
        assert keys.unescape(keys.escape(text)) == text
    assert keys.SEPARATOR not in keys.escape(text)
