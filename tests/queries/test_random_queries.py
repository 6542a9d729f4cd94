"""Random records and random queries give what plain Python gives over the same records."""

from __future__ import annotations

import datetime
import operator
from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import redis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from popoto import (
    DatetimeField,
    GeoField,
    IndexedField,
    IntField,
    KeyField,
    Model,
    Q,
    Relationship,
    SortedField,
    StringField,
    TimeField,
)
from tests.driver import Api


class Specimen(Model):
    number = KeyField(type=int)
    kind = KeyField(type=str)
    tag = IndexedField(type=str)
    flag = IndexedField(type=bool)
    amount = IndexedField(type=Decimal)
    price = SortedField(type=float)
    rank = SortedField(type=int, partition_by="tag", null=True)
    day = SortedField(type=datetime.date)
    exact = SortedField(type=Decimal)
    age = SortedField(type=int, null=True)
    moment = DatetimeField()
    clock = TimeField()
    note = StringField()
    level = IntField()
    place = GeoField()
    parent = Relationship("self")


TEXTS = [
    *("", "a", "A", "ab", "b", "None", "a:b", "a{&#58;}b", "a*b", "a-b", "a/b", "a//b", "a?b"),
    *("[ab]", "^a", "it's", "a b", "a\nb", "\x00", "é", "日本", "\\", "{}", ":", "a:"),
]
DAYS = [
    datetime.date(1, 1, 1),
    datetime.date(1969, 12, 31),
    datetime.date(1970, 1, 1),
    datetime.date(2026, 2, 28),
    datetime.date(9999, 12, 31),
]
MOMENTS = [
    datetime.datetime(1969, 12, 31, 23, 59, 59, 999999),
    datetime.datetime(1970, 1, 1),
    datetime.datetime(2026, 11, 21, 12, 0, 0, 1),
    datetime.datetime(2026, 11, 21, 12, 0, 0, 2),
]
FLOATS = [-float("inf"), -1.5, -0.0, 0.0, 0.1, 0.30000000000000004, 2.0, 1e300, float("inf")]
INTS = [-(2**53) - 1, -1, 0, 1, 2, 2**53, 2**53 + 1, 2**63 - 1]
DECIMALS = [
    Decimal(text)
    for text in ("-1", "0", "0.1", "0.10", "0.1000000000000000000001", "1E+3", "1000", "2.5")
]
PLACES = [(0.0, 0.0), (0.0, 1.0), (10.0, 10.0), (10.0, 10.5), (-80.0, 179.0)]
CLOCKS = [datetime.time(0, 0), datetime.time(12, 30, 0, 5), datetime.time(23, 59, 59)]

Record = dict[str, Any]

#: Keys that references name; records of these keys need not exist.
KEYS = [f"Specimen:x:{number}" for number in range(10)]

#: The values that fields are filled from. Each example uses a few of each, so that
#: conditions meet records and records share values.
POOLS: dict[str, list[Any]] = {
    "number": list(range(12)),
    "kind": [None, *TEXTS],
    "tag": [None, *TEXTS],
    "flag": [None, True, False],
    "amount": [None, *DECIMALS],
    "price": FLOATS,
    "rank": [None, *INTS],
    "day": DAYS,
    "exact": DECIMALS,
    "age": [None, *INTS],
    "moment": [None, *MOMENTS],
    "clock": [None, *CLOCKS],
    "note": [None, *TEXTS],
    "level": [None, *INTS],
    "place": [None, *PLACES],
    "parent": [None, *range(10)],
}
SORTED = ["price", "day", "exact", "age"]
Pools = dict[str, list[Any]]


def record_values(pools: Pools) -> st.SearchStrategy[Record]:
    return st.fixed_dictionaries(
        {name: st.sampled_from(pools[name]) for name in POOLS if name != "number"}
    )


Test = Callable[[Record], bool]


