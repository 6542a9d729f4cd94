"""How much words tell, by the documents of an index that hold them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, cast

from popoto.engine.looking_up import looked_up
from popoto.engine.request import Plan, Request, ScriptCall
from popoto.exceptions import QueryException
from popoto.memory.bm25.documents import lengths_key
from popoto.memory.bm25.formula import inverse_frequency
from popoto.memory.bm25.scripts import RECOMPUTE

__all__ = ["inverse_frequencies", "recomputed"]


class Indexing(Protocol):
    """What is asked of the field here."""

    label: str
    owner: Any
    partition_by: tuple[str, ...]

    def words(self, text: str) -> list[str]: ...
    def stem(self, partition: Sequence[Any]) -> str: ...


def inverse_frequencies(
    field: Indexing, tokens: str | Sequence[str], partition: Mapping[str, Any]
) -> Plan[dict[str, float]]:
    """The plan of `BM25Field.get_idf`; see there."""
    asked = [tokens] if isinstance(tokens, str) else list(tokens)
    if not asked:
        return {}
    stem = _stem(field, partition)
    terms = [_indexed_form(field, token) for token in asked]
    number, holders = yield from looked_up(
        [("GET", f"{stem}:n"), ("ZMSCORE", f"{stem}:df", *terms)], field.owner._meta.shard
    )
    documents = int(number or 0)
    return {
        token: inverse_frequency(documents, float(count or 0))
        for token, count in zip(asked, holders, strict=True)
    }


def recomputed(field: Any, partition: Mapping[str, Any]) -> Plan[None]:
    """The plan of `BM25Field.recompute_stats`; see there."""
    if field is None or "keywords" not in field.registries:
        return
    stem = _stem(cast("Indexing", field), partition)
    keys = [lengths_key(stem), f"{stem}:n", f"{stem}:avgdl"]
    call = ScriptCall(RECOMPUTE, keys, [])
    yield Request.of(call, shard=field.owner._meta.shard, repeatable=True, upkeep=True)


def _indexed_form(field: Indexing, token: str) -> str:
    """A word as it stands in the index; one that texts would lose or take apart, as it is."""
    words = field.words(token)
    return words[0] if len(words) == 1 else token


def _stem(field: Indexing, partition: Mapping[str, Any]) -> str:
    missing = [name for name in field.partition_by if name not in partition]
    if missing:
        raise QueryException(
            f"{field.label} is partitioned by {', '.join(field.partition_by)}: give a value for "
            f"{', '.join(missing)}"
        )
    isolation = field.owner._meta.isolation
    if not set(isolation.names) <= set(field.partition_by):
        isolation.check_at_large("how much words tell", "a BM25Field that is partitioned by them")
    return field.stem([partition[name] for name in field.partition_by])
