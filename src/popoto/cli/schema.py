"""`popoto models`: fields, keys and the sizes of indexes."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import dataclass, field

from popoto.cli.arguments import (
    AnyModel,
    Commands,
    add_models,
    add_server,
    find_models,
    use_server,
)
from popoto.cli.exits import DONE
from popoto.cli.exporting import count_of
from popoto.cli.output import progress, say, table
from popoto.cli.watching import stored_keys, watched
from popoto.engine import keys
from popoto.engine.keys import as_text
from popoto.engine.request import Plan, Request
from popoto.engine.run import run as carry_out
from popoto.engine.scanning import Scan, literally
from popoto.fields.keeping.families import KeyFamily
from popoto.models.record.options import ModelOptions
from popoto.models.upkeep.records import SCAN_COUNT
from popoto.models.upkeep.registry import Registry
from popoto.models.upkeep.shards import found_shards

_SIZE_COMMANDS = {b"set": "SCARD", b"zset": "ZCARD", b"hash": "HLEN"}
# Keys kept of all records together ("whole") are of any type.
_LAYOUT_TYPES = {"set": b"set", "zset": b"zset", "hash": b"hash", "names": b"hash"}


def add_to(commands: Commands) -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "models",
        help="show fields, keys and index sizes",
        description=(
            "Show the fields of models, how their keys are made, and how many keys and entries "
            "each index has. Counting visits every key of the server, 1,000 at a time."
        ),
    )
    add_models(parser)
    parser.add_argument("--schema", action="store_true", help="the fields alone, without a server")
    add_server(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Show each model."""
    models = find_models(options.models)
    use_server(options.url)
    for position, model in enumerate(models):
        if position:
            say("")
        show_fields(model)
        if not options.schema:
            say("")
            show_indexes(model)
    return DONE


# The definition ----------------------------------------------------------------------------


def show_fields(model: AnyModel) -> None:
    """The definition of a model."""
    options = model._meta
    say(f"{options.model_name} ({model.__module__})")
    say(f"  record key: {_key_pattern(options)}")
    for line in _options_of(options):
        say(f"  {line}")
    table(
        ("field", "type", "kind", "details"),
        [
            (name, each.type_name, type(each).__name__, ", ".join(each.details()))
            for name, each in options.by_name.items()
        ],
    )


def _key_pattern(options: ModelOptions) -> str:
    return keys.SEPARATOR.join((options.model_name, *(f"{{{name}}}" for name in options.key_names)))


def _options_of(options: ModelOptions) -> Iterable[str]:
    if options.order_by:
        yield f"order_by: {options.order_by}"
    if options.ttl:
        yield f"ttl: {options.ttl} s ({options.ttl_policy})"
    for names, unique in options.indexes:
        yield f"{'unique ' if unique else ''}index on {', '.join(names)}"


# What is stored ----------------------------------------------------------------------------


@dataclass
class IndexSizes:
    """How many keys and entries the indexes of one model have."""

    keys: dict[str, int] = field(default_factory=dict[str, int])
    entries: dict[str, int] = field(default_factory=dict[str, int])

    def add(self, name: str, entries: int) -> None:
        """Count one more key of an index."""
        self.keys[name] = self.keys.get(name, 0) + 1
        self.entries[name] = self.entries.get(name, 0) + entries


def show_indexes(model: AnyModel) -> None:
    """The number of records of a model, and the sizes of its indexes."""
    records = count_of(model)
    with progress(f"counting {model.__name__}", stored_keys()) as report:
        sizes = carry_out(watched(index_sizes(model._meta), report))
    say(f"  records: {records:,}")
    table(
        ("index", "keys#", "entries#"),
        [
            (name, f"{number:,}", f"{sizes.entries[name]:,}")
            for name, number in sorted(sizes.keys.items())
        ],
    )


def index_sizes(options: ModelOptions) -> Plan[IndexSizes]:
    """Count what stands beside the records of a model. Some 3 round trips per 1,000 keys.

    A key that the server moves meanwhile may be counted twice.
    """
    sizes = IndexSizes()
    known, strangers = yield from found_shards(options)
    for view in (*known, *strangers):
        yield from _add_sizes(view, sizes)
    return sizes


def _add_sizes(options: ModelOptions, sizes: IndexSizes) -> Plan[None]:
    registry = Registry(options)
    scan = Scan(options.shard, b"$*:" + literally(options.model_name) + b"*", SCAN_COUNT)
    page = yield from scan.next()
    while page is not None:
        found = [key for raw in page if (key := as_text(raw)) and registry.is_of_model(key)]
        if found:
            yield from _count(options, registry, found, sizes)
        page = yield from scan.next()


def _count(
    options: ModelOptions, registry: Registry, found: list[str], sizes: IndexSizes
) -> Plan[None]:
    kinds = yield Request([("TYPE", key) for key in found], options.shard, repeatable=True)
    countable = [
        (key, kind) for key, kind in zip(found, kinds, strict=True) if kind in _SIZE_COMMANDS
    ]
    if not countable:
        return
    numbers = yield Request(
        [(_SIZE_COMMANDS[kind], key) for key, kind in countable], options.shard, repeatable=True
    )
    for (key, kind), number in zip(countable, numbers, strict=True):
        sizes.add(_name_of(registry, key, kind), number)


def _name_of(registry: Registry, key: str, kind: bytes) -> str:
    """What the index that a key belongs to is called."""
    families = [
        each for each in registry.candidates(key) if _LAYOUT_TYPES.get(each.layout, kind) == kind
    ]
    if not families:
        return "(other keys of the model)"
    family: KeyFamily = families[0]
    if family.section == "abandoned_indexes":
        return f"{family.name} (of no field any more)"
    return f"{family.stem}{':*' if family.is_open else ''}"
