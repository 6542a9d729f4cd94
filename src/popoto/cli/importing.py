"""`popoto import`: records from JSON Lines, as `popoto export` writes them."""

from __future__ import annotations

import argparse
import datetime
import gzip
import itertools
import math
import os
import sys
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, BinaryIO, Final, cast

from redis.exceptions import ResponseError

from popoto._unknown_names import closest
from popoto.cli.arguments import (
    AnyModel,
    Commands,
    add_batch_size,
    add_models,
    add_quiet,
    add_server,
    find_models,
    no_url,
    path_of,
    use_server,
)
from popoto.cli.belongings import belongings_of
from popoto.cli.exits import DONE, PROBLEMS, UsageProblem
from popoto.cli.expiries import LAST_SECOND, is_unknown_command, moment_of
from popoto.cli.jsonlines import BadJson, Json, Stored, load, value_of
from popoto.cli.lines import LONGEST, Lines, size
from popoto.cli.output import complain, progress, say
from popoto.engine.codec import DecodeError
from popoto.engine.request import Command, Request
from popoto.engine.run import run as carry_out
from popoto.exceptions import AlreadyExistsError, ModelException, RowError
from popoto.models.beside.field_expiry import check_expires_alone
from popoto.models.record.sharding import shards_of
from popoto.models.writing import bulk
from popoto.models.writing.save_request import SaveRequest

#: Hides the line number on an instance under way, for messages.
_LINE = "_import_line"
#: What a line may have.
_ENTRIES: Final = ("model", "key", "fields", "beside", "expires", "fields_expire")


