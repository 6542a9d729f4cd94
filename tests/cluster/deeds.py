"""What is done to records of either side of `twins`: each deed draws what it needs by itself."""

from __future__ import annotations

import datetime
import random
from collections.abc import Callable
from decimal import Decimal
from typing import Any, TypeAlias

from popoto import F, Q, get_async_redis_db, transaction
from popoto.redis_db import POPOTO_REDIS_DB

from .twins import AGENTS, NUMBERS, Side

Deed: TypeAlias = Callable[[Side, random.Random], Any]
DEEDS: dict[str, Deed] = {}

TOPICS = (None, "red", "b:lue", "green")
UTC = datetime.UTC


def deed(function: Deed) -> Deed:
    DEEDS[function.__name__] = function
    return function


# Records ---------------------------------------------------------------------------------------


def agent(r: random.Random) -> str:
    return r.choice(AGENTS)


def note_key(side: Side, r: random.Random, whose: str | None = None) -> str:
    values = {"agent": whose or agent(r), "number": r.choice(NUMBERS)}
    return str(side.models.note._meta.record_key(values))


def person_key(side: Side, r: random.Random) -> str:
    values = {"town": r.choice(("rome", "oslo")), "name": r.choice("xy")}
    return str(side.models.person._meta.record_key(values))


def changes(side: Side, r: random.Random) -> dict[str, Any]:
    """Values of some fields of a note."""
    drawn: dict[str, Callable[[], Any]] = {
        "topic": lambda: r.choice(TOPICS),
        "flag": lambda: r.choice((None, True, False)),
        "rank": lambda: r.choice((None, 1, 2, 7, 2**53 + 1)),
        "weight": lambda: r.choice((0.0, 1.5, -2.0)),
        "own": lambda: r.randint(0, 3),
        "place": lambda: r.choice((None, (10.0, 10.0), (10.0, 10.01), (-40.0, 170.0))),
        "code": lambda: r.choice((None, None, "u", "v", "w:x")),
        "body": lambda: r.choice((None, "", "text", "other: text")),
        "hits": lambda: r.randint(0, 3),
        "price": lambda: r.choice((None, Decimal("1.50"), Decimal("-3"))),
        "at": lambda: r.choice((None, datetime.datetime(2024, 1, 1, tzinfo=UTC))),
        "done": lambda: r.choice((True, False)),
        "tags": lambda: r.choice(([], ["a"], ["a", "b", "c", "d"])),
        "bag": lambda: r.choice((None, {1, 2}, {"x"})),
        "data": lambda: r.choice((None, {"a": [1]}, {})),
        "author": lambda: r.choice((None, person_key(side, r))),
        "reply_to": lambda: r.choice((None, note_key(side, r))),
        "rests_on": lambda: r.choice((None, None, None, note_key(side, r))),
    }
    names = r.sample(sorted(drawn), r.randint(1, 8))
    return {name: drawn[name]() for name in names}


def new_note(side: Side, r: random.Random, whose: str | None = None) -> Any:
    return side.models.note(
        agent=whose or agent(r), number=r.choice(NUMBERS), **changes(side, r)
    )


def stored_note(side: Side, r: random.Random, whose: str | None = None) -> Any:
    return side.api(side.models.note.query.get, redis_key=note_key(side, r, whose))


@deed
def create_person(side: Side, r: random.Random) -> Any:
    values = {"town": r.choice(("rome", "oslo")), "name": r.choice("xy"), "age": r.randint(1, 9)}
    return side.api(side.models.person.update_or_create, **values)


@deed
def create(side: Side, r: random.Random) -> Any:
    values = {"agent": agent(r), "number": r.choice(NUMBERS), **changes(side, r)}
    return side.api(side.models.note.create, overwrite=r.random() < 0.5, **values)


@deed
def save(side: Side, r: random.Random) -> Any:
    record = stored_note(side, r)
    new = changes(side, r)
    if record is None:
        return None
    for name, value in new.items():
        setattr(record, name, value)
    options = r.choice(({}, {"update_fields": list(new)}, {"ttl": 5000}))
    return side.api(record.save, **options), record


@deed
def save_expected(side: Side, r: random.Random) -> Any:
    record, one, other = stored_note(side, r), r.randint(0, 3), r.randint(0, 3)
    if record is None:
        return None
    record.hits = one
    return side.api(record.save, expected={"hits": other}), record


@deed
def save_new(side: Side, r: random.Random) -> Any:
    record = new_note(side, r)
    return side.api(record.save), record


