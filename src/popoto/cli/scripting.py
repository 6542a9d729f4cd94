"""`popoto scripts`: the Lua scripts that this version sends, and loading them for users who cannot.

A user with the right to EVALSHA and without EVAL and SCRIPT LOAD runs what an operator has loaded,
and nothing else.
"""

from __future__ import annotations

import argparse
from typing import Final

from popoto import redis_db
from popoto.cli.arguments import Commands, add_server, use_server
from popoto.cli.exits import DONE
from popoto.cli.output import say, table
from popoto.engine import scripts as engine_scripts
from popoto.engine.scripts import COMMIT, Script, finding
from popoto.memory import commands
from popoto.memory.associations import scripts as edge_scripts
from popoto.memory.bloom import scripts as bloom_scripts
from popoto.memory.bm25 import scripts as bm25_scripts
from popoto.memory.composite import signals
from popoto.memory.decay import scripts as decay_scripts
from popoto.memory.recall import scripts as recall_scripts
from popoto.memory.sketch import scripts as sketch_scripts
from popoto.memory.vectors import scripts as vector_scripts

__all__ = ["SCRIPTS"]

_MODULES = (
    *(engine_scripts, commands, decay_scripts, edge_scripts, signals, vector_scripts),
    *(bloom_scripts, sketch_scripts, bm25_scripts, recall_scripts),
)
SCRIPTS: Final[tuple[Script, ...]] = tuple(
    dict.fromkeys(
        [
            *(
                each
                for module in _MODULES
                for each in vars(module).values()
                if isinstance(each, Script)
            ),
            *(finding(each) for each in (COMMIT, commands.MEMORY)),
        ]
    )
)
"""All that is ever sent."""


def add_to(commands: Commands) -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "scripts",
        help="the Lua scripts that popoto sends, and loading them",
        description="List the scripts of this version by the digests that servers know them by. "
        "--load teaches them to the server, on a cluster to every primary, so that users may work "
        "there who have the right to EVALSHA but not to EVAL and SCRIPT LOAD. A server that was "
        "restarted, and a replica that was promoted, have to be taught again.",
    )
    parser.add_argument("--load", action="store_true", help="load them")
    add_server(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """List them, or load them."""
    use_server(options.url)
    if not options.load:
        rows = [(each.name, each.digest, f"{len(each.text):,}") for each in SCRIPTS]
        table(("script", "digest", "bytes#"), rows)
        return DONE
    nodes = redis_db.connection().per_node()
    for node in nodes:
        for script in SCRIPTS:
            node.call(("SCRIPT", "LOAD", script.text), repeatable=True)
    say(f"{len(SCRIPTS)} scripts are loaded on {len(nodes)} server{'s'[: len(nodes) > 1]}")
    return DONE
