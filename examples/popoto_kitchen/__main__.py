"""The command: a server, a show, and cleaning up."""

from __future__ import annotations

import argparse
import os

from rich.console import Console

from popoto import redis_db

from .models import close_kitchen
from .ops import show_ops
from .tour import show_tour


def main() -> None:
    parser = argparse.ArgumentParser(prog="popoto_kitchen", description="Popoto Kitchen")
    parser.add_argument("--ops", action="store_true", help="break indexes, and repair them")
    show = show_ops if parser.parse_args().ops else show_tour
    console = Console()
    own_server = not os.environ.get("REDIS_URL")
    if own_server:
        redis_db.set_REDIS_DB_settings(url="embedded://")
        console.print("Popoto Kitchen opens on a temporary server of its own.")
    try:
        show(console)
    finally:
        removed = close_kitchen()
        if not own_server:
            console.print(f"\nRemoved the {removed} records again.")


if __name__ == "__main__":
    main()
