"""What users get wrong: the exception, a hint that helps, and no command for the server."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest

import popoto
from popoto import (
    AutoKeyField,
    Field,
    GeoField,
    IndexedField,
    KeyField,
    Model,
    ModelException,
    Q,
    QueryException,
    Relationship,
    SortedField,
    StringField,
    UniqueField,
    UniqueKeyField,
)
from tests.driver import Api, RoundTrips
from tests.queries.shop import Owner, Product, Reading, Shop

Counter = Callable[[], AbstractContextManager[RoundTrips]]

WRONG_FILTERS: list[tuple[dict[str, Any], list[str]]] = [
    # unknown names: the name, and the closest valid ones
    ({"colour": 1}, ["colour"]),
    ({"prise": 1}, ["prise", "price"]),
    ({"brnd__in": ["a"]}, ["brnd__in", "brand__in"]),
    # lookups that the field does not have: its type, what it has, what offers it
    ({"brand__gt": "a"}, ["brand__gt", "IndexedField", "brand__in", "SortedField"]),
    ({"kind__between": ("a", "b")}, ["kind__between", "KeyField", "SortedField"]),
    ({"note__in": ["x"]}, ["note__in", "StringField", "IndexedField"]),
    ({"note__startswith": "x"}, ["note__startswith", "IndexedField"]),
    ({"rank__gt": 1}, ["rank__gt", "IntField", "SortedField"]),
    ({"price__startswith": "1"}, ["price__startswith", "SortedField"]),
    ({"price__isnull": True}, ["price__isnull", "never null", "null=True"]),
    # operands
    ({"brand__isnull": "yes"}, ["True or False", "brand__isnull"]),
    ({"kind__isnull": 1}, ["True or False"]),
    ({"kind__isnull": None}, ["True or False"]),
    ({"brand__in": "abc"}, ["list", "brand__in"]),
    ({"kind__in": b"abc"}, ["list"]),
    ({"kind__in": 5}, ["list", "5"]),
    ({"kind__in": {"a": 1}}, ["list"]),
    ({"price__in": "12"}, ["list"]),
    ({"brand__startswith": 5}, ["str", "int"]),
    ({"kind__endswith": None}, ["str"]),
    ({"kind__contains": ["a"]}, ["str"]),
    ({"price__between": 5}, ["tuple or list", "2 elements"]),
    ({"price__between": (1,)}, ["tuple or list", "2 elements"]),
    ({"price__between": (1, 2, 3)}, ["tuple or list", "2 elements"]),
    ({"price__between": "ab"}, ["tuple or list", "2 elements"]),
    ({"price__between": (None, 2)}, ["float"]),
    ({"price": None}, ["price", "float"]),
    ({"price__gt": None}, ["price", "float"]),
    ({"price__gt": "cheap"}, ["price", "float", "cheap"]),
    ({"price__gt": float("nan")}, ["price"]),
    ({"made__gt": "new year"}, ["made", "date"]),
    ({"code": "x"}, ["code", "int"]),
    ({"rank": "three"}, ["rank", "int"]),
    ({"stock__gt": 1}, ["kind", "brand", "stock"]),
    ({"stock__gt": 1, "kind": "even"}, ["brand"]),
    # places
    ({"place": 5}, ["place", "Coordinates"]),
    ({"place": (1.0,)}, ["place"]),
    ({"place": (1.0, 2.0, 3.0)}, ["place"]),
    ({"place": ("x", "y")}, ["place"]),
    ({"place": (90.0, 0.0)}, ["place", "latitude"]),
    ({"place_radius": 5}, ["missing", "parameters"]),
    ({"place_latitude": 5}, ["missing", "parameters"]),
    ({"place": (1.0, 2.0), "place_radius": -1}, ["place_radius"]),
    ({"place": (1.0, 2.0), "place_radius": "far"}, ["place_radius"]),
    ({"place": (1.0, 2.0), "place_radius": float("nan")}, ["place_radius"]),
    ({"place": (1.0, 2.0), "place_radius_unit": "miles"}, ["m, km, ft, mi", "miles"]),
    ({"place_member": "x"}, ["Product"]),
    ({"place_member": Owner(name="o")}, ["Product"]),
    ({"place_member": Product(code=1, kind="x")}, ["no position"]),
    # references
    ({"shop": 5}, ["expects", "instance", "Shop"]),
    ({"shop": Owner(name="o")}, ["Shop"]),
    ({"shop": "nocolon"}, ["Shop"]),
    # modifiers
    ({"order_by": "colour"}, ["colour", "price"]),
    ({"order_by": 5}, ["order_by"]),
    ({"order_by": ["price", 5]}, ["order_by"]),
    ({"order_by": ("price", 5)}, ["Product: order_by takes field names, got 5"]),
    ({"order_by": ()}, ["Product: order_by takes a field name"]),
    (
        {"order_by": ("price", "-colour")},
        ["Product: order_by='-colour' names no field; fields are"],
    ),
    ({"order_by": "shop"}, ["shop"]),
    ({"values": ["code"]}, ["tuple", "values"]),
    ({"values": "code"}, ["tuple", "values"]),
    ({"values": ("colour",)}, ["colour", "price"]),
    ({"limit": -1}, ["Product: limit must be an int of 0 or more, got -1"]),
    ({"limit": 1.5}, ["limit"]),
    ({"limit": "3"}, ["limit"]),
    ({"limit": True}, ["limit"]),
]


@pytest.mark.traced(200)
@pytest.mark.parametrize(
    ("arguments", "hints"), WRONG_FILTERS, ids=lambda part: repr(part)[:60].replace(" ", "")
)
def test_wrong_filters(
    api: Api, round_trips: Counter, arguments: dict[str, Any], hints: list[str]
) -> None:
    with round_trips() as seen:
        with pytest.raises(QueryException) as caught:
            api(Product.query.filter(**arguments).all)
        with pytest.raises(QueryException):
            api(Product.query.filter(**arguments).first)
    assert seen.sends == 0
    for hint in hints:
        assert hint in str(caught.value)


@pytest.mark.traced(200)
@pytest.mark.parametrize(
    ("arguments", "hints"),
    [each for each in WRONG_FILTERS if not {"order_by", "values", "limit"} & set(each[0])],
    ids=lambda part: repr(part)[:60].replace(" ", ""),
)
def test_wrong_filters_of_count_get_and_q(
    api: Api, round_trips: Counter, arguments: dict[str, Any], hints: list[str]
) -> None:
    with round_trips() as seen:
        for call in (
            lambda: api(Product.query.count, **arguments),
            lambda: api(Product.query.get, **arguments),
            lambda: api(Product.query.filter(Q(**arguments)).all),
            lambda: api(Product.query.filter(~Q(**arguments) | Q(kind="a")).count),
            lambda: api(Product.query.filter(**arguments).exists),
        ):
            with pytest.raises(QueryException):
                call()
    assert seen.sends == 0


def test_the_three_closest_names_are_told(api: Api) -> None:
    with pytest.raises(QueryException) as caught:
        api(Product.query.filter(pric=1, zzzzz=2).all)
    told, _, known = str(caught.value).partition("; known are ")
    assert told == (
        "Product has no filter parameter 'pric' (close to price, price__ne, price__lt), 'zzzzz'"
    )
    assert {"price", "brand__in", "code", "stock__gt"} <= set(known.split(", "))


def test_every_unknown_name_is_listed(api: Api) -> None:
    with pytest.raises(QueryException, match=r"colour.*size|size.*colour"):
        api(Product.query.filter(colour=1, size=2).all)


def test_all_missing_partition_fields_are_named(api: Api) -> None:
    with pytest.raises(QueryException) as caught:
        api(Product.query.filter(stock__gt=1).all)
    assert "kind" in str(caught.value)
    assert "brand" in str(caught.value)


def test_query_exception_is_one_class() -> None:
    from popoto.models import query

    assert popoto.QueryException is popoto.exceptions.QueryException is query.QueryException


@pytest.mark.parametrize("junk", ["x", 5, True, None, {"kind": "a"}, [Q(kind="a")]])
def test_positional_junk(junk: Any) -> None:
    with pytest.raises(TypeError, match=r"expressions|&"):
        Product.query.filter(junk)


def test_conditions_given_to_all(api: Api, round_trips: Counter) -> None:
    with round_trips() as seen, pytest.raises((QueryException, TypeError), match=r"filter\(\)"):
        api(Product.query.all, kind="even")
    assert seen.sends == 0


@pytest.mark.parametrize("name", ["limit", "order_by", "values"])
def test_modifiers_inside_q(api: Api, name: str) -> None:
    with pytest.raises(QueryException, match=name):
        api(Product.query.filter(Q(**{name: 1})).all)


def test_operators_of_q_and_expressions() -> None:
    with pytest.raises(TypeError):
        Q(kind="a") & 5  # type: ignore[operator]
    with pytest.raises(TypeError):
        Q(kind="a") | "x"  # type: ignore[operator]
    with pytest.raises(TypeError):
        Q("x")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="&"):
        Product.price > 1 and Product.price < 5
    with pytest.raises(TypeError):
        (Product.price > 1) & 5
    with pytest.raises(QueryException, match="model"):
        KeyField() == "x"


def test_wrong_computed_sorts() -> None:
    for wrong in (None, 5, "price"):
        with pytest.raises(TypeError):
            Product.query.filter().computed_sort(wrong)  # type: ignore[arg-type]


def test_several_matches_of_get(api: Api) -> None:
    for number in range(2):
        api(Owner.create, name=str(number), city="x", age=number)
    with pytest.raises(QueryException, match=r"more than one.*filter") as caught:
        api(Owner.query.get, city="x")
    assert "city" in str(caught.value)


def test_get_with_keys_that_are_none_of_this_model(api: Api, round_trips: Counter) -> None:
    with round_trips() as seen:
        with pytest.raises(QueryException, match="Owner"):
            api(Owner.query.get, "Shop:x")
        with pytest.raises(QueryException, match="Owner"):
            api(Owner.query.get, redis_key=b"Shop:x")
        with pytest.raises(QueryException):
            api(Owner.query.get)
        with pytest.raises(QueryException):
            api(Owner.query.get_many, [None])
        with pytest.raises(QueryException):
            api(Owner.query.get, name="x", colour="y")
    assert seen.sends == 0


def test_wrong_kinds_of_keys(api: Api, redis_client: Any) -> None:
    redis_client.set("Owner:x", "text")
    redis_client.set("$IndexF:Owner:city:paris", "text")
    with pytest.raises(QueryException, match="Owner:x"):
        api(Owner.query.get, "Owner:x")
    with pytest.raises((QueryException, ModelException), match=r"\$IndexF:Owner:city:paris|WRONG"):
        api(Owner.query.filter(city="paris").all)
    with pytest.raises((QueryException, ModelException)):
        api(Owner.query.filter(city="paris").count)


# Values ------------------------------------------------------------------------------


def test_wrong_types() -> None:
    with pytest.raises(ModelException) as caught:
        Product(price="cheap")
    assert isinstance(caught.value, ValueError)
    for part in ("Product", "price", "float", "str", "cheap"):
        assert part in str(caught.value)


def test_too_long_text(api: Api) -> None:
    class Short(Model):
        name = KeyField()
        text = StringField(max_length=3)

    with pytest.raises(ModelException) as caught:
        Short(name="a", text="four")
    for part in ("text", "3", "4"):
        assert part in str(caught.value)


def test_missing_value(api: Api, round_trips: Counter) -> None:
    with round_trips() as seen, pytest.raises(ModelException, match="age"):
        api(Owner.create, name="x")
    assert seen.sends == 0


# Declarations ---------------------------------------------------------------------------


def declare(**fields: Any) -> Any:
    return type("Declared", (Model,), {"__module__": __name__, **fields})


@pytest.mark.parametrize(
    ("make", "hints"),
    [
        (lambda: KeyField(type=list), ["str"]),
        (lambda: KeyField(type=dict), ["str"]),
        (lambda: KeyField(type=bytes), ["str"]),
        (lambda: IndexedField(type=list), ["str"]),
        (lambda: UniqueField(type=dict), []),
        (lambda: SortedField(type=str), ["float"]),
        (lambda: SortedField(type=datetime.time), ["float"]),
        (lambda: SortedField(null=1), ["null", "True or False"]),
        (lambda: SortedField(null=None), ["null"]),
        (lambda: SortedField(partition_by=["a"]), ["tuple"]),
        (lambda: SortedField(partition_by="a", sort_by="a"), ["partition_by", "sort_by"]),
        (lambda: SortedField(max_length=5), ["max_length"]),
        (lambda: UniqueField(unique=False), ["unique"]),
        (lambda: UniqueField(null=True), ["null"]),
        (lambda: UniqueKeyField(unique=False), ["unique"]),
        (lambda: UniqueKeyField(null=True), ["null"]),
        (lambda: AutoKeyField(unique=False), ["unique"]),
        (lambda: AutoKeyField(null=True), ["null"]),
        (lambda: AutoKeyField(auto_uuid_length=0), ["auto_uuid_length"]),
        (lambda: AutoKeyField(auto_uuid_length=33), ["auto_uuid_length"]),
        (Relationship, ["model"]),
        (lambda: Relationship(model=5), ["model"]),
        (lambda: Relationship(model=Owner, many=True), ["not supported"]),
        (lambda: Field(type=object), ["str"]),
    ],
)
def test_wrong_fields(make: Callable[[], Any], hints: list[str]) -> None:
    with pytest.raises(ModelException) as caught:
        declare(name=KeyField(), wrong=make())
    for hint in hints:
        assert hint in str(caught.value)


def test_wrong_strategy() -> None:
    with pytest.raises(ValueError, match="Invalid strategy") as caught:
        AutoKeyField(strategy="random")
    for part in ("random", "uuid4", "ulid", "ksuid"):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    "name",
    ["limit", "order_by", "values", "Name", "a__b", "save", "delete", "query", "objects", "pk"],
)
def test_wrong_field_names(name: str) -> None:
    with pytest.raises(ModelException, match=name):
        declare(**{name: StringField()})


def test_a_class_where_a_field_was_meant() -> None:
    with pytest.raises(ModelException, match="k"):
        declare(k=KeyField)


def test_unknown_keywords_warn_and_name_the_nearest() -> None:
    with pytest.warns(UserWarning, match=r"max_lenght.*max_length"):
        StringField(max_lenght=5)
    with pytest.warns(UserWarning, match="units"):
        GeoField(type=GeoField.Coordinates, units="km")


def test_positional_arguments_of_fields() -> None:
    for kind in (StringField, KeyField, SortedField, IndexedField, GeoField):
        with pytest.raises(TypeError):
            kind(str)  # type: ignore[call-arg]


def test_unknown_partition() -> None:
    with pytest.raises(ModelException, match="nowhere"):
        declare(name=KeyField(), score=SortedField(partition_by="nowhere"))


def test_unknown_default_order() -> None:
    with pytest.raises(ModelException, match="does not exist"):
        declare(name=KeyField(), Meta=type("Meta", (), {"order_by": "nowhere"}))


def test_range_lookups_of_a_sorted_key_field_work(api: Api) -> None:
    for moment in (1.0, 2.0, 12.0):
        api(Reading.create, sensor="s", moment=moment, value=0.0)
    moments = [each.moment for each in api(Reading.query.filter(moment__in=[1, 12]).all)]
    assert moments == [1.0, 12.0]
    found = api(Reading.query.filter(moment__startswith="1").all)
    assert {each.moment for each in found} == {1.0, 12.0}
    assert api(Reading.query.count, moment__endswith="2.0") == 2
    assert api(Reading.query.count, moment__contains="2") == 2
    assert api(Reading.query.count, moment__gt=1, sensor="s") == 2
    with pytest.raises(QueryException):
        api(Shop.query.filter(owner__age__startswith="1").all)