@dataclass
class Case:
    """A condition, and what it means."""

    q: Q
    test: Test
    sorted_fields: tuple[str, ...] = ()
    is_flat: bool = True
    is_near: bool = False
    opposite: Case | None = None


def equal(stored: Any, wanted: Any) -> bool:
    if stored is None or wanted is None:
        return stored is None and wanted is None
    return bool(stored == wanted)


TEXT_TESTS: dict[str, Callable[[str, str], bool]] = {
    "startswith": str.startswith,
    "endswith": str.endswith,
    "contains": str.__contains__,
}
RANGES: dict[str, Callable[[Any, Any], bool]] = {
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
}


def value_case(name: str, wanted: Any) -> Case:
    return Case(Q(**{name: wanted}), lambda record: equal(record[name], wanted))


def sorted_value_case(name: str, wanted: Any) -> Case:
    orders = () if wanted is None else (name,)
    return Case(Q(**{name: wanted}), lambda record: equal(record[name], wanted), orders)


def not_equal_case(name: str, wanted: Any) -> Case:
    return Case(
        Q(**{f"{name}__ne": wanted}),
        lambda record: not equal(record[name], wanted),
        (name,) if name in SORTED else (),
    )


def in_case(name: str, wanted: list[Any]) -> Case:
    return Case(
        Q(**{f"{name}__in": wanted}),
        lambda record: any(equal(record[name], each) for each in wanted),
        (name,) if name in SORTED else (),
    )


def null_case(name: str, wanted: bool) -> Case:
    return Case(
        Q(**{f"{name}__isnull": wanted}),
        lambda record: (record[name] is None) is wanted,
        (name,) if name in SORTED and not wanted else (),
    )


def text_case(name: str, lookup: str, wanted: str) -> Case:
    return Case(
        Q(**{f"{name}__{lookup}": wanted}),
        lambda record: record[name] is not None and TEXT_TESTS[lookup](record[name], wanted),
    )


def range_case(name: str, lookup: str, wanted: Any) -> Case:
    return Case(
        Q(**{f"{name}__{lookup}": wanted}),
        lambda record: record[name] is not None and RANGES[lookup](record[name], wanted),
        (name,),
    )


def between_case(name: str, low: Any, high: Any) -> Case:
    return Case(
        Q(**{f"{name}__between": (low, high)}),
        lambda record: record[name] is not None and low <= record[name] <= high,
        (name,),
    )


def partition_case(lookup: str, wanted: int | None, tags: list[str | None]) -> Case:
    """Of None is asked by "isnull", whatever the lookup."""
    parameter = f"rank__{lookup}" if lookup else "rank"
    conditions: dict[str, Any] = {parameter: wanted}
    if wanted is None and lookup:
        conditions = {"rank__isnull": lookup in ("lt", "lte")}
    is_null = wanted is None and lookup in ("", "lt", "lte")

    def test(record: Record) -> bool:
        rank = record["rank"]
        if wanted is None or rank is None:
            return wanted is None and (rank is None) is is_null
        return RANGES.get(lookup, operator.eq)(rank, wanted)

    where = {"tag": tags[0]} if len(tags) == 1 else {"tag__in": tags}
    return Case(
        Q(**conditions, **where),
        lambda record: test(record) and any(equal(record["tag"], tag) for tag in tags),
        () if is_null else ("rank",),
    )


def reference_case(wanted: list[int | None]) -> Case:
    keys = [None if number is None else KEYS[number] for number in wanted]
    return Case(
        Q(parent__in=keys), lambda record: any(equal(record["parent"], key) for key in keys)
    )


def place_case(centre: tuple[float, float] | None) -> Case:
    """Places of the pool are far apart, so a radius of 1 km finds equal ones only."""
    if centre is None:
        return Case(Q(place__isnull=True), lambda record: record["place"] is None)
    return Case(
        Q(place=centre, place_radius=1, place_radius_unit="km"),
        lambda record: record["place"] == centre,
        is_near=True,
    )


