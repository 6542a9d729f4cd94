"""`popoto verify`: digests of records, and whether two places hold the same."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from typing import cast

from popoto import redis_db
from popoto.cli.arguments import (
    AnyModel,
    Commands,
    add_batch_size,
    add_models,
    add_quiet,
    add_server,
    find_models,
    use_server,
)
from popoto.cli.digests import Marks, differences, mark, marks_on_server
from popoto.cli.exits import DONE, PROBLEMS, UsageProblem
from popoto.cli.importing import cannot_read, opened
from popoto.cli.jsonlines import BadJson, Json, load
from popoto.cli.lines import LONGEST, Lines
from popoto.cli.output import complain, printable, say, table
from popoto.models.record.options import ModelOptions

#: So many records that differ are named of each model.
_MOST_NAMED = 20


def add_to(commands: Commands) -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "verify",
        help="digests of records, and whether two servers hold the same",
        description="Print a digest of each model's records, with all that they have beside them. "
        "With --against, compare them with those of another server or of a file: exit code 1 if "
        "anything differs. Nobody should write meanwhile.",
    )
    add_models(parser)
    parser.add_argument(
        "--against",
        metavar="URL-OR-FILE",
        help="another server, in the forms of REDIS_URL, or what `popoto export` has written",
    )
    parser.add_argument(
        "--no-vectors",
        action="store_true",
        help="leave out the vectors of embedding fields, which an import makes anew",
    )
    add_batch_size(parser)
    add_quiet(parser)
    add_server(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print digests, or compare."""
    models = find_models(options.models)
    use_server(options.url)
    if options.against is None:
        return _print_digests(models, options)
    code = DONE
    for here, there in _pairs(models, options):
        if not _are_alike(here, there, quiet=options.quiet):
            code = PROBLEMS
    return code


def _print_digests(models: list[AnyModel], options: argparse.Namespace) -> int:
    found = [_marks(model, options) for model in models]
    digests = [each.digest() for each in found]
    headers, width = ["model", "records#", "digest", "vectors#", "their digest"], 3
    if any(each.vectors for each in digests):
        width = len(headers)
    rows = [
        (each.model, f"{each.records:,}", each.digest, f"{each.vectors:,}", each.vector_digest)
        for each in digests
    ]
    table(headers[:width], [row[:width] for row in rows])
    return PROBLEMS if any(each.problems for each in found) else DONE


def _marks(model: AnyModel, options: argparse.Namespace, *, vectors: bool = True) -> Marks:
    vectors = vectors and not options.no_vectors
    return marks_on_server(model, options.batch_size, vectors=vectors, quiet=options.quiet)


def _pairs(models: list[AnyModel], options: argparse.Namespace) -> Iterator[tuple[Marks, Marks]]:
    """What is here, and what is there, of each model."""
    if "://" not in options.against:
        of_file = _marks_of_file(options.against, models)
        for model in models:
            # A file holds no vectors.
            yield _marks(model, options, vectors=False), of_file[model._meta.model_name]
        return
    with redis_db.using(options.against):
        pass  # a bad URL is told before anything is read
    for model in models:
        here = _marks(model, options)
        with redis_db.using(options.against):
            there = _marks(model, options)
        yield here, there


def _marks_of_file(name: str, models: list[AnyModel]) -> dict[str, Marks]:
    """The marks of an export's lines, by model. Raises UsageProblem."""
    known = {model._meta.model_name: model._meta for model in models}
    found = {name: Marks(name) for name in known}
    with opened(name) as (file, _, _):
        lines = Lines(file, LONGEST)
        for number, text in lines:
            try:
                model, key, its_mark = _read(text, known)
            except BadJson as error:
                raise UsageProblem(f"line {number} is no line of an export: {error}") from error
            if key in found[model].records:
                raise UsageProblem(f"line {number} is {key!r} once more: an export has it once")
            found[model].records[key] = its_mark
    if not lines.are_complete:
        raise cannot_read(name, lines.failure or ValueError("a line of it is too long"))
    return found


def _read(text: bytes, known: Mapping[str, ModelOptions]) -> tuple[str, str, bytes]:
    """The model, the key and the mark of a line. Raises BadJson."""
    line = load(text)
    entries = cast("dict[str, Json]", line) if isinstance(line, dict) else {}
    model, key = str(entries.get("model")), entries.get("key")
    if model not in known or not isinstance(key, str):
        raise BadJson(f"no record of the models {', '.join(known)}")
    return model, key, mark(known[model], entries)


def _are_alike(here: Marks, there: Marks, *, quiet: bool) -> bool:
    """Say what differs of a model; whether nothing does."""
    found = differences(here.records, there.records)
    found |= {
        f"the vector of {key}": how for key, how in differences(here.vectors, there.vectors).items()
    }
    if not found:
        if not quiet:
            say(f"{here.model}: {len(here.records):,} records, the same in both")
        return not (here.problems or there.problems)
    complain(
        f"{here.model}: {len(here.records):,} records here, {len(there.records):,} there; "
        f"{len(found):,} are not the same"
    )
    for key, how in list(found.items())[:_MOST_NAMED]:
        complain(f"  {printable(key)} {how}")
    if len(found) > _MOST_NAMED:
        complain(f"  … and {len(found) - _MOST_NAMED:,} more")
    return False
