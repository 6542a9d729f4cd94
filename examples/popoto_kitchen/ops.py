"""Broken indexes: how they come about, how they are found, and how they are repaired."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from popoto import redis_db

from .models import KitchenMenuItem, KitchenRestaurant
from .pantry import open_kitchen


def show_ops(console: Console) -> None:
    """Break, look, repair, look again."""
    open_kitchen()
    report(console, "After opening", KitchenRestaurant.check_indexes())
    break_indexes()
    report(console, "After the accident", KitchenRestaurant.check_indexes())
    found = [each.name for each in KitchenRestaurant.query.filter(cuisine="german")]
    console.print(f"  German restaurants, as the index has them: {found}")

    removed = KitchenRestaurant.clean_indexes()
    console.print(f"\nclean_indexes(): [bold]{removed}[/bold] entries of missing records removed")
    report(console, "After cleaning", KitchenRestaurant.check_indexes())

    rebuilt = KitchenRestaurant.rebuild_indexes()
    console.print(f"\nrebuild_indexes(): [bold]{rebuilt}[/bold] records indexed")
    for problem in rebuilt.problems:
        console.print(f"  {problem.key}: {problem.reason}", markup=False)
    result = KitchenRestaurant.check_indexes()
    report(console, "After rebuilding", result)
    found = [each.name for each in KitchenRestaurant.query.filter(cuisine="german")]
    console.print(f"  German restaurants, as the index has them: {found}")
    healthy = result["total"] == KitchenMenuItem.check_indexes()["total"] == 0
    console.print("\nverified: every entry is right" if healthy else "\n[red]still broken[/red]")


def break_indexes() -> None:
    """What raw commands do that know nothing of indexes. (The keys are those on one server.)"""
    client = redis_db.POPOTO_REDIS_DB
    index = "$IndexF:KitchenRestaurant:cuisine:"
    # A record vanishes, and its entries stay.
    client.delete("KitchenRestaurant:Seoul Kitchen")
    # An index is lost.
    client.delete(f"{index}german")
    # An entry says what its record does not.
    client.sadd(f"{index}french", "KitchenRestaurant:Curry Corner")
    # A score is changed.
    client.zadd("$SortF:KitchenRestaurant:rating", {"KitchenRestaurant:Lakeside": 5.0})


def report(console: Console, title: str, result: Mapping[str, Any]) -> None:
    """What `check_indexes` has found, for people."""
    total = result["total"]
    verdict = "healthy" if total == 0 else f"{total} problems"
    console.print(f"\n{title}: [bold {'green' if total == 0 else 'red'}]{verdict}[/]")
    if total == 0:
        return
    table = Table("problem", "where", "entries")
    for section, counts in result.items():
        if section in ("total", "unreadable_records"):
            continue
        by_name = counts if isinstance(counts, dict) else {"": counts}
        for name, count in by_name.items():
            if count:
                table.add_row(section.replace("_", " "), name, str(count))
    console.print(table)