def leaves(pools: Pools) -> st.SearchStrategy[Case]:
    def one(names: list[str], build: Callable[[str, Any], Case]) -> st.SearchStrategy[Case]:
        return st.sampled_from(names).flatmap(
            lambda name: st.sampled_from(pools[name]).map(lambda value: build(name, value))
        )

    def several(names: list[str], build: Callable[[str, Any], Case]) -> st.SearchStrategy[Case]:
        return st.sampled_from(names).flatmap(
            lambda name: st.lists(st.sampled_from(pools[name]), max_size=3).map(
                lambda found: build(name, found)
            )
        )

    def values_of(name: str) -> st.SearchStrategy[Any]:
        return st.sampled_from([value for value in pools[name] if value is not None])

    plain = ["number", "kind", "tag", "flag", "amount", "moment", "clock", "note", "level"]
    texts = st.sampled_from([*TEXTS, "a", "b", ""])
    return st.one_of(
        one(plain, value_case),
        one(SORTED, sorted_value_case),
        one(["number", "kind", "tag", "flag", "amount", "note", "level", "age"], not_equal_case),
        several(["kind", "tag", "flag", "amount", *SORTED], in_case),
        st.builds(
            null_case, st.sampled_from(["kind", "tag", "flag", "amount", "age"]), st.booleans()
        ),
        st.builds(
            text_case, st.sampled_from(["kind", "tag"]), st.sampled_from(list(TEXT_TESTS)), texts
        ),
        st.sampled_from(list(RANGES)).flatmap(
            lambda lookup: st.sampled_from(SORTED).flatmap(
                lambda name: values_of(name).map(lambda value: range_case(name, lookup, value))
            )
        ),
        st.sampled_from(SORTED).flatmap(
            lambda name: st.builds(
                between_case,
                st.just(name),
                values_of(name),
                values_of(name),
            )
        ),
        st.builds(
            partition_case,
            st.sampled_from(["", *RANGES]),
            st.sampled_from(pools["rank"]),
            st.lists(st.sampled_from(pools["tag"]), min_size=1, max_size=3, unique=True),
        ),
        st.builds(reference_case, st.lists(st.sampled_from(pools["parent"]), max_size=2)),
        st.sampled_from(pools["place"]).map(place_case),
    )


def negated(case: Case) -> Case:
    if case.opposite is not None:
        return replace(case.opposite, q=~case.q)
    return Case(~case.q, lambda record: not case.test(record), (), is_flat=False, opposite=case)


def joined(left: Case, right: Case) -> Case:
    fields = (left.sorted_fields if left.is_flat else ()) + (
        right.sorted_fields if right.is_flat else ()
    )
    return Case(
        left.q & right.q,
        lambda record: left.test(record) and right.test(record),
        fields,
        is_near=any(case.is_near and case.is_flat for case in (left, right)),
    )


def either(left: Case, right: Case) -> Case:
    return Case(
        left.q | right.q,
        lambda record: left.test(record) or right.test(record),
        (),
        is_flat=False,
    )


def cases(pools: Pools) -> st.SearchStrategy[Case]:
    return st.recursive(
        leaves(pools),
        lambda inner: st.one_of(
            inner.map(negated), st.builds(joined, inner, inner), st.builds(either, inner, inner)
        ),
        max_leaves=5,
    )


#: What a query is asked of, and the conditions.
worlds: st.SearchStrategy[tuple[list[Record], list[Case]]] = st.fixed_dictionaries(
    {
        name: st.lists(st.sampled_from(pool), min_size=2, max_size=4, unique_by=repr)
        for name, pool in POOLS.items()
    }
).flatmap(
    lambda pools: st.tuples(
        st.lists(record_values(pools), max_size=10), st.lists(cases(pools), max_size=3)
    )
)


