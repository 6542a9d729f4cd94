"""One evening in the kitchen, scene by scene."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from popoto import ModelException, Q

from .models import (
    KitchenCustomer,
    KitchenDriver,
    KitchenMenuItem,
    KitchenOrder,
    KitchenRestaurant,
)
from .orders import OrderFeed, dispatch, nearest_driver, place_order
from .pantry import open_kitchen


def show_tour(console: Console) -> None:
    """Show everything once."""
    open_kitchen()
    look_around(console)
    read_menus(console)
    order_dinner(console)
    close_the_day(console)


def scene(console: Console, title: str) -> None:
    console.print(f"\n[bold]{title}[/bold]")


def line(console: Console, what: str, answer: Any) -> None:
    console.print(f"  [cyan]{what}[/cyan]  {answer}", highlight=False)


def look_around(console: Console) -> None:
    """Geo search and ranges."""
    scene(console, "Who cooks near Ann?")
    ann = KitchenCustomer.query.get(name="Ann")
    near = KitchenRestaurant.query.filter(
        place=ann.home,
        place_radius=2,
        place_radius_unit="km",
        place_with_distances=True,
    )
    for restaurant in near:
        line(
            console,
            f"{restaurant._geo_distance:.2f} km",
            f"{restaurant.name} ({restaurant.rating})",
        )
    best = KitchenRestaurant.query.filter(
        KitchenRestaurant.rating >= 4.5, Q(cuisine="indian") | Q(cuisine="korean")
    ).order_by("-rating")
    line(console, "Indian or Korean, 4.5 or better:", ", ".join(each.name for each in best))


def read_menus(console: Console) -> None:
    """Relationships and exact prices."""
    scene(console, "What is there for 5 to 11 euros?")
    items = KitchenMenuItem.query.filter(price__gte=5, price__lte=11)
    for item in items.select_related("restaurant"):
        line(console, f"{item.price:>6} €", f"{item.name} at {item.restaurant.name}")
    german = KitchenMenuItem.query.filter(restaurant__cuisine="german").count()
    line(console, "Dishes of German restaurants:", german)
    cheapest = KitchenMenuItem.query.min(KitchenMenuItem.price)
    line(console, "The cheapest dish costs", f"{cheapest} €")


def order_dinner(console: Console) -> None:
    """A transaction, a feed, and drivers who are on duty for 30 seconds."""
    scene(console, "Ann orders")
    ann = KitchenCustomer.query.get(name="Ann")
    dal = KitchenMenuItem.query.get(name="Dal")
    with OrderFeed() as feed:
        order = place_order(ann, dal)
        driver = nearest_driver(dal.restaurant)
        dispatch(order, driver)
        for told in feed.catch_up(2):
            line(console, "feed:", told)
    line(console, "portions left:", dal.refresh().portions)
    line(console, "Ann's last orders:", list(ann.last_orders))
    driver._ttl = 0
    driver.save()
    names = ", ".join(each.name for each in KitchenDriver.query.all())
    line(console, f"{driver.name}'s record has expired; on duty:", names)
    try:
        KitchenCustomer.create(name="Annie", email=ann.email)
    except ModelException as error:
        line(console, "A second Ann is refused:", str(error).partition(":")[0])


def close_the_day(console: Console) -> None:
    """Bulk work and totals."""
    scene(console, "The day's books")
    ben = KitchenCustomer.query.get(name="Ben")
    items = KitchenMenuItem.query.all()
    KitchenOrder.bulk_create(
        KitchenOrder(customer=ben, item=item, total=item.price, state="delivered") for item in items
    )
    delivered = KitchenOrder.query.filter(state="delivered")
    line(console, "orders by state:", KitchenOrder.query.group_count(KitchenOrder.state))
    line(console, "delivered:", f"{delivered.sum(KitchenOrder.total)} €")
    line(console, "orders of Ben:", KitchenOrder.query.count(customer=ben))
    line(console, "paid:", f"{delivered.update(state='paid')} orders at once")