@deed
def save_deleted(side: Side, r: random.Random) -> Any:
    """An instance whose record was deleted meanwhile."""
    record, recreate = stored_note(side, r), r.random() < 0.5
    if record is None:
        return None
    told = side.api(side.models.note.query.filter(pk=record.pk).delete)
    record.hits = 9
    return told, side.api(record.save, recreate=recreate)


@deed
def move(side: Side, r: random.Random) -> Any:
    """To another key of the same shard."""
    record = stored_note(side, r)
    number, new = r.choice(NUMBERS), changes(side, r)
    if record is None:
        return None
    for name, value in {**new, "number": number}.items():
        setattr(record, name, value)
    return side.api(record.save, migrate_key=r.random() < 0.8), record.obsolete_redis_key


@deed
def delete(side: Side, r: random.Random) -> Any:
    record = stored_note(side, r)
    return record and side.api(record.delete)


@deed
def bulk_create(side: Side, r: random.Random) -> Any:
    rows = [new_note(side, r) for _ in range(r.randint(0, 6))]
    refused: list[Any] = []
    options: dict[str, Any] = {"batch_size": r.choice((1, 2, 1000)), "keep": r.random() < 0.8}
    if r.random() < 0.5:
        options["on_error"] = refused.append
    found = side.api(side.models.note.bulk_create, rows, **options)
    return found, sorted(str((each.position, type(each.error).__name__)) for each in refused)


@deed
def bulk_update(side: Side, r: random.Random) -> Any:
    query = condition(side, r)
    new = {name: value for name, value in changes(side, r).items() if name != "code"}
    return side.api(side.models.note.bulk_update, query, batch_size=r.choice((1, 1000)), **new)


@deed
def bulk_delete(side: Side, r: random.Random) -> Any:
    keys = [note_key(side, r) for _ in range(r.randint(0, 4))]
    found = side.api(side.models.note.query.get_many, keys, skip_none=True)
    return side.api(side.models.note.bulk_delete, found)


@deed
def raw_update(side: Side, r: random.Random) -> Any:
    keys = [note_key(side, r) for _ in range(r.randint(0, 4))]
    return side.api(side.models.note.raw_update, keys, **r.choice(({"hits": 5}, {"body": "raw"})))


@deed
def get_or_create(side: Side, r: random.Random) -> Any:
    whole = {"agent": agent(r), "number": r.choice(NUMBERS)}
    more = r.choice(({}, {"topic": r.choice(TOPICS[1:])}))
    return side.api(side.models.note.get_or_create, **whole, **more, defaults=changes(side, r))


@deed
def get_or_create_by_another_field(side: Side, r: random.Random) -> Any:
    defaults = {**changes(side, r), "number": r.choice(NUMBERS)}
    asked = {"agent": agent(r), "code": r.choice("uvw")}
    defaults.pop("code", None)
    return side.api(side.models.note.get_or_create, **asked, defaults=defaults)


@deed
def update_or_create(side: Side, r: random.Random) -> Any:
    whole = {"agent": agent(r), "number": r.choice(NUMBERS)}
    return side.api(side.models.note.update_or_create, **whole, defaults=changes(side, r))


@deed
def increment(side: Side, r: random.Random) -> Any:
    record = stored_note(side, r)
    name, delta = r.choice(("hits", "rank", "weight", "own", "price", "body")), r.choice((1, -2))
    return record and (side.api(record.atomic_increment, name, delta), record)


@deed
def push(side: Side, r: random.Random) -> Any:
    record, what = stored_note(side, r), r.choice("pq")
    return record and (side.api(record.tags.push, what), side.api(record.refresh))


@deed
def refresh(side: Side, r: random.Random) -> Any:
    record = stored_note(side, r)
    return record and side.api(record.refresh, r.choice((None, ["body", "tags"])))


@deed
def update(side: Side, r: random.Random) -> Any:
    new = r.choice(({"hits": F("hits") + 1}, {"rank": 3, "topic": "red"}, {"body": "x"}))
    return side.api(condition(side, r).update, **new)


@deed
def delete_found(side: Side, r: random.Random) -> Any:
    return side.api(window(condition(side, r), r).delete, batch_size=r.choice((1, 1000)))


