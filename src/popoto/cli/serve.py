"""`popoto serve`: an embedded server on a directory."""

from __future__ import annotations

import argparse
import os
import select
import signal
from collections.abc import Callable
from typing import Final
from urllib.parse import quote

from popoto import embedded
from popoto.cli.arguments import Commands, path_of
from popoto.cli.exits import DONE, UsageProblem
from popoto.cli.output import complain, say

#: Seconds between two looks whether the server still answers.
_LOOK_AFTER = 5.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
#: A handler that has no step of Python: between two of these the next signal would be handled, and
#: signals that come fast enough would stand in each other up to the limit of recursion.
_NOTHING: Final[Callable[[int, object], object]] = dict[int, object]().get


def add_to(commands: Commands) -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "serve",
        help="run a Valkey server on a directory",
        description=(
            "Run the Valkey server of a directory (made if need be) until Ctrl-C or SIGTERM, and "
            "start it again if it is killed. Prints its URL, when it answers, as the first line. "
            "Other processes join it by that URL or by embedded:///directory; one that uses the "
            "latter keeps it running after this command has ended."
        ),
    )
    parser.add_argument(
        "directory", nargs="?", help="where the data is kept; ./popoto-data by default"
    )
    parser.add_argument(
        "--temporary", action="store_true", help="keep the data in memory, and no longer than this"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Serve until a signal comes."""
    if options.temporary and options.directory:
        raise UsageProblem("serve either a directory or --temporary")
    if options.directory is not None:
        path_of(options.directory, "a directory")
    stopped = _told_by_signals()
    directory = None if options.temporary else options.directory or "popoto-data"
    with embedded.start(directory) as server:
        say(server.url)
        # A program may wait for the line.
        print(end="", flush=True)
        kept = "in memory" if options.temporary else f"in {server.directory}"
        complain(f"Valkey runs, with its data {kept}. Ctrl-C ends it.")
        if not options.temporary:
            url = f"embedded://{quote(server.directory)}"
            complain(f"REDIS_URL={url} joins it, or starts it again later.")
        while not select.select([stopped], [], [], _LOOK_AFTER)[0]:
            server.ensure_running()
        for number in _SIGNALS:  # further ones would only delay the end
            signal.signal(number, signal.SIG_IGN)
    complain("Stopped.")
    return DONE


def _told_by_signals() -> int:
    """A pipe that can be read from once a signal has come."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    # A full pipe says it too.
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    for number in _SIGNALS:
        signal.signal(number, _NOTHING)
    return reading
