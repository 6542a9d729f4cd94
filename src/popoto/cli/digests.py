"""What a model's records come to: a mark for each record, and a digest of all marks.

A mark is a hash of the line that an export writes of the record, in one form for all servers: so
it tells values, what stands beside them, and ends, and nothing of how a server keeps them. The
digest is the sum of the marks, so it does not depend on their order.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, cast

from popoto.cli.arguments import AnyModel
from popoto.cli.expiries import moment_of, text_of_moment
from popoto.cli.exporting import Export, count_of
from popoto.cli.jsonlines import BadJson, Json, NoJsonForm, dump, json_of
from popoto.cli.output import progress
from popoto.engine.run import run as carry_out
from popoto.fields.vectors.housekeeping import seen_of_each
from popoto.models.record.options import ModelOptions

__all__ = ["Digest", "Marks", "digest", "marks_on_server"]

_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Digest:
    """How many records a model has, and what they come to, in whatever order they were read."""

    model: str
    records: int
    digest: str
    """Of all that the records hold and have beside them, in hexadecimal."""

    vectors: int = 0
    vector_digest: str = ""
    """Of the vectors of embedding fields; empty where there are none."""


def digest(model: AnyModel, *, vectors: bool = True, batch_size: int = 1000) -> Digest:
    """The digest of a model's records on the current server (`redis_db.using` names another).

    Two servers give the same exactly if their records hold the same values, have the same beside
    them (evidence, edges, reads, histories), and end in the same second, be they one server or a
    cluster, Redis or Valkey. `vectors`: those of embedding fields, which have a digest of their
    own. Raises RuntimeError where stored bytes cannot be read. Blocks, and costs what an export
    costs; who writes meanwhile may be in it or not.
    """
    marks = marks_on_server(model, batch_size, vectors=vectors)
    if marks.problems:
        raise RuntimeError(
            f"{model.__name__}: {marks.problems} stored values cannot be read, so no digest is told"
        )
    return marks.digest()


@dataclass
class Marks:
    """The marks of a model's records, by key; those of vectors by field and key."""

    model: str
    records: dict[str, bytes] = field(default_factory=dict[str, bytes])
    vectors: dict[str, bytes] = field(default_factory=dict[str, bytes])
    problems: int = 0
    """Values that could not be read."""

    def digest(self) -> Digest:
        """What all of them come to."""
        return Digest(
            self.model,
            len(self.records),
            _sum(self.records.values()),
            len(self.vectors),
            _sum(self.vectors.values()) if self.vectors else "",
        )


def differences(here: Mapping[str, bytes], there: Mapping[str, bytes]) -> dict[str, str]:
    """By key what is not the same, in words."""
    found = dict.fromkeys(there.keys() - here.keys(), "is missing here")
    found |= dict.fromkeys(here.keys() - there.keys(), "is missing there")
    shared = here.keys() & there.keys()
    found |= {key: "differs" for key in shared if here[key] != there[key]}
    return dict(sorted(found.items()))


def marks_on_server(
    model: AnyModel, batch_size: int, *, vectors: bool, quiet: bool = True
) -> Marks:
    """The marks of a model's records on the current server."""
    options: ModelOptions = model._meta
    found = Marks(options.model_name)
    export = Export(model, batch_size)
    with progress(f"reading {model.__name__}", count_of(model), quiet=quiet) as report:
        for number, line in enumerate(export.records(), 1):
            found.records[cast("str", line["key"])] = mark(options, line)
            report(number)
    found.problems = export.problems
    if vectors:
        for embedding in options.listed("embedding"):
            for seen in carry_out(seen_of_each(options, embedding)):
                matrix, keys = seen.exported()
                for key, row in zip(keys, () if matrix is None else matrix, strict=True):
                    if key in found.records:
                        words = (f"{embedding.name} of {key}".encode(), row.tobytes())
                        found.vectors[f"{key} ({embedding.name})"] = _hash(*words)
    return found


def mark(options: ModelOptions, line: Mapping[str, Json]) -> bytes:
    """The mark of a record, by its line in an export. Raises BadJson for what is no such line."""
    fields: Any = line.get("fields")
    beside: Any = line.get("beside") or {}
    if not isinstance(fields, dict) or not isinstance(beside, dict) or "key" not in line:
        raise BadJson('a line of an export has "key" and "fields"')
    told = _rounded({name: each for name, each in line.items() if name != "beside"})
    told["fields"] = _sorted({**_defaults(options), **cast("dict[str, Json]", fields)})
    told["beside"] = _sorted(
        {name: _rounded(each) for name, each in cast("dict[str, Json]", beside).items()}
    )
    return _hash(dump(_sorted(told)).encode("utf-8", "surrogatepass"))


def _sorted(entries: Mapping[str, Json]) -> list[tuple[str, Json]]:
    return sorted(entries.items())


def _rounded(found: Any) -> Json:
    """With the second in which it ends: an import cannot tell it more exactly."""
    if not isinstance(found, dict):
        return found
    entries = cast("dict[str, Json]", found)
    moment = moment_of(entries.get("expires"))
    if moment is None:
        return entries
    return {**entries, "expires": text_of_moment(math.ceil(moment.timestamp()) * 1000)}


def _defaults(options: ModelOptions) -> dict[str, Json]:
    """What a record that lacks a field is read with, and saved with by an import."""
    found: dict[str, Json] = {}
    for name, each in options.by_name.items():
        if not callable(each.default):
            try:
                found[name] = json_of(each.self_contained(each.make_default(), ""))
            except NoJsonForm:
                continue
    return found


def _hash(*parts: bytes) -> bytes:
    found = hashlib.sha256()
    for part in parts:
        found.update(len(part).to_bytes(8, "big"))
        found.update(part)
    return found.digest()


def _sum(marks: Iterable[bytes]) -> str:
    total = sum(int.from_bytes(each, "big") for each in marks)
    return (total % (1 << 8 * _BYTES)).to_bytes(_BYTES, "big").hex()