@deed
def transaction_of_one_agent(side: Side, r: random.Random) -> Any:
    whose = agent(r)
    together, note = transaction(), side.models.note
    for _ in range(r.randint(1, 4)):
        # A deletion leaves the shard where others refer to the record.
        kind = r.choice(("create", "save", "increment", "expect"))
        new, record = new_note(side, r, whose), stored_note(side, r, whose)
        if kind == "create":
            values = {"agent": whose, "number": r.choice(NUMBERS), **changes(side, r)}
            together.create(note, **values)
        elif kind == "save" or record is None:
            together.save(new if record is None else record)
        elif kind == "increment":
            together.increment(record, "hits", 1)
        else:
            together.expect(record)
    return side.api(together.commit)


@deed
def pipeline(side: Side, r: random.Random) -> Any:
    records = [stored_note(side, r) or new_note(side, r) for _ in range(r.randint(1, 4))]
    whole = r.random() < 0.5
    if len({each.agent for each in records}) > 1:
        # Of several nodes no server makes one transaction.
        whole = False
    if side.api.is_async:
        waiting: Any = side.api.run(_pipeline(whole))
    else:
        waiting = POPOTO_REDIS_DB.pipeline(transaction=whole)
    for each in records:
        if r.random() < 0.3:
            side.api(each.delete, pipeline=waiting)
        else:
            each.hits = r.randint(10, 20)
            side.api(each.save, pipeline=waiting)
    told = waiting.execute(raise_on_error=False)
    told = side.api.run(told) if side.api.is_async else told
    return [isinstance(each, Exception) for each in told], records


async def _pipeline(whole: bool) -> Any:
    return (await get_async_redis_db()).pipeline(transaction=whole)


@deed
def create_pin(side: Side, r: random.Random) -> Any:
    values = {"board": r.choice("kl"), "number": r.choice(NUMBERS)}
    return side.api(side.models.pin.update_or_create, **values, defaults={"note": note_key(side, r)})


# Questions -------------------------------------------------------------------------------------


def condition(side: Side, r: random.Random) -> Any:
    """Some notes."""
    note = side.models.note
    query = note.query.filter()
    for _ in range(r.choice((0, 1, 1, 2))):
        kind = r.randrange(22)
        whose = agent(r)
        some: Any = [
            lambda: Q(agent=whose),
            lambda: Q(agent__in=[whose, r.choice(AGENTS)]),
            lambda: Q(topic=r.choice(TOPICS)),
            lambda: Q(topic__in=r.sample(TOPICS, 2)),
            lambda: Q(rank__gte=r.choice((1, 2, 2**53))),
            lambda: Q(rank__isnull=r.random() < 0.5),
            lambda: Q(topic="red", weight__lt=1),
            lambda: Q(agent=whose, own__gt=0),
            lambda: Q(place=(10.0, 10.0), place_radius=5, place_radius_unit="km"),
            lambda: Q(code=r.choice("uv")),
            lambda: Q(body__ne="text"),
            lambda: Q(number__in=[1, 2, 9]),
            lambda: Q(author__age__gte=r.randint(1, 9)),
            lambda: Q(reply_to=note_key(side, r)),
            lambda: Q(reply_to__topic="red"),
            lambda: ~Q(topic="red"),
            lambda: Q(agent=whose) | Q(topic="red"),
            lambda: ~Q(agent=whose),
            lambda: Q(pk=note_key(side, r)),
            lambda: Q(pk__in=[note_key(side, r) for _ in range(3)]),
            lambda: Q(agent__startswith="b:"),
            lambda: Q(topic__icontains="E"),
        ][kind]()
        query = query.exclude(some) if r.random() < 0.1 else query.filter(some)
    return query


def ordered(query: Any, r: random.Random) -> Any:
    names = r.choice(
        (
            (),
            ("rank",),
            ("-rank",),
            ("topic", "-rank"),
            ("-weight", "own"),
            ("-agent",),
            ("body", "-number"),
            ("pk",),
            ("-pk",),
            ("at", "price"),
        )
    )
    nulls = r.choice((None, None, "first", "last"))
    return query.order_by(*names, nulls=nulls) if names else query


def window(query: Any, r: random.Random) -> Any:
    if r.random() < 0.4:
        query = query.limit(r.choice((0, 1, 3)))
    return query.offset(r.choice((1, 3))) if r.random() < 0.4 else query


def asked(side: Side, r: random.Random) -> Any:
    return window(ordered(condition(side, r), r), r)


