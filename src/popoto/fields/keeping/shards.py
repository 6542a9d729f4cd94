"""The shards of a model with `Meta.shard_by`: which are known, and which of them concern a plan.

A set in the model's own shard names them. It is written before the first record of a shard, since
the commit that creates a record demands that its shard has others already, or is registered. So
no process remembers anything, and a shard that is not in the set holds no records.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Self, TypeVar

from popoto.engine.keys import shards_key
from popoto.engine.looking_up import members_of
from popoto.engine.nodes import on_cluster
from popoto.engine.request import Plan, Request
from popoto.engine.together import together

__all__ = [
    "InShards",
    "all_asked",
    "are_apart",
    "by_shard",
    "every_shard",
    "forget_empty",
    "in_every_shard",
    "known_shards",
    "register",
]


class InShards:
    """What the options of a model say of its shards: of most models, that it is one."""

    model_name: str
    class_set_key: str
    #: what its keys are tagged with on a cluster
    shard: str
    #: the key field each value of which has a shard of its own
    shard_by: str | None = None
    #: of the view of one shard: the text of that field in the keys of its records
    shard_text: str | None = None

    def at(self, key: str) -> Self:
        """These options as they are for the record with this key; see `ShardedOptions`."""
        return self

    def in_shard(self, text: str) -> Self:
        """These options as they are for the records in whose keys the shard field has this text."""
        return self

    def of_values(self, values: Mapping[str, Any]) -> Self:
        """These options as they are for records with these values, if they tell the shard."""
        return self

    @property
    def is_spread(self) -> bool:
        """Whether they are those of several shards together, which is no place on a cluster."""
        return self.shard_by is not None and self.shard_text is None


Options = TypeVar("Options", bound=InShards)
Item = TypeVar("Item")
Answer = TypeVar("Answer")

#: So many shards are asked at the same time.
_TOGETHER: Final = 256


def are_apart(options: InShards) -> Plan[bool]:
    """Whether records of one model may be on different nodes. Asks no server."""
    return options.shard_by is not None and (yield from on_cluster())


def known_shards(options: Options) -> Plan[list[Options]]:
    """The registered shards of a model, in the order of their texts. One round trip per 1,000."""
    texts = yield from members_of(shards_key(options.model_name), options.model_name)
    return [options.in_shard(text) for text in sorted(texts)]


def every_shard(options: Options) -> Plan[list[Options]]:
    """The shards that hold records of a model: on a single server, and of most models, one.

    One round trip for a model with `Meta.shard_by` on a cluster, and one for each further 1,000
    shards; else none.
    """
    if options.is_spread and (yield from on_cluster()):
        return (yield from known_shards(options))
    return [options]


def in_every_shard(options: Options, ask: Callable[[Options], Plan[Answer]]) -> Plan[list[Answer]]:
    """What each shard that holds records of a model answers.

    Reads are one round trip to each node, after one that asks which shards there are.
    """
    return (yield from all_asked((yield from every_shard(options)), ask))


def all_asked(asked: Sequence[Item], ask: Callable[[Item], Plan[Answer]]) -> Plan[list[Answer]]:
    """The answers of shards, or of what is about one of them each, so many at a time."""
    answers: list[Answer] = []
    for first in range(0, len(asked), _TOGETHER):
        answers += yield from together(*map(ask, asked[first : first + _TOGETHER]))
    return answers


def by_shard(
    options: Options, items: Iterable[Item], key_of: Callable[[Item], str] = str
) -> Plan[list[tuple[Options, list[Item]]]]:
    """What is about records by the shard that they are in; on a single server all of it together.

    `key_of` tells the record key of an item; without it, items are record keys.
    """
    if not (yield from are_apart(options)):
        return [(options, list(items))]
    found: dict[str, tuple[Options, list[Item]]] = {}
    for item in items:
        view = options.at(key_of(item))
        found.setdefault(view.shard, (view, []))[1].append(item)
    return list(found.values())


def register(views: Sequence[InShards]) -> Plan[None]:
    """Note that shards have records, or are about to. One round trip for each model."""
    texts: dict[str, dict[str, None]] = {}
    for view in views:
        if view.shard_text is not None:
            texts.setdefault(view.model_name, {})[view.shard_text] = None
    for model_name, of_model in texts.items():
        command = ("SADD", shards_key(model_name), *of_model)
        yield Request.of(command, shard=model_name, repeatable=True, upkeep=True)


def forget_empty(options: InShards) -> Plan[None]:
    """Take shards without records out of the set, and put those back that somebody came into.

    One round trip for each shard, and two more for one without records.
    """
    for view in (yield from known_shards(options)):
        if (yield from _has_records(view)):
            continue
        command = ("SREM", shards_key(options.model_name), view.shard_text or "")
        yield Request.of(command, shard=options.model_name, repeatable=True, upkeep=True)
        if (yield from _has_records(view)):
            yield from register([view])


def _has_records(view: InShards) -> Plan[bool]:
    (there,) = yield Request.of(("EXISTS", view.class_set_key), shard=view.shard, repeatable=True)
    return bool(there)
