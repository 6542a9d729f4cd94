"""`popoto indexes check|clean|rebuild`: upkeep, by hand and by schedule."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Mapping
from typing import Any, cast

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
from popoto.cli.exits import DONE, PROBLEMS
from popoto.cli.output import complain, printable, progress, say, table
from popoto.cli.watching import stored_keys, watched
from popoto.engine.request import Plan
from popoto.engine.run import run as carry_out
from popoto.models.upkeep.checking import check_indexes
from popoto.models.upkeep.cleaning import clean_indexes
from popoto.models.upkeep.rebuilding import rebuild_indexes
from popoto.models.upkeep.registry import Registry

#: What the sections of `check_indexes` count, in words.
_MEANINGS = {
    "class_set": "record missing",
    "key_fields": "record missing",
    "sorted_fields": "record missing",
    "geo_fields": "record missing",
    "composite_indexes": "record missing",
    "indexed_fields": "record missing",
    "relationship_fields": "record missing",
    "capped_lists": "list of a missing record",
    "companions": "key of a missing record",
    "abandoned_indexes": "index of no field any more",
    "wrong_values": "record holds another value",
    "missing_entries": "record is not in the index",
    "shared_values": "another record has the same unique value",
    "unidentified_records": "key does not follow from the key fields",
}
_REMEDIES = {
    "wrong_values": "rebuild",
    "missing_entries": "rebuild",
    "abandoned_indexes": "rebuild",
    "shared_values": "change one of the records",
    "unidentified_records": "delete or move the record",
}


def add_to(commands: Commands) -> None:
    """Describe the command and its three actions."""
    parser = commands.add_parser("indexes", help="check, clean or rebuild indexes")
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    check = actions.add_parser(
        "check",
        help="compare indexes and records; write nothing",
        description="Compare indexes and records, both ways. Writes nothing. Exit code 1 if they "
        "differ, or if there are records that cannot be read.",
    )
    check.add_argument("--json", action="store_true", help="what check_indexes() returns, as JSON")
    check.set_defaults(run=run_check)
    clean = actions.add_parser(
        "clean",
        help="remove the entries of missing records",
        description="Remove the entries and companions of records that are missing.",
    )
    clean.set_defaults(run=run_clean)
    rebuild = actions.add_parser(
        "rebuild",
        help="make the indexes follow from the records again",
        description="Remove wrong entries and add missing ones, beside live readers and writers. "
        "Exit code 1 if there are records that cannot be indexed.",
    )
    rebuild.set_defaults(run=run_rebuild)
    for action in (check, clean, rebuild):
        add_models(action)
        add_quiet(action)
        add_batch_size(action)
        add_server(action)


def run_check(options: argparse.Namespace) -> int:
    """Check each model."""
    found: dict[str, dict[str, Any]] = {}
    for model in models_of(options):
        check = check_indexes(model, options.batch_size)
        found[model._meta.model_name] = with_bar(
            options, "checking", model, check, reads_records=True
        )
        if not options.json:
            _tell(model, found[model._meta.model_name], quiet=options.quiet)
    is_healthy = not any(each["total"] or each["unreadable_records"] for each in found.values())
    if options.json and not (options.quiet and is_healthy):
        say(json.dumps(found, indent=2))
    return DONE if is_healthy else PROBLEMS


def run_clean(options: argparse.Namespace) -> int:
    """Clean each model."""
    for model in models_of(options):
        plan = clean_indexes(model, options.batch_size)
        removed = with_bar(options, "cleaning", model, plan, reads_records=False)
        if not options.quiet:
            say(f"{model.__name__}: removed {removed:,} entries of missing records")
    return DONE


def run_rebuild(options: argparse.Namespace) -> int:
    """Rebuild each model."""
    code = DONE
    for model in models_of(options):
        plan = rebuild_indexes(model, options.batch_size)
        rebuilt = with_bar(options, "rebuilding", model, plan, reads_records=True)
        if not options.quiet:
            say(f"{model.__name__}: indexed {rebuilt:,} records")
        for problem in rebuilt.problems:
            complain(f"{problem.key}: {problem.reason}")
        if rebuilt.problem_count:
            complain(f"{model.__name__}: {rebuilt.problem_count:,} records have problems")
            code = PROBLEMS
    return code


def models_of(options: argparse.Namespace) -> list[AnyModel]:
    """The models that were named, on the server that was named."""
    models = find_models(options.models)
    use_server(options.url)
    return models


def with_bar(
    options: argparse.Namespace, what: str, model: AnyModel, plan: Plan[Any], *, reads_records: bool
) -> Any:
    """Carry out an operation under a bar that shows how much of the keyspace it has visited."""
    scans = 1 + reads_records + Registry(model._meta).has_keys_among_records
    label = f"{what} {model.__name__}"
    with progress(label, scans * stored_keys(), quiet=options.quiet) as report:
        return carry_out(watched(plan, report))


# The report of a check -----------------------------------------------------------------------


def _tell(model: AnyModel, result: Mapping[str, Any], *, quiet: bool) -> None:
    total, unreadable = result["total"], result["unreadable_records"]
    if not (total or unreadable):
        if not quiet:
            say(f"{model.__name__}: healthy")
        return
    say(f"{model.__name__}: {total:,} problems")
    rows = rows_of(result)
    table(("count#", "index", "problem", "remedy"), rows)
    tell_remedy(model, [remedy for *_, remedy in rows])


def rows_of(result: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    """What a check has found, as (count, index, problem, remedy)."""
    rows = [
        (f"{count:,}", index, _MEANINGS.get(section, section), _REMEDIES.get(section, "clean"))
        for section, index, count in problems_in(result)
    ]
    if unreadable := result["unreadable_records"]:
        rows.append((f"{unreadable:,}", "", "record that cannot be indexed", "repair the hash"))
    return rows


def tell_remedy(model: AnyModel, remedies: Iterable[str]) -> None:
    """Say the command that does what is to be done; a rebuild cleans as well."""
    name = printable(f"{model.__module__}:{model.__qualname__}")
    for remedy in ("rebuild", "clean"):
        if remedy in remedies:
            say(f"  popoto indexes {remedy} {name}")
            return


def problems_in(result: Mapping[str, Any]) -> Iterable[tuple[str, str, int]]:
    """What a check has counted, as (section, index, number)."""
    for section, value in result.items():
        if section in ("total", "unreadable_records"):
            continue
        if isinstance(value, dict):
            counts = cast("dict[str, int]", value)
            yield from ((section, name, count) for name, count in counts.items() if count)
        elif value:
            yield section, "$Class", value
