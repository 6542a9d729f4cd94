"""`popoto export`: records as JSON Lines."""

from __future__ import annotations

import argparse
import gzip
import io
import os
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO, cast

from redis.exceptions import ResponseError

from popoto.cli.arguments import (
    AnyModel,
    Commands,
    add_batch_size,
    add_models,
    add_quiet,
    add_server,
    find_models,
    path_of,
    use_server,
)
from popoto.cli.belongings import json_of_belongings
from popoto.cli.exits import DONE, PROBLEMS, UsageProblem
from popoto.cli.expiries import is_unknown_command, text_of_moment
from popoto.cli.jsonlines import Json, NoJsonForm, Stored, dump, json_of
from popoto.cli.output import complain, progress
from popoto.engine.batch import GuardFailure
from popoto.engine.codec import DecodeError
from popoto.engine.request import Command, Plan, Request
from popoto.engine.run import run as carry_out
from popoto.exceptions import StoredDataError
from popoto.fields.keeping.shards import by_shard
from popoto.models.beside.belongings import Belongings, OwnKey, belongings, own_keys
from popoto.models.reading.calls import Row
from popoto.models.reading.executing import Execution
from popoto.models.reading.ordering import by_key
from popoto.models.reading.spec import QuerySpec
from popoto.models.record.options import ModelOptions
from popoto.models.record.sharding import shards_of
from popoto.models.writing.rows import chunks

_GONE = -2
#: How often a record that changes while it is read is read again.
_MOST_LOOKS = 8


