"""The command `popoto`: serve, models, indexes, doctor, shell, export, import, verify, erase,
scripts.

Results go to the standard output; remarks, problems and progress to the standard error.
A module for each command; `main` says what their failures mean.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence

import redis.exceptions

import popoto
from popoto.cli import (
    doctor,
    erasing,
    exporting,
    importing,
    indexes,
    schema,
    scripting,
    serve,
    shell,
    verifying,
)
from popoto.cli.arguments import Parser
from popoto.cli.digests import Digest, digest
from popoto.cli.exits import INTERRUPTED, PROBLEMS, UNREACHABLE, USAGE, UsageProblem
from popoto.cli.output import complain
from popoto.embedded import EmbeddedServerError
from popoto.exceptions import ConfigurationError, ModelException, QueryException
from popoto.redis_db import environment_problem

__all__ = ["Digest", "digest", "main"]

_COMMANDS = (
    *(serve, schema, indexes, doctor, shell, exporting, importing, verifying, erasing, scripting),
)
_EXIT_CODES = """\
exit codes: 0 done, or healthy; 1 problems were found; 2 wrong use; 3 the server cannot be
reached. The server is the one of --url, else of REDIS_URL, else 127.0.0.1:6379.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out one command and return its exit code; `arguments` default to the process's.

    Raises SystemExit for arguments that cannot be read (code 2), ``--help`` and ``--version``.
    """
    # What the library logs is told here in other words.
    logging.getLogger().addHandler(logging.NullHandler())
    options = _parser().parse_args(arguments)
    try:
        if environment_problem is not None and getattr(options, "url", None) is None:
            raise UsageProblem(f"REDIS_URL: {environment_problem}")  # noqa: TRY301  # told below
        code: int = options.run(options)
        # Here, where a pipe that is closed can still be noticed.
        sys.stdout.flush()
    except (UsageProblem, ConfigurationError) as error:
        complain(f"popoto: {error}")
        return USAGE
    except (
        EmbeddedServerError,
        redis.exceptions.ConnectionError,
        redis.exceptions.TimeoutError,
    ) as error:
        complain(f"popoto: {error}")
        return UNREACHABLE
    except (redis.exceptions.RedisError, ModelException, QueryException) as error:
        complain(f"popoto: {error}")
        return PROBLEMS
    except BrokenPipeError:
        # Whoever read our output (`popoto export … | head`) has enough of it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PROBLEMS
    except KeyboardInterrupt:
        complain("popoto: interrupted")
        return INTERRUPTED
    return code


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="popoto",
        description="Records on Redis and Valkey: look at them, keep their indexes, move them.",
        epilog=_EXIT_CODES,
    )
    parser.add_argument("--version", action="version", version=f"popoto {popoto.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in _COMMANDS:
        command.add_to(commands)
    return parser
