"""Restaurants, dishes and people of Berlin, to begin with."""

from __future__ import annotations

from .models import KitchenCustomer, KitchenDriver, KitchenMenuItem, KitchenRestaurant

RESTAURANTS = [
    # Name, cuisine and rating; latitude and longitude; dishes with their prices.
    (
        "Golden Potato",
        "german",
        4.6,
        (52.5206, 13.4094),
        [("Potato soup", "6.50"), ("Dumplings", "11.90")],
    ),
    (
        "Curry Corner",
        "indian",
        4.8,
        (52.5122, 13.4216),
        [("Dal", "8.90"), ("Biryani", "12.50")],
    ),
    (
        "Trattoria Uno",
        "italian",
        4.2,
        (52.5321, 13.4017),
        [("Gnocchi", "10.40"), ("Tiramisu", "5.20")],
    ),
    (
        "Seoul Kitchen",
        "korean",
        4.7,
        (52.4987, 13.3912),
        [("Bibimbap", "11.50"), ("Kimchi", "4.00")],
    ),
    (
        "Lakeside",
        "german",
        3.9,
        (52.4216, 13.1773),
        [("Pike-perch", "19.80")],
    ),
]
DRIVERS = [("Dora", (52.5219, 13.4132)), ("Emil", (52.4890, 13.3800))]
CUSTOMERS = [
    ("Ann", "ann@example.org", (52.5163, 13.4060)),
    ("Ben", "ben@example.org", (52.4300, 13.2000)),
]


def open_kitchen() -> None:
    """Store the sample data: each model in one round trip."""
    restaurants = KitchenRestaurant.bulk_create(
        KitchenRestaurant(name=name, cuisine=cuisine, rating=rating, place=place)
        for name, cuisine, rating, place, _ in RESTAURANTS
    )
    KitchenMenuItem.bulk_create(
        KitchenMenuItem(restaurant=restaurant, name=name, price=price, portions=10)
        for restaurant, (*_, dishes) in zip(restaurants, RESTAURANTS, strict=True)
        for name, price in dishes
    )
    KitchenDriver.bulk_create(KitchenDriver(name=name, place=place) for name, place in DRIVERS)
    KitchenCustomer.bulk_create(
        KitchenCustomer(name=name, email=email, home=home) for name, email, home in CUSTOMERS
    )