def add_to(commands: Commands) -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "export",
        help="write records as JSON Lines",
        description=(
            "Write the records of models, one line of JSON each, with their expiry. Records that "
            "are written meanwhile may be in it or not. Exit code 1 if stored bytes cannot be "
            "read; they are written as they are then."
        ),
    )
    add_models(parser)
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="write there (compressed if it ends with .gz), whole or not at all",
    )
    add_batch_size(parser)
    add_quiet(parser)
    add_server(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Write each model's records."""
    models = find_models(options.models)
    use_server(options.url)
    code = DONE
    with _opened(options.output) as file:
        for model in models:
            export = Export(model, options.batch_size)
            label = f"exporting {model.__name__}"
            with progress(label, count_of(model), quiet=options.quiet) as report:
                for number, line in enumerate(export.lines(), 1):
                    file.write(line + "\n")
                    report(number)
            if export.problems:
                code = PROBLEMS
            if not options.quiet:
                complain(f"{model.__name__}: {export.written:,} records")
    return code


@contextmanager
def _opened(name: str | None) -> Generator[TextIO]:
    """The standard output, or a file that is put in its place when it is complete."""
    if name is None:
        output: TextIO = sys.stdout
        if isinstance(output, io.TextIOWrapper):
            # Lines of JSON end with a newline and are UTF-8, whatever the terminal is set to.
            output.reconfigure(encoding="utf-8", newline="\n")
        yield output
        return
    # A symbolic link stays, and its target is written.
    path = Path(os.path.realpath(path_of(name, "a file")))
    opened: Any = gzip.open if path.suffix == ".gz" else open
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            # A device or a pipe is written to, and keeps its place.
            with opened(path, "wt", encoding="utf-8", newline="\n") as file:
                yield file
            return
        with (
            _put_in_place(path) as part,
            opened(part, "wt", encoding="utf-8", newline="\n") as file,
        ):
            yield file
    except BrokenPipeError:
        raise
    except OSError as error:
        raise UsageProblem(f"cannot write {name!r}: {error}") from error


@contextmanager
def _put_in_place(path: Path) -> Generator[str]:
    """A file beside its place, which takes that once it is complete."""
    if path.is_dir():
        raise IsADirectoryError("this is a directory")
    descriptor, part = tempfile.mkstemp(prefix=f".{path.name}"[:100] + ".", dir=path.parent)
    os.close(descriptor)
    try:
        yield part
        Path(part).replace(path)
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise


def count_of(model: AnyModel) -> int:
    """How many records a model has, in all partitions."""
    return carry_out(Execution(QuerySpec(model, at_large=True)).count())


class Export:
    """The export of one model's records. `problems` counts the fields that cannot be read."""

    def __init__(self, model: AnyModel, batch_size: int) -> None:
        self.model = model
        self.options: ModelOptions = model._meta
        self.batch_size = batch_size
        self.written = 0
        self.problems = 0
        self._has_belongings = self.options.keeps_belongings
        #: fields that may expire by themselves, as long as the server knows of that
        self._expiring = [
            name for name in self.options.hash_names if name not in self.options.index_names
        ]

    def lines(self) -> Iterator[str]:
        """A line for each record. Memory holds a batch of records, and the keys of all."""
        return map(dump, self.records())

    def records(self) -> Iterator[dict[str, Json]]:
        """What the lines hold."""
        execution = Execution(QuerySpec(self.model, tracked=False, at_large=True))
        fetch, _ = carry_out(execution.compile())
        # By key, whatever the model's own order is: that would have to read all records first.
        keys = carry_out(fetch.keys(by_key(self.options)))
        for page in chunks(keys, self.batch_size):
            rows = self._with_belongings(page, lambda each: fetch.again(each, execution.reading()))
            expiries = self._expiries([row.key for row, _ in rows])
            for (row, told), (moment, of_fields) in zip(rows, expiries, strict=True):
                if moment != _GONE:
                    self.written += 1
                    yield self._line(row, told, moment, of_fields)

    # What records have beside their values -----------------------------------------------

    def _with_belongings(
        self, page: Sequence[bytes], read: Callable[[Sequence[bytes]], Plan[list[Row]]]
    ) -> list[tuple[Row, Belongings]]:
        """The records under these keys with what they have, read until both are of one moment."""
        rows = carry_out(read(page))
        if not self._has_belongings:
            return [(row, {}) for row in rows]
        found: dict[str, tuple[Row, Belongings]] = {}
        for _ in range(_MOST_LOOKS):
            told = carry_out(self._belongings(rows))
            changed: list[bytes] = []
            for row, each in zip(rows, told, strict=True):
                if not isinstance(each, GuardFailure):
                    found[row.key] = row, each
                elif each.what == "holds":
                    changed.append(row.key.encode())
                elif each.what != "exists":
                    raise each.error()
            if not changed:
                break
            rows = carry_out(read(changed))
        return self._with_ends([found[key] for key in map(bytes.decode, page) if key in found])

    def _belongings(self, rows: list[Row]) -> Plan[list[Belongings | GuardFailure]]:
        """What records have, in their order, each as its shard tells it."""
        told: dict[str, Belongings | GuardFailure] = {}
        for view, some in (yield from by_shard(self.options, rows, lambda row: row.key)):
            found = yield from belongings(view, [(row.key, row.stored) for row in some])
            told.update(zip([row.key for row in some], found, strict=True))
        return [told[row.key] for row in rows]

    def _with_ends(self, rows: list[tuple[Row, Belongings]]) -> list[tuple[Row, Belongings]]:
        """The same, with the ends of keys that go before their records do, or with them."""
        own = [
            (own_keys(self.options, row.key)[name], told, name, row.key)
            for row, told in rows
            for name, value in told.items()
            if isinstance(value, OwnKey)
        ]
        moments = self._moments([each[0] for each in own], [each[3] for each in own])
        for (_, told, name, _), moment in zip(own, moments, strict=True):
            if moment > 0:
                cast("dict[str, Any]", told)[name] = told[name]._replace(ends=moment)
        return rows

    def _line(
        self, row: Row, told: Belongings, moment: int, of_fields: dict[str, int]
    ) -> dict[str, Json]:
        line: dict[str, Json] = {"model": self.options.model_name, "key": row.key}
        line["fields"] = {name: self._field(row, name, each) for name, each in row.stored.items()}
        if self._has_belongings:
            line["beside"] = json_of_belongings(told)
        if moment >= 0:
            line["expires"] = text_of_moment(moment)
        if of_fields:
            line["fields_expire"] = {name: text_of_moment(each) for name, each in of_fields.items()}
        return line

    def _field(self, row: Row, name: str, stored: Any) -> Json:
        field = self.options.by_name[name]
        try:
            value = field.decode(stored)
            # A text itself, so that it can be imported beside another store.
            return json_of(field.self_contained(value, row.key))
        except NoJsonForm:
            return json_of(Stored(stored))
        except (DecodeError, FileNotFoundError, StoredDataError) as error:
            self.problems += 1
            complain(f"{row.key}: {name} cannot be read: {error}")
            if isinstance(stored, bytes):
                return json_of(Stored(stored))
            return [json_of(Stored(each)) for each in stored]

    # Expiry ----------------------------------------------------------------------------

    def _expiries(self, keys: Sequence[str]) -> list[tuple[int, dict[str, int]]]:
        """When records end, in epoch milliseconds (-1 never, -2 gone), and fields of them."""
        moments = self._moments(keys, keys)
        of_fields: list[dict[str, int]] = [{} for _ in keys]
        names = self._expiring
        if names:
            commands: list[Command] = [
                ("HPEXPIRETIME", key, "FIELDS", len(names), *names) for key in keys
            ]
            try:
                replies = self._asked(commands, keys)
            except ResponseError as error:
                if not is_unknown_command(error):
                    raise
                self._expiring = []
            else:
                for found, reply in zip(of_fields, replies, strict=True):
                    pairs = zip(names, reply or (), strict=False)
                    found.update((name, each) for name, each in pairs if each > 0)
        return list(zip(moments, of_fields, strict=True))

    def _moments(self, keys: Sequence[str], of_records: Sequence[str]) -> list[int]:
        try:
            return self._asked([("PEXPIRETIME", key) for key in keys], of_records)
        except ResponseError as error:
            if not is_unknown_command(error):
                raise
        # Before Redis 7: what is left, by this machine's clock.
        now = int(time.time() * 1000)
        left = self._asked([("PTTL", key) for key in keys], of_records)
        return [each if each < 0 else now + each for each in left]

    def _asked(self, commands: Sequence[Command], of_records: Sequence[str]) -> list[Any]:
        shards = shards_of(self.options, of_records)
        request = Request(commands, self.options.shard, repeatable=True, shards=shards)
        return carry_out(request.plan())