def is_null(value: Any) -> bool:
    return value is None


def in_order(
    records: list[Record], name: str, *, descending: bool, nulls: str | None = None
) -> list[Record]:
    by_key = sorted(records, key=lambda record: record["key"].encode())
    null = [record for record in by_key if is_null(record[name])]
    others = [record for record in by_key if not is_null(record[name])]
    others.sort(key=lambda record: record[name], reverse=descending)
    nulls_last = descending or name in ("age", "rank") if nulls is None else nulls == "last"
    return others + null if nulls_last else null + others


ORDERS = [
    "price",
    "day",
    "exact",
    "age",
    "rank",
    "moment",
    "clock",
    "note",
    "level",
    "number",
    "tag",
]
orders = st.none() | st.sampled_from([*ORDERS, *("-" + name for name in ORDERS)])


#: Shrinking would take longer than a test may: the condition that failed tells enough.
unshrunk = settings(
    deadline=None,
    phases=(Phase.reuse, Phase.generate),
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)


@settings(unshrunk, max_examples=110)
@given(
    world=worlds,
    order=orders,
    nulls=st.sampled_from([None, None, "first", "last"]),
    limit=st.none() | st.integers(0, 6),
    offset=st.integers(0, 3),
)
def test_queries_answer_as_python_does(
    api: Api,
    redis_client: redis.Redis,
    world: tuple[list[Record], list[Case]],
    order: str | None,
    nulls: str | None,
    limit: int | None,
    offset: int,
) -> None:
    redis_client.flushdb()
    compare_with_python(api, Specimen, world, order, nulls, limit, offset)


def compare_with_python(
    api: Api,
    model: type[Specimen],
    world: tuple[list[Record], list[Case]],
    order: str | None,
    nulls: str | None,
    limit: int | None,
    offset: int,
) -> None:
    rows, found = world
    records: list[Record] = []
    for number, row in enumerate(rows):
        record = {**row, "number": number}
        record["parent"] = None if row["parent"] is None else KEYS[row["parent"]]
        instance = model.create(**record)
        record["key"] = instance.db_key.redis_key
        records.append(record)

    matching = [record for record in records if all(case.test(record) for case in found)]
    flat = [name for case in found if case.is_flat for name in case.sorted_fields]
    if order is not None:
        name, descending = order.removeprefix("-"), order.startswith("-")
        expected = in_order(matching, name, descending=descending, nulls=nulls)
    elif flat:
        expected = in_order(matching, flat[0], descending=False)
    else:
        expected = sorted(matching, key=lambda record: record["key"].encode())
    end = None if limit is None else offset + limit

    if order is None and not flat and any(case.is_near and case.is_flat for case in found):
        # Nearest first, and these are all equally near: any order will do, so ask for one.
        order, nulls = "number", None
        expected = in_order(matching, order, descending=False)

    query = model.query.filter(*(case.q for case in found))
    assert api(query.count) == len(matching)
    assert api(query.exists) is bool(matching)
    if order is not None:
        query = query.order_by(order, nulls=nulls)
    whole = [record["number"] for record in expected]
    assert [each.number for each in api(query.all)] == whole
    cut = query.limit(limit).offset(offset)
    assert [each.number for each in api(cut.all)] == whole[offset:end]
    assert [key.decode() for key in api(cut.keys)] == [
        record["key"] for record in expected[offset:end]
    ]
    first, last = api(query.first), api(query.last)
    assert (first and first.number, last and last.number) == (
        (whole[0], whole[-1]) if whole else (None, None)
    )
    names = ("number", "kind", "tag", "note", "amount", "moment", "parent", "price")
    assert api(cut.values(*names).all) == [
        {name: record[name] for name in names} for record in expected[offset:end]
    ]
    assert [tuple(row.values()) for row in api(cut.values("kind", "number").all)] == [
        (record["kind"], record["number"]) for record in expected[offset:end]
    ]
