"""`popoto erase`: everything of one subject, and the report of what was checked."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from popoto.cli.arguments import (
    AnyModel,
    Commands,
    add_batch_size,
    add_models,
    add_quiet,
    add_server,
    find_models,
    no_url,
    use_server,
)
from popoto.cli.exits import DONE, PROBLEMS, UsageProblem
from popoto.cli.output import complain, say, table
from popoto.engine.request import Plan
from popoto.engine.run import run as carry_out
from popoto.exceptions import ModelException
from popoto.models.upkeep.erasing import erasing
from popoto.models.upkeep.erasure import Erasure


def add_to(commands: Commands) -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "erase",
        help="remove everything of one subject",
        description="Remove the records of one subject, and everything that mentions them: index "
        "entries, words, vectors, edges, histories, events, content files. Nothing brings them "
        "back. Exit code 1 if something is left; the same command goes on where it was ended.",
    )
    add_models(parser)
    parser.add_argument(
        "subject",
        nargs="+",
        metavar="field=value",
        help="whose records are meant; or a value alone, for the fields that Meta.subject names",
    )
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--json", action="store_true", help="the reports as JSON")
    add_batch_size(parser)
    add_quiet(parser)
    add_server(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Erase, once somebody has said yes."""
    models = find_models(options.models)
    asked = [(model, conditions_of(model, options.subject)) for model in models]
    meant = [(model, conditions) for model, conditions in asked if conditions]
    if not meant:
        raise UsageProblem(
            f"no model of {no_url(options.models, 'a model')!r} says in Meta.subject whose its "
            "records are: name the field, as field=value"
        )
    left_out = ", ".join(model.__name__ for model, conditions in asked if not conditions)
    if left_out:
        complain(f"not looked at, since no Meta.subject says whose their records are: {left_out}")
    use_server(options.url)
    if not (options.yes or _says_yes(meant)):
        complain("nothing was removed")
        return PROBLEMS
    # All of them, before anything is removed.
    plans = [_plan(model, conditions, options.batch_size) for model, conditions in meant]
    reports = [carry_out(plan) for plan in plans]
    is_complete = all(report.is_complete for report in reports)
    if options.json:
        say(json.dumps([_as_json(report) for report in reports], indent=2, default=str))
    elif not (options.quiet and is_complete):
        for report in reports:
            _tell(report)
        say("beyond reach:")
        for what in reports[0].beyond_reach:
            say(f"  {what}")
    return DONE if is_complete else PROBLEMS


def _plan(model: AnyModel, conditions: Mapping[str, str], batch_size: int) -> Plan[Erasure]:
    try:
        return erasing(model, conditions, batch_size)
    except ModelException as error:
        # The words name no field, or no value of it.
        raise UsageProblem(str(error)) from error


def conditions_of(model: AnyModel, words: list[str]) -> Mapping[str, str]:
    """The fields and values that these words mean for a model; none where it has no subject."""
    if len(words) == 1 and "=" not in words[0]:
        field = model._meta.subject
        return {} if field is None else {field: words[0]}
    found: dict[str, str] = {}
    for word in words:
        name, separator, value = word.partition("=")
        if not separator or not name:
            raise UsageProblem(f"{no_url(word, 'a subject')!r} is not of the form field=value")
        if name in found:
            raise UsageProblem(f"{name!r} is named twice: of whom are the records?")
        found[name] = value
    return found


def _says_yes(meant: list[tuple[AnyModel, Mapping[str, str]]]) -> bool:
    if not sys.stdin.isatty():
        raise UsageProblem("what is erased does not come back: say --yes where nobody can be asked")
    for model, conditions in meant:
        whose = ", ".join(f"{name}={value}" for name, value in conditions.items())
        complain(f"{model.__name__}: everything of {whose} is removed and does not come back")
    print("Type yes to go on: ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip() == "yes"


def _tell(report: Erasure) -> None:
    say(f"{report.model}: {'erased' if report.is_complete else 'something is left'}")
    rows = [
        (kind, f"{trace.looked_at:,}", f"{trace.removed:,}", f"{trace.remaining:,}")
        for kind, trace in report.traces.items()
    ]
    table(("kind", "looked at#", "removed#", "remaining#"), rows)


def _as_json(report: Erasure) -> dict[str, Any]:
    return {**asdict(report), "is_complete": report.is_complete}