def add_to(commands: Commands) -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "import",
        help="store records from JSON Lines",
        description=(
            "Store records that `popoto export` has written, checked and indexed as in any save. "
            "Lines that cannot be stored are reported and left out; exit code 1 then."
        ),
    )
    add_models(parser)
    parser.add_argument(
        "file", nargs="?", default="-", help="where to read (.gz too); - or none: standard input"
    )
    parser.add_argument(
        "--existing",
        choices=("refuse", "skip", "replace"),
        default="refuse",
        help="what becomes of a line whose record is stored already: it is reported as a problem "
        "(refuse), left out silently (skip), or takes the record's place (replace)",
    )
    add_batch_size(parser)
    parser.add_argument(
        "--max-line",
        type=size,
        default=LONGEST,
        metavar="BYTES",
        help="the longest line that is taken for a record, unpacked (16M); the import ends there",
    )
    add_quiet(parser)
    add_server(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Store the records of a file."""
    models = {model._meta.model_name: model for model in find_models(options.models)}
    use_server(options.url)
    with (
        opened(options.file) as (file, length, position),
        progress("importing", length, quiet=options.quiet) as report,
    ):
        lines = Lines(file, options.max_line)
        work = Import(models, options.existing, options.batch_size, lambda: report(position()))
        with _told_what_was_done(work, lines):
            work.carry_out(lines)
    if lines.failure is not None:
        raise cannot_read(options.file, lines.failure) from lines.failure
    if lines.are_complete and not options.quiet:
        say(work.summary())
    return PROBLEMS if work.problems else DONE


@contextmanager
def _told_what_was_done(work: Import, lines: Lines) -> Generator[None]:
    """Say what was stored if the import ends before its lines do, for whatever reason."""
    is_done = False
    try:
        yield
        is_done = lines.are_complete
    finally:
        if not is_done and work.has_begun:
            complain(f"The import has ended early. Until then: {work.summary()}")


def cannot_read(name: str, error: Exception) -> UsageProblem:
    """What is said of a file that cannot be read."""
    return UsageProblem(f"cannot read {no_url(name, 'a file')!r}: {error}")


@contextmanager
def opened(name: str) -> Generator[tuple[BinaryIO, int, Callable[[], int]]]:
    """The input, how many bytes it has, and how many of them were read."""
    if name == "-":
        yield sys.stdin.buffer, 0, lambda: 0
        return
    try:
        with path_of(name, "a file").open("rb") as raw:
            size = os.fstat(raw.fileno()).st_size
            if not name.endswith(".gz"):
                yield raw, size, raw.tell
                return
            with gzip.open(raw) as unpacked:
                yield cast("BinaryIO", unpacked), size, raw.tell
    except OSError as error:
        # A server that cannot be reached is none of these.
        raise cannot_read(name, error) from error


@dataclass
class Import:
    """One import: what to do with records that exist, and what came of it so far."""

    models: dict[str, AnyModel]
    existing: str
    batch_size: int
    report: Callable[[], None]
    stored: int = 0
    skipped: int = 0
    expired: int = 0
    #: values of single fields whose time is over
    ended: int = 0
    #: records whose fields make another key than their lines name
    elsewhere: int = 0
    problems: int = 0
    #: the part of the input that is being read, and the bytes of its lines: what is held at once
    _part: int = 0
    _bytes: int = 0
    #: records of the batch under way with the ends of single fields, in epoch milliseconds
    _ends: list[tuple[Any, dict[str, int]]] = field(
        default_factory=list[tuple[Any, dict[str, int]]]
    )

    @property
    def has_begun(self) -> bool:
        """Whether anything became of any line."""
        return any((self.stored, self.skipped, self.expired, self.problems))

    def summary(self) -> str:
        """What was done, in one line."""
        parts = [f"stored {self.stored:,} records"]
        for number, what in (
            (self.skipped, "skipped, since they exist"),
            (self.expired, "left out, since they have expired"),
            (self.ended, "values of single fields left out, since they have expired"),
            (
                self.elsewhere,
                "under other keys than their lines name, since their fields make them",
            ),
            (self.problems, "with problems: see above"),
        ):
            if number:
                parts.append(f"{number:,} {what}")
        return "; ".join(parts)

    def carry_out(self, lines: Lines) -> None:
        """Store the records of these lines, a batch at a time."""
        request = SaveRequest(skip_auto_now=True, create_only=self.existing != "replace")
        for (model, _), group in itertools.groupby(self._instances(lines), self._batch_of):
            before = self.stored
            number = carry_out(
                bulk.bulk_create(
                    model,
                    group,
                    self.batch_size,
                    partial(self._finish_batch, model, before),
                    self._refused,
                    False,
                    request,
                )
            )
            # Nothing is kept: it is how many were stored.
            self.stored = before + cast("int", number)
        if lines.is_too_long:
            self._problem(
                lines.number,
                f"longer than {lines.longest:,} bytes, so nothing of it was stored, nor what "
                "follows it; if it is a record, take a larger --max-line",
            )

    def _batch_of(self, instance: Any) -> tuple[AnyModel, int]:
        return cast("AnyModel", type(instance)), self._part

    # Reading ---------------------------------------------------------------------------

    def _instances(self, lines: Lines) -> Iterator[Any]:
        for number, line in lines:
            # A batch ends where its lines have as many bytes as one may have.
            if self._bytes + len(line) > lines.longest:
                self._part += 1
                self._bytes = 0
            self._bytes += len(line)
            yield from self._read(number, line)

    def _read(self, number: int, line: bytes) -> Iterator[Any]:
        """The record of a line; none for an empty one, an expired record, and a bad line."""
        if not line.strip():
            return
        try:
            entries = load(line)
            instance, ends = self._instance(entries)
        except (BadJson, DecodeError, ModelException) as error:
            self._problem(number, error)
            return
        if instance is None:
            self.expired += 1
            return
        vars(instance)[_LINE] = number
        if ends:
            now = time.time() * 1000
            self.ended += sum(moment <= now for moment in ends.values())
            self._ends.append((instance, ends))
        self._compare_key(number, entries.get("key"), instance)
        yield instance

    def _compare_key(self, number: int, named: Json, instance: Any) -> None:
        """Tell of the first record that goes elsewhere than its line says; count the others."""
        if named is None or named == str(instance.pk):
            return
        if not self.elsewhere:
            complain(
                f"line {number}: it names the key {named!r}, but its fields make "
                f"{str(instance.pk)!r}, which counts"
            )
        self.elsewhere += 1

    def _instance(self, line: Json) -> tuple[Any, dict[str, int]]:
        if not isinstance(line, dict):
            raise BadJson('a line is an object with "model" and "fields"')
        entries = cast("dict[str, Json]", line)
        if "model" not in entries:
            raise BadJson(
                'a line is an object with "model" and "fields", as popoto export writes it, and '
                f"this one has {', '.join(map(repr, entries)) or 'nothing'}"
            )
        unknown = next((name for name in entries if name not in _ENTRIES), None)
        if unknown is not None:
            raise BadJson(f"nothing reads {unknown!r}; {closest(unknown, _ENTRIES, 'entries')}")
        model = self.models.get(str(entries.get("model")))
        fields: Json = entries.get("fields")
        if model is None:
            known = ", ".join(self.models)
            raise BadJson(f"no record of the models {known}: {entries.get('model')!r}")
        if not isinstance(fields, dict):
            raise BadJson('"fields" is missing, or no object')
        now = datetime.datetime.now(datetime.UTC)
        moment = moment_of(entries.get("expires"))
        if moment is not None and moment <= now:
            return None, {}
        values = self._values(model, cast("dict[str, Json]", fields))
        end = moment and datetime.datetime.fromtimestamp(
            min(math.ceil(moment.timestamp()), LAST_SECOND), datetime.UTC
        )
        instance = model(**values, _ttl=None, _expire_at=end)
        if "beside" in entries:
            decided = {name: values.get(name) for name in model._meta.index_names}
            told = belongings_of(model._meta, entries["beside"], decided)
            if model._meta.keeps_belongings:
                vars(instance)["_belongings"] = told
        return instance, _ends_of(model, entries.get("fields_expire"), values)

    def _values(self, model: AnyModel, fields: dict[str, Json]) -> dict[str, Any]:
        known = model._meta.by_name
        values: dict[str, Any] = {}
        for name, found in fields.items():
            if name not in known:
                raise BadJson(
                    f"{model.__name__} has no field {name!r}; fields are {', '.join(known)}"
                )
            value = value_of(found)
            values[name] = known[name].decode(bytes(value)) if isinstance(value, Stored) else value
        return values

    # What becomes of a batch --------------------------------------------------------------

    def _refused(self, row: RowError) -> None:
        number = self._line_of(row.instance)
        if not isinstance(row.error, AlreadyExistsError):
            self._problem(number, row.error)
        elif self.existing == "skip":
            self.skipped += 1
        else:
            self._problem(
                number,
                f"{row.instance.pk!r} is stored already; --existing skip leaves it, "
                "--existing replace replaces it",
            )

    @staticmethod
    def _line_of(instance: Any) -> int:
        return cast("int", getattr(instance, _LINE))

    def _problem(self, number: int, problem: object) -> None:
        self.problems += 1
        complain(f"line {number}: {problem}")

    def _finish_batch(self, model: AnyModel, before: int, number: int) -> None:
        """Let fields of the batch's records expire by themselves where they did."""
        self.stored = before + number
        mine = [pair for pair in self._ends if type(pair[0]) is model and pair[0]._is_persisted]
        # An instance of the next model may have been read already.
        self._ends = [pair for pair in self._ends if type(pair[0]) is not model]
        commands: list[Command] = [
            ("HPEXPIREAT", str(instance.pk), moment, "FIELDS", 1, name)
            for instance, ends in mine
            for name, moment in ends.items()
        ]
        if commands:
            try:
                keys = [str(instance.pk) for instance, ends in mine for _ in ends]
                shards = shards_of(model._meta, keys)
                carry_out(Request(commands, model._meta.shard, shards=shards).plan())
            except ResponseError as error:
                if not is_unknown_command(error):
                    raise
                self.problems += len(mine)
                complain(
                    f"{model.__name__}: fields of {len(mine)} records should expire by themselves; "
                    "that takes Redis 7.4 or Valkey 9, so these values stay"
                )
        self.report()


def _ends_of(model: AnyModel, found: Json, values: dict[str, Any]) -> dict[str, int]:
    """When single fields end, in epoch milliseconds. Raises for those that cannot."""
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise BadJson('"fields_expire" is no object')
    ends: dict[str, int] = {}
    for name, text in cast("dict[str, Json]", found).items():
        moment = moment_of(text)
        if moment is None or name not in values:
            raise BadJson(f'"fields_expire" names {name!r}, which has no value')
        check_expires_alone(model._meta, name)
        ends[name] = round(moment.timestamp() * 1000)
    return ends
