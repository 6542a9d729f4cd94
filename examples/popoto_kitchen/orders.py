"""Placing and delivering orders, and the feed that tells of them."""

from __future__ import annotations

from typing import Any

from popoto import Subscriber, transaction

from .models import (
    KitchenCustomer,
    KitchenDriver,
    KitchenMenuItem,
    KitchenOrder,
    KitchenRestaurant,
)


class SoldOut(Exception):
    """No portion of the dish is left."""


class OrderFeed(Subscriber):
    """Hears what becomes of orders."""

    sub_channel_names = ["KitchenOrder"]

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def handle(self, channel: str, data: Any, *args: Any, **kwargs: Any) -> None:
        self.lines.append(f"{data['customer']}: {data['item']} is {data['state']}")

    def catch_up(self, number: int) -> list[str]:
        """The lines so far, as soon as there are this many."""
        while len(self.lines) < number:
            self()
        return self.lines


def place_order(customer: KitchenCustomer, item: KitchenMenuItem) -> KitchenOrder:
    """Take a portion and write the order: both, or none of it. Raises SoldOut."""
    if item.refresh().portions == 0:
        raise SoldOut(item.name)
    with transaction() as changes:
        # Nobody else has taken the last portion in between, or this raises ConflictError.
        item.portions -= 1
        changes.save(item, expected=["portions"])
        order = changes.create(KitchenOrder, customer=customer, item=item, total=item.price)
    customer.last_orders.push(item.name)
    tell(order, customer, item)
    return order


def nearest_driver(restaurant: KitchenRestaurant) -> KitchenDriver:
    """The driver on duty who has the shortest way. Raises LookupError."""
    near = KitchenDriver.query.filter(
        place=restaurant.place,
        place_radius=10,
        place_radius_unit="km",
        place_with_distances=True,
    ).first()
    if near is None:
        raise LookupError(f"nobody is on duty near {restaurant.name}")
    return near


def dispatch(order: KitchenOrder, driver: KitchenDriver) -> None:
    """Send a driver."""
    order.driver = driver
    order.state = "on its way"
    order.save()
    tell(order, order.customer, order.item)


def tell(order: KitchenOrder, customer: Any, item: Any) -> None:
    """Publish the state of an order."""
    order.publish({"customer": customer.name, "item": item.name, "state": order.state})
