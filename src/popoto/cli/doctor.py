"""`popoto doctor`: what earlier versions of popoto have left, and what is to be done about it."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from popoto.cli.arguments import (
    AnyModel,
    Commands,
    add_batch_size,
    add_models,
    add_quiet,
    add_server,
)
from popoto.cli.exits import DONE, PROBLEMS
from popoto.cli.indexes import models_of, rows_of, tell_remedy, with_bar
from popoto.cli.output import say, table
from popoto.models.upkeep.checking import check_indexes
from popoto.models.upkeep.traces import traces_of


class _Meaning(NamedTuple):
    """What one kind of trace is, which versions make it, and what is to be done ("" = nothing)."""

    what: str
    versions: str
    remedy: str = ""


_MEANINGS = {
    "unlisted": _Meaning("field whose texts are not listed: slow prefix lookups", "all", "rebuild"),
    "naive": _Meaning("record with a moment without zone; 1.9, 1.10 read UTC", "1.6 - 1.8.1, 2"),
    "iso": _Meaning("record with a moment in the ISO form", "1.8.2 - 1.10"),
    "named_later": _Meaning("record whose key names a moment in UTC", "1.9, 1.10"),
    "1.8.0": _Meaning("pointer in a hash", "1.8.0"),
    "1.8.1": _Meaning("pointer under a key like the record's", "1.8.1, 1.8.2"),
    "1.9": _Meaning("pointer under $IdxPtr:", "1.9, 1.10"),
    "astray": _Meaning("pointer to a set where the record is not", "1.8 - 1.10", "rebuild"),
}


def add_to(commands: Commands) -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "doctor",
        help="say what earlier versions of popoto have left",
        description="Say what popoto 1.6 to 1.10 have left in the records and indexes of a model, "
        "and which command puts it right. Writes nothing. Exit code 1 if there is anything to do.",
    )
    add_models(parser)
    add_quiet(parser)
    add_batch_size(parser)
    add_server(parser)
    parser.add_argument("--json", action="store_true", help="what was found, as JSON")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Look at each model."""
    found: dict[str, dict[str, Any]] = {}
    for model in models_of(options):
        traces = traces_of(model._meta, options.batch_size)
        counted = with_bar(options, "looking at", model, traces, reads_records=False)
        check = check_indexes(model, options.batch_size)
        checked = with_bar(options, "checking", model, check, reads_records=True)
        found[model._meta.model_name] = {
            "records": counted["records"],
            **{name: counted[name] for name in _MEANINGS},
            "check": checked,
        }
        if not options.json:
            _tell(model, found[model._meta.model_name], quiet=options.quiet)
    is_done = not any(_has_work(each) for each in found.values())
    if options.json and not (options.quiet and is_done):
        say(json.dumps(found, indent=2))
    return DONE if is_done else PROBLEMS


def _has_work(found: Mapping[str, Any]) -> bool:
    checked = found["check"]
    to_do = any(found[name] for name, meaning in _MEANINGS.items() if meaning.remedy)
    return bool(to_do or checked["total"] or checked["unreadable_records"])


def _tell(model: AnyModel, found: Mapping[str, Any], *, quiet: bool) -> None:
    if quiet and not _has_work(found):
        return
    rows = [
        (f"{found[name]:,}", meaning.what, meaning.versions, meaning.remedy or "-")
        for name, meaning in _MEANINGS.items()
        if found[name]
    ]
    rows += [
        (count, f"{problem}: {index}" if index else problem, "any", remedy)
        for count, index, problem, remedy in rows_of(found["check"])
    ]
    say(f"{model.__name__}: {found['records']:,} records" + ("" if rows else ", nothing left"))
    if rows:
        table(("count#", "found", "of popoto", "to do"), rows)
        tell_remedy(model, [remedy for *_, remedy in rows])
