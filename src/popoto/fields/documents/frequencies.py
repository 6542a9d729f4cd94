"""How much words tell, by the documents of an index that hold them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, cast

from popoto.engine.looking_up import looked_up
from popoto.engine.request import Plan, Request, ScriptCall
from popoto.exceptions import QueryException
from popoto.fields.given import texts_in
from popoto.fields.keeping.shards import every_shard, in_every_shard
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
    asked = texts_in(tokens, "tokens")
    if not asked:
        return {}
    stem = _stem(field, partition)
    terms = [_indexed_form(field, token) for token in asked]
    commands = [("GET", f"{stem}:n"), ("ZMSCORE", f"{stem}:df", *terms)]
    options: Any = field.owner._meta.of_values(partition)
    replies = yield from in_every_shard(options, lambda each: looked_up(commands, each.shard))
    documents = sum(int(number or 0) for number, _ in replies)
    held = [sum(float(counts[place] or 0) for _, counts in replies) for place in range(len(asked))]
    return {
        token: inverse_frequency(documents, count) for token, count in zip(asked, held, strict=True)
    }


def recomputed(field: Any, partition: Mapping[str, Any]) -> Plan[None]:
    """The plan of `BM25Field.recompute_stats`; see there."""
    if field is None or "keywords" not in field.registries:
        return
    stem = _stem(cast("Indexing", field), partition)
    keys = [lengths_key(stem), f"{stem}:n", f"{stem}:avgdl"]
    call = ScriptCall(RECOMPUTE, keys, [])
    for options in (yield from every_shard(field.owner._meta.of_values(partition))):
        yield Request.of(call, shard=options.shard, repeatable=True, upkeep=True)


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
