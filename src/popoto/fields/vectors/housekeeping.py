"""Loading all vectors of a model, and removing those that belong to no record."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from popoto.engine.looking_up import members_of
from popoto.engine.request import Call, Plan
from popoto.engine.run import run
from popoto.fields.keeping.shards import all_asked, every_shard, in_every_shard
from popoto.fields.vectors.in_files import embeddings_directory
from popoto.fields.vectors.keeper import Seen, VectorKeeper
from popoto.memory.vectors.arrays import Array, numpy
from popoto.memory.vectors.files import VectorDirectory, vector_name
from popoto.memory.vectors.matrix import Matrix

__all__ = [
    "collecting",
    "directory_of",
    "expected_files",
    "index_path",
    "loading",
    "nothing",
    "prepared",
    "read_index",
    "seen_in",
    "seen_of_each",
    "write_index",
]

#: How many vectors an index of neighbours takes over at a time.
_TURN = 500


def loading(model_class: Any) -> Plan[tuple[Array | None, list[str]]]:
    """The plan of `EmbeddingField.load_embeddings`; see there."""
    fields = model_class._meta.listed("embedding")
    found = (yield from seen_of_each(model_class._meta, fields[0])) if fields else []
    parts = [(matrix, keys) for matrix, keys in map(Seen.exported, found) if matrix is not None]
    if len(parts) < 2:
        return parts[0] if parts else (None, [])
    matrix = numpy().concatenate([matrix for matrix, _ in parts])
    return matrix, [key for _, keys in parts for key in keys]


def seen_of_each(options: Any, field: Any) -> Plan[list[Seen]]:
    """What there is of a field's vectors, by the shards that keep some of them."""
    shards = (yield from every_shard(options)) if field.store == "server" else [options]
    return (yield from seen_in(field, shards))


def seen_in(field: Any, shards: Sequence[Any]) -> Plan[list[Seen]]:
    """The same of these shards."""
    keepers: list[VectorKeeper] = [field.keeper_in(each.shard) for each in shards]
    if field.store != "server":
        # Files are one store for all shards.
        keepers = keepers[:1]
    return (yield from all_asked(keepers, lambda each: each.seen()))


def nothing() -> Plan[tuple[Array | None, list[str]]]:
    """The same without NumPy."""
    return None, []
    yield  # a plan, though it asks for nothing


def prepared(model_class: Any) -> Plan[int]:
    """The plan of `EmbeddingField.prepare_search`; see there."""
    fields = model_class._meta.listed("embedding")
    if not fields:
        return 0
    named = yield from _named(model_class._meta, fields[0])
    if named is not None:
        return named
    matrices = [each.matrix for each in (yield from seen_of_each(model_class._meta, fields[0]))]
    for matrix in matrices:
        if fields[0].keeper.place.is_approximate(len(matrix)):
            yield from _taken_over(matrix)
    return sum(map(len, matrices))


def _named(options: Any, field: Any) -> Plan[int | None]:
    """Let vector sets take everything over; how many vectors they have. None: there are none."""
    if not field.nearness.is_named:
        return None
    count = 0
    for each in (yield from every_shard(options)):
        keeper: VectorKeeper = field.keeper_in(each.shard)
        size = None if keeper.vector_set is None else (yield from keeper.vector_set.caught_up())
        if size is None:
            return None
        count += size
    return count


def _taken_over(matrix: Matrix) -> Plan[None]:
    """Turn by turn, so that a task that is cancelled stops."""
    while len(matrix) and not (yield Call(lambda: matrix.take_over(_TURN, waits=True))):
        pass


def collecting(model_class: Any, min_age: float) -> Plan[int]:
    """The plan of `EmbeddingField.garbage_collect`; see there."""
    if not getattr(model_class, "__embedding_garbage_collect__", False):
        return 0
    removed = 0
    # What is written meanwhile is too young to go.
    expected = yield from _expected(model_class)
    for keeper in _keepers_of(model_class):
        removed += yield from keeper.collect(expected, min_age)
    return removed


def _keepers_of(model_class: Any) -> list[VectorKeeper]:
    return [field.keeper for field in model_class._meta.listed("embedding")]


def _expected(model_class: Any) -> Plan[set[str]]:
    """The names of the files of all records."""
    options = model_class._meta
    found = yield from in_every_shard(
        options, lambda each: members_of(each.class_set_key, each.shard)
    )
    return {vector_name(key) for of_shard in found for key in of_shard}


def expected_files(model_class: Any) -> set[str]:
    """The names of the files that belong to records."""
    return run(_expected(model_class))


# The directory of a model ----------------------------------------------------------------------


def directory_of(model_class_name: str) -> VectorDirectory:
    """Where the vectors of a model are; looked up at each use."""
    return VectorDirectory(os.path.join(embeddings_directory(), model_class_name))


def index_path(model_class_name: str) -> str:
    """The file that tells whose each file is."""
    return directory_of(model_class_name).at("_index.json")


def read_index(model_class_name: str) -> dict[str, str]:
    """File name -> record key."""
    return directory_of(model_class_name).read_index()


def write_index(model_class_name: str, index_dict: Mapping[str, str]) -> None:
    """Write that anew."""
    directory_of(model_class_name).write_index(index_dict)