@deed
def all_(side: Side, r: random.Random) -> Any:
    query = asked(side, r)
    shape = r.randrange(8)
    if shape == 1:
        query = query.values("agent", "rank", "author")
    elif shape == 2:
        query = query.values_list("pk", flat=True)
    elif shape == 3:
        query = query.values_list("topic", "weight")
    elif shape == 4:
        query = query.only("body", "number")
    elif shape == 5:
        query = query.select_related(*r.choice((("author",), ("reply_to", "author"))))
    elif shape == 6:
        query = query.prefetch_related("rests_on")
    elif shape == 7:
        query = query.computed_sort(lambda each: -each.number, reverse=r.random() < 0.5)
    found = side.api(query.all)
    related = ("author", "reply_to", "rests_on")
    if shape in (5, 6):
        return found, [[getattr(each, name) for name in related] for each in found]
    return found


@deed
def one(side: Side, r: random.Random) -> Any:
    return side.api(getattr(asked(side, r), r.choice(("first", "last"))))


@deed
def told(side: Side, r: random.Random) -> Any:
    return side.api(getattr(asked(side, r), r.choice(("count", "exists", "keys"))))


@deed
def sliced(side: Side, r: random.Random) -> Any:
    query, first = asked(side, r), r.choice((0, 1, -1, 5))
    which: Any = first if r.random() < 0.5 else slice(first, r.choice((None, 3, -1)), r.choice((None, 2)))
    return query[which]


@deed
def distances(side: Side, r: random.Random) -> Any:
    near = {"place": (10.0, 10.0), "place_radius": r.choice((5, 20000)), "place_radius_unit": "km"}
    return side.api(window(condition(side, r).filter(**near, place_with_distances=True), r).all)


@deed
def around_another(side: Side, r: random.Random) -> Any:
    record = stored_note(side, r)
    if record is None:
        return None
    near = {"place_member": record, "place_radius": 50, "place_radius_unit": "km"}
    return side.api(side.models.note.query.filter(**near).all)


@deed
def aggregate(side: Side, r: random.Random) -> Any:
    method, name = r.choice(("sum", "avg", "min", "max")), r.choice(("rank", "weight", "hits", "price", "at", "body"))
    return side.api(getattr(asked(side, r), method), name)


@deed
def group_count(side: Side, r: random.Random) -> Any:
    return side.api(condition(side, r).group_count, r.choice(("topic", "agent", "author", "hits", "flag", "done")))


@deed
def iterator(side: Side, r: random.Random) -> Any:
    query, size = asked(side, r), r.choice((1, 3, 1000))
    if not side.api.is_async:
        return list(query.iterator(chunk_size=size))

    async def iterated() -> list[Any]:
        return [each async for each in query.async_iterator(chunk_size=size)]

    return side.api.run(iterated())


@deed
def get(side: Side, r: random.Random) -> Any:
    query, kind = side.models.note.query, r.randrange(6)
    if kind == 0:
        return side.api(query.get, redis_key=note_key(side, r))
    if kind == 1:
        return side.api(query.get, agent=agent(r), number=r.choice(NUMBERS))
    if kind == 2:
        return side.api(query.get, code=r.choice("uv"))
    if kind == 3:
        return side.api(query.get, pk=note_key(side, r))
    if kind == 4:
        return side.api(query.get, note_key(side, r))
    return side.api(query.get, topic="red")


@deed
def get_many(side: Side, r: random.Random) -> Any:
    keys = [note_key(side, r) for _ in range(r.randint(0, 5))]
    return side.api(side.models.note.query.get_many, keys, skip_none=r.random() < 0.5)


@deed
def load(side: Side, r: random.Random) -> Any:
    found = side.api(side.models.note.load, note_key(side, r))
    return found, found and found.db_key.exists()


@deed
def keys_set(side: Side, r: random.Random) -> Any:
    given = r.choice(({"topic": "red"}, {"agent": agent(r)}, {"rank__gte": 1}))
    return side.models.note.query.filter_for_keys_set(**given)


@deed
def all_keys(side: Side, r: random.Random) -> Any:
    return sorted(side.api(side.models.note.query.keys, clean=r.random() < 0.5))


@deed
def everything(side: Side, r: random.Random) -> Any:
    query = side.models.note.query
    return [
        side.api(query.all, **r.choice(({}, {"order_by": "-rank", "limit": 3}, {"values": ("rank",)}))),
        side.api(query.count),
        side.api(query.count, topic="red"),
        side.api(query.last),
        query[1:3],
        len(query),
    ]


@deed
def explain(side: Side, r: random.Random) -> Any:
    plan = side.api(asked(side, r).explain)
    return plan.in_python


