"""What the kitchen stores. The names begin with Kitchen, so that no model of yours is touched."""

from __future__ import annotations

from decimal import Decimal

from popoto import (
    AutoKeyField,
    DatetimeField,
    DecimalField,
    GeoField,
    IndexedField,
    IntField,
    KeyField,
    ListField,
    Model,
    Publisher,
    Relationship,
    SortedField,
    StringField,
    UniqueField,
)


class KitchenRestaurant(Model):
    """Found by cuisine, by rating and by place."""

    name = KeyField()
    cuisine = IndexedField(null=False)
    rating = SortedField(type=float)
    place = GeoField(null=False)


class KitchenMenuItem(Model):
    """A dish of one restaurant; the price is exact and can be asked for in ranges."""

    restaurant = Relationship(KitchenRestaurant, null=False)
    name = StringField(null=False)
    price = SortedField(type=Decimal)
    portions = IntField(default=0)

    class Meta:
        order_by = "price"
        indexes = ((("restaurant", "name"), True),)


class KitchenCustomer(Model):
    """An e-mail address belongs to one customer; the last orders are at hand."""

    name = KeyField()
    email = UniqueField(type=str)
    home = GeoField()
    last_orders = ListField(max_length=3)


class KitchenDriver(Model):
    """On duty as long as the record is renewed: it expires 30 seconds after its last save."""

    name = KeyField()
    place = GeoField(null=False)

    class Meta:
        ttl = 30


class KitchenOrder(Model, Publisher):
    """An order, which tells its followers what becomes of it."""

    number = AutoKeyField()
    customer = Relationship(KitchenCustomer, null=False)
    item = Relationship(KitchenMenuItem, null=False)
    driver = Relationship(KitchenDriver)
    state = IndexedField(default="placed")
    total = DecimalField(null=False)
    placed_at = DatetimeField(auto_now_add=True)


MODELS: tuple[type[Model], ...] = (
    KitchenOrder,
    KitchenMenuItem,
    KitchenDriver,
    KitchenCustomer,
    KitchenRestaurant,
)


def close_kitchen() -> int:
    """Remove everything that the kitchen has stored; returns how many records that were."""
    return sum(model.delete_all() for model in MODELS)
