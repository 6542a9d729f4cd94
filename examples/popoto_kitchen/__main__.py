"""The command: a server, a show, and cleaning up."""

from __future__ import annotations

import argparse
import sys

import redis
from rich.console import Console

try:
    from popoto import redis_db
except ValueError as error:
    # A REDIS_URL that means nothing.
    sys.exit(f"REDIS_URL: {error}")

from .models import close_kitchen
from .ops import show_ops
from .tour import show_tour


def main() -> None:
    parser = argparse.ArgumentParser(prog="popoto_kitchen", description="Popoto Kitchen")
    parser.add_argument("--ops", action="store_true", help="break indexes, and repair them")
    show = show_ops if parser.parse_args().ops else show_tour
    console = Console()
    own_server = not redis_db.REDIS_URL
    if own_server:
        redis_db.set_REDIS_DB_settings(url="embedded://")
    try:
        redis_db.get_REDIS_DB().ping()
    except redis.RedisError as error:
        sys.exit(str(error))
    if own_server:
        console.print("Popoto Kitchen opens on a temporary server of its own.")
    try:
        show(console)
    finally:
        removed = close_kitchen()
        if not own_server:
            console.print(f"\nRemoved the {removed} records again.")


if __name__ == "__main__":
    main()
