"""`popoto shell`: Python with the models at hand."""

from __future__ import annotations

import argparse
import code
import importlib
from typing import Any

import popoto
from popoto import redis_db
from popoto._packages import is_installed
from popoto.cli.arguments import AnyModel, Commands, add_server, find_models, use_server
from popoto.cli.exits import DONE


def add_to(commands: Commands) -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "shell",
        help="Python with models imported",
        description=(
            "Start IPython if it is installed, else plain Python, with these models, popoto, Q "
            "and the client `redis` as names."
        ),
    )
    parser.add_argument("models", nargs="*", metavar="module[:Model]", help="what to import")
    parser.add_argument("-c", "--command", help="carry out this code instead of asking for some")
    parser.add_argument("--plain", action="store_true", help="plain Python, whatever is installed")
    add_server(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Start the shell, or carry out one command."""
    models = [model for text in options.models for model in find_models(text)]
    use_server(options.url)
    names = names_for(models)
    if options.command is not None:
        exec(compile(options.command, "<popoto shell>", "exec"), names)  # noqa: S102 - is the command
        return DONE
    banner = _banner(models)
    if not options.plain and is_installed("IPython"):
        _start_ipython(names, banner)
    else:
        code.interact(banner=banner, local=names, exitmsg="")
    return DONE


def names_for(models: list[AnyModel]) -> dict[str, Any]:
    """What is at hand in the shell."""
    names: dict[str, Any] = {"__name__": "__main__", "popoto": popoto, "Q": popoto.Q}
    names["redis"] = redis_db.POPOTO_REDIS_DB
    names.update((model.__name__, model) for model in models)
    return names


def _banner(models: list[AnyModel]) -> str:
    listed = ", ".join(model.__name__ for model in models) or "none; name modules to import some"
    return f"popoto {popoto.__version__}. Models: {listed}. Also: popoto, Q, redis."


def _start_ipython(names: dict[str, Any], banner: str) -> None:
    ipython: Any = importlib.import_module("IPython")
    print(banner)
    ipython.start_ipython(argv=["--no-banner"], user_ns=names)