@deed
def related(side: Side, r: random.Random) -> Any:
    record = stored_note(side, r)
    name, back = r.choice(("author", "reply_to", "rests_on")), r.choice(("replies", "resting", "pins"))
    if record is None:
        return None
    return side.api(record.related, name), side.api(window(getattr(record, back).filter(), r).all)


@deed
def notes_of_a_person(side: Side, r: random.Random) -> Any:
    record = side.api(side.models.person.query.get, redis_key=person_key(side, r))
    return record and side.api(record.notes.order_by("-rank").all)


@deed
def delete_person(side: Side, r: random.Random) -> Any:
    record = side.api(side.models.person.query.get, redis_key=person_key(side, r))
    return record and side.api(record.delete)


@deed
def as_dict(side: Side, r: random.Random) -> Any:
    record = stored_note(side, r)
    return record and (record.to_dict(max_depth=0), record.to_dict(json=True, exclude=["bag"]))


# Time --------------------------------------------------------------------------------------------


def fleeting(side: Side, r: random.Random) -> Any:
    model = side.models.fleeting
    return side.api(model.query.get, redis_key=model._meta.record_key({"agent": agent(r), "name": r.choice("fg")}))


def hundreds(found: float | None) -> Any:
    return None if found is None else round(found / 100)


@deed
def create_fleeting(side: Side, r: random.Random) -> Any:
    values = {"agent": agent(r), "name": r.choice("fg"), "kind": r.choice("ij"), "rank": r.choice((None, 1, 2))}
    return side.api(side.models.fleeting.create, overwrite=True, **values)


@deed
def transaction_of_fleeting(side: Side, r: random.Random) -> Any:
    record = fleeting(side, r)
    if record is None:
        return None
    together = transaction()
    together.create(side.models.fleeting, agent=record.agent, name=f"h{r.randrange(3)}")
    together.delete(record)
    return side.api(together.commit)


@deed
def end_at_once(side: Side, r: random.Random) -> Any:
    record = fleeting(side, r)
    if record is None:
        return None
    record._ttl = 0
    return side.api(record.save), side.api(side.models.fleeting.query.filter(kind=r.choice("ij")).count)


@deed
def renew(side: Side, r: random.Random) -> Any:
    record, ttl = fleeting(side, r), r.choice((7000, 9000, None))
    some = side.models.fleeting.query.filter(**r.choice(({}, {"kind": "i"}, {"agent": agent(r)})))
    if record is None or r.random() < 0.5:
        return side.api(some.renew_ttl, ttl)
    side.api(record.renew_ttl, ttl)
    return hundreds(side.api(record.remaining_ttl))


@deed
def ends(side: Side, r: random.Random) -> Any:
    found = side.api(side.models.fleeting.query.all)
    return [(each, hundreds(side.api(each.remaining_ttl))) for each in found]


@deed
def end_a_field(side: Side, r: random.Random) -> Any:
    record = fleeting(side, r)
    if record is None:
        return None
    record.body = "soon gone"
    side.api(record.save)
    side.api(record.expire_field, "body", r.choice((3000, None)))
    return hundreds(side.api(record.field_ttl, "body"))


# Upkeep ------------------------------------------------------------------------------------------


@deed
def check(side: Side, r: random.Random) -> Any:
    model = getattr(side.models, r.choice(sorted(vars(side.models))))
    found = dict(side.api(model.check_indexes, batch_size=r.choice((1, 1000))))
    found.pop("unregistered_shards", None)
    return found


@deed
def clean(side: Side, r: random.Random) -> Any:
    return side.api(getattr(side.models, r.choice(sorted(vars(side.models)))).clean_indexes)


@deed
def rebuild(side: Side, r: random.Random) -> Any:
    found = side.api(getattr(side.models, r.choice(sorted(vars(side.models)))).rebuild_indexes)
    return int(found), found.problems


@deed
def delete_all(side: Side, r: random.Random) -> Any:
    model = getattr(side.models, r.choice(("note", "pin", "person", "fleeting")))
    return side.api(model.delete_all, batch_size=r.choice((1, 1000)))


@deed
def lose_a_record(side: Side, r: random.Random) -> Any:
    """By other means than popoto's: its entries stay."""
    key = note_key(side, r)
    side.lose(side.models.note, key)
    return [side.api(side.models.note.query.filter(topic="red").count), side.api(side.models.note.query.keys)]
