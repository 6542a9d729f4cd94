"""How often does the way of one operation through the code change file?

    python -m benchmarks.hops       the numbers
    python -m benchmarks.hops -v    and every call, with a number where the file changes

It follows one `save()` of a loaded record of which an indexed field changed, and one filtered,
ordered query, on an embedded server. Both have run before, so the connection is open and the
scripts are known. Counted are the calls of functions of popoto, as `sys.setprofile` reports them;
a hop is a call in another file than the call before it. A plan that goes on after a reply counts
as called again, since a reader comes back to it. A return is no hop: who reads on in the caller
has not left it. A comprehension is part of its function, as it is in Python from 3.12 on.
What runs outside popoto (redis-py, the standard library) is passed over.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from types import FrameType
from typing import NamedTuple

import popoto
from benchmarks.restaurant import Restaurant, sample
from popoto import embedded, redis_db

SOURCE = Path(popoto.__file__).parent
PARTS_OF_A_FUNCTION = frozenset({"<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>"})


class Step(NamedTuple):
    """One call of a function of popoto."""

    file: str
    function: str


def way_of(operation: Callable[[], object]) -> list[Step]:
    """The calls of popoto's functions while the operation runs, in order."""
    inside = f"{SOURCE}/"
    way: list[Step] = []

    def note(frame: FrameType, event: str, argument: object) -> None:
        code = frame.f_code
        if event != "call" or code.co_name in PARTS_OF_A_FUNCTION:
            return
        if code.co_filename.startswith(inside):
            way.append(Step(code.co_filename.removeprefix(inside), code.co_qualname))

    sys.setprofile(note)
    try:
        operation()
    finally:
        sys.setprofile(None)
    return way


def hops(way: list[Step]) -> int:
    """How many calls are in another file than the call before them."""
    return sum(before.file != after.file for before, after in pairwise(way))


def way_of_a_save() -> list[Step]:
    restaurant = Restaurant.query.get(name="Trattoria 1")
    for city in ("Lisbon", "Madrid"):
        restaurant.city = city
        way = way_of(restaurant.save)
    return way


def way_of_a_query() -> list[Step]:
    def ask() -> object:
        query = Restaurant.query.filter(Restaurant.city == "Rome", Restaurant.rating > 1.0)
        return query.order_by("-rating").limit(10).all()

    ask()
    return way_of(ask)


def as_text(way: list[Step]) -> str:
    """One line for each call, `file:function`; a number where the file changes."""
    lines: list[str] = []
    file, number = "", -1
    for step in way:
        number += step.file != file
        label = f"{number:4}" if step.file != file else " " * 4
        lines.append(f"{label}  {step.file}:{step.function}")
        file = step.file
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="benchmarks.hops",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="print every call")
    arguments = parser.parse_args()
    server = embedded.start()
    try:
        redis_db.set_REDIS_DB_settings(unix_socket_path=server.url.removeprefix("unix://"))
        Restaurant.bulk_create([Restaurant(**record) for record in sample(100)])
        for title, way in {
            "one save() of a changed indexed field": way_of_a_save(),
            "one filtered, ordered query": way_of_a_query(),
        }.items():
            print(f"{title}: changes file {hops(way)} times in {len(way)} calls")
            if arguments.verbose:
                print(as_text(way), end="\n\n")
    finally:
        server.close()


if __name__ == "__main__":
    main()
