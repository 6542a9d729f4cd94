"""Work on items, leases, boxes and parcels, each with what it must leave behind."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any

import popoto
from popoto import redis_db
from popoto.exceptions import UniquenessError
from tools.soak.lane import Lane
from tools.soak.models import Box, Item, Label, Lease, Parcel, Part

#: Seconds.
LONGEST_LEASE = 2
TOPICS = ("tea", "cake: lemon", "bread*", "", "jam [red]")


def _values(lane: Lane) -> dict[str, Any]:
    return {
        "topic": lane.chances.choice(TOPICS),
        "rank": lane.chances.randrange(100),
        "code": lane.fresh("code"),
        "slot": lane.fresh("slot"),
        "note": lane.fresh("note"),
        "tags": [],
        "size": lane.chances.randrange(10),
    }


async def _any(lane: Lane, model: type[Any]) -> Any:
    """One of the lane's records, loaded; None: it has none."""
    names = lane.known(model)
    if not names:
        return None
    owned = {"lane": lane.name, "name": lane.chances.choice(names)}
    return await lane.read("get", lambda: lane.call(model.query.get, **owned))


async def create(lane: Lane) -> None:
    """A new one."""
    name, values = lane.fresh("item"), _values(lane)
    await lane.write(
        "create",
        lambda: lane.call(Item.create, lane=lane.name, name=name, **values),
        {(Item, name): values},
    )


async def save(lane: Lane) -> None:
    """Some fields, indexed and not, by a whole or a partial save."""
    item = await _any(lane, Item)
    if item is None:
        return
    new = {
        name: value
        for name, value in _values(lane).items()
        if name != "tags" and lane.chances.random() < 0.4
    }
    for name, value in new.items():
        setattr(item, name, value)
    more = {"update_fields": list(new)} if new and lane.chances.random() < 0.5 else {}
    place = (Item, item.name)
    await lane.write(
        "save",
        lambda: lane.call(item.save, **more),
        {place: {**(lane.truth[place] or {}), **new}},
    )


async def update(lane: Lane) -> None:
    """By a query, a number among it."""
    name = lane.chances.choice(lane.known(Item) or [""])
    if not name:
        return
    place = (Item, name)
    before = dict(lane.truth[place] or {})
    note, step = lane.fresh("note"), lane.chances.randrange(1, 5)
    query = Item.query.filter(lane=lane.name, name=name)
    await lane.write(
        "query.update",
        lambda: lane.call(query.update, note=note, rank=popoto.F("rank") + step),
        {place: {**before, "note": note, "rank": before["rank"] + step}},
    )


async def increment(lane: Lane) -> None:
    """One of two numbers, one of them in an index."""
    item = await _any(lane, Item)
    if item is None:
        return
    place = (Item, item.name)
    before = dict(lane.truth[place] or {})
    field = lane.chances.choice(("size", "rank"))
    await lane.write(
        "atomic_increment",
        lambda: lane.call(item.atomic_increment, field, 3),
        {place: {**before, field: before[field] + 3}},
    )


async def push(lane: Lane) -> None:
    """On a list that keeps four."""
    item = await _any(lane, Item)
    if item is None:
        return
    place = (Item, item.name)
    before = dict(lane.truth[place] or {})
    tag = lane.fresh("tag")
    await lane.write(
        "push",
        lambda: lane.call(item.tags.push, tag),
        {place: {**before, "tags": [tag, *before["tags"]][:4]}},
    )


async def find_or_create(lane: Lane) -> None:
    """What is there is found; what is not is created once."""
    names = [*lane.known(Item)[:1], lane.fresh("item")]
    name, values = lane.chances.choice(names), _values(lane)
    place = (Item, name)
    there = lane.truth.get(place)
    await lane.write(
        "get_or_create",
        lambda: lane.call(Item.get_or_create, lane=lane.name, name=name, defaults=values),
        {place: there or values},
    )


async def drop_pipeline(lane: Lane) -> None:
    """A save that waits in a pipeline, which is thrown away, and is saved after all."""
    item = await _any(lane, Item)
    if item is None or lane.is_async:
        return
    place = (Item, item.name)
    before = dict(lane.truth[place] or {})
    item.note, item.topic = note, topic = lane.fresh("note"), lane.chances.choice(TOPICS)
    pipeline = redis_db.POPOTO_REDIS_DB.pipeline()
    if not await lane.write(
        "save (dropped pipeline)", lambda: lane.call(item.save, pipeline=pipeline), {}
    ):
        return
    await lane.look(place)
    await lane.write(
        "save (after it)",
        lambda: lane.call(item.save),
        {place: {**before, "note": note, "topic": topic}},
    )


async def delete(lane: Lane) -> None:
    """One of them."""
    item = await _any(lane, Item)
    if item is not None:
        await lane.write("delete", lambda: lane.call(item.delete), {(Item, item.name): None})


async def move(lane: Lane) -> None:
    """To another key."""
    item = await _any(lane, Item)
    if item is None:
        return
    old, new = (Item, item.name), (Item, lane.fresh("item"))
    item.name = new[1]
    await lane.write(
        "save(migrate_key)",
        lambda: lane.call(item.save, migrate_key=True),
        {old: None, new: lane.truth[old]},
    )


async def in_bulk(lane: Lane) -> None:
    """Several new ones; then they go again."""
    rows = {lane.fresh("row"): _values(lane) for _ in range(3)}
    instances = [Item(lane=lane.name, name=name, **values) for name, values in rows.items()]
    changes = {(Item, name): values for name, values in rows.items()}
    if await lane.write("bulk_create", lambda: lane.call(Item.bulk_create, instances), changes):
        await lane.write(
            "bulk_delete",
            lambda: lane.call(Item.bulk_delete, instances),
            dict.fromkeys(changes),
        )


async def together(lane: Lane) -> None:
    """A transaction: two exchange what is unique, one is created."""
    names = lane.known(Item)
    if len(names) < 2:
        return
    pair = [(Item, name) for name in lane.chances.sample(names, 2)]
    loaded = [await lane.read("get", lambda p=place: _load(lane, p)) for place in pair]
    if None in loaded:
        return
    one, other = loaded
    one.code, other.code = other.code, one.code
    name, values = lane.fresh("item"), _values(lane)
    changes = popoto.transaction()
    changes.save(one)
    changes.save(other)
    changes.create(Item, lane=lane.name, name=name, **values)
    first, second = (dict(lane.truth[place] or {}) for place in pair)
    await lane.write(
        "transaction",
        lambda: lane.call(changes.commit),
        {
            pair[0]: {**first, "code": second["code"]},
            pair[1]: {**second, "code": first["code"]},
            (Item, name): values,
        },
    )


def _load(lane: Lane, place: Any) -> Any:
    return lane.call(place[0].query.get, lane=lane.name, name=place[1])


async def claim(lane: Lane) -> None:
    """A code that an own record has already: refused, and nothing is written."""
    names = lane.known(Item)
    if not names:
        return
    taken = (lane.truth[Item, lane.chances.choice(names)] or {})["code"]
    name, values = lane.fresh("item"), {**_values(lane), "code": taken}
    if await lane.write(
        "create (taken value)",
        lambda: lane.call(Item.create, lane=lane.name, name=name, **values),
        {(Item, name): values},
        UniquenessError,
    ):
        lane.books.violation("uniqueness", f"{taken!r} was given to {name} as well")


async def look(lane: Lane) -> None:
    """At records one by one, gone ones among them."""
    for there in (True, False):
        names = lane.known(Item, there=there)
        if names:
            await lane.look((Item, lane.chances.choice(names)))


async def ask(lane: Lane) -> None:
    """Indexes tell exactly which records there are, and which have a value."""
    topic = lane.chances.choice(TOPICS)
    low = lane.chances.randrange(100)
    mine = {name: lane.truth[Item, name] or {} for name in lane.known(Item)}
    own = Item.query.filter(lane=lane.name)
    questions: list[tuple[str, Any, set[str]]] = [
        ("key", own, set(mine)),
        ("indexed", own.filter(topic=topic), {n for n, v in mine.items() if v["topic"] == topic}),
        ("sorted", own.filter(rank__gte=low), {n for n, v in mine.items() if v["rank"] >= low}),
    ]
    for kind, query, expected in questions:
        found = await lane.read(f"filter ({kind})", lambda q=query: lane.call(q.all))
        names = {each.name for each in found}
        if names != expected:
            lane.books.violation("index drift", f"{kind}: {sorted(names ^ expected)}")


async def lease(lane: Lane) -> None:
    """A record that ends by itself; its unique value is free again then."""
    name = lane.fresh("lease")
    seconds = lane.chances.randint(1, LONGEST_LEASE)
    code = lane.chances.choice(("one", "two", "three")) + lane.name
    before = time.time()
    if await lane.write(
        "create (ttl)",
        lambda: lane.call(
            Lease.create, lane=lane.name, name=name, topic="t", code=code, ttl=seconds
        ),
        {},
        UniquenessError,
    ):
        lane.leases[name] = (before + seconds, time.time() + seconds)


async def ask_leases(lane: Lane) -> None:
    """None is found that has ended, and each that has not."""
    start = time.time()
    found = {
        each.name
        for each in await lane.read(
            "filter (expiry)",
            lambda: lane.call(Lease.query.filter(lane=lane.name, topic="t").all),
        )
    }
    for name, (earliest, latest) in list(lane.leases.items()):
        if name in found and start > latest + 0.01:
            lane.books.violation("expired record found", name)
        if name not in found and time.time() < earliest - 0.01:
            lane.books.violation("lost acknowledged write", f"{name} has not ended yet")
        if start > latest + 5:
            del lane.leases[name]


async def pack(lane: Lane) -> None:
    """A box with parts, which go with it, and a label, which stays."""
    names = {kind: lane.fresh(kind) for kind in ("box", "part", "label")}
    box = Box(lane=lane.name, name=names["box"], note="new")
    place, part, label = (Box, names["box"]), (Part, names["part"]), (Label, names["label"])
    if not await lane.write("save", lambda: lane.call(box.save), {place: {"note": "new"}}):
        return
    for other in (part, label):
        await lane.write(
            "create (relationship)",
            lambda o=other: lane.call(o[0].create, lane=lane.name, name=o[1], box=box),
            {other: {}},
        )
    await lane.write("delete (cascade)", lambda: lane.call(box.delete), {place: None, part: None})
    for each in (place, part, label):
        await lane.look(each)
    left = Label.query.filter(lane=lane.name, name=label[1])
    await lane.write("query.delete", lambda: lane.call(left.delete), {label: None})


async def post(lane: Lane) -> None:
    """What is written is told in a stream, once each time."""
    name = lane.fresh("parcel")
    parcel = Parcel(lane=lane.name, name=name, note="sent")
    steps: list[tuple[str, Callable[[], Awaitable[Any]], Any]] = [
        ("save (event)", lambda: lane.call(parcel.save), {"note": "sent"}),
        ("save (event)", lambda: _arrive(lane, parcel), {"note": "here"}),
        ("delete (event)", lambda: lane.call(parcel.delete), None),
    ]
    for kind, step, values in steps:
        done = await lane.write(kind, step, {(Parcel, name): values})
        lane.events += done
        if not done:
            break


async def _arrive(lane: Lane, parcel: Parcel) -> Any:
    parcel.note = "here"
    return await lane.call(parcel.save)


#: What to do, and how often.
WORK: dict[Callable[[Lane], Awaitable[None]], int] = {
    create: 6,
    save: 8,
    update: 4,
    increment: 4,
    push: 3,
    delete: 4,
    find_or_create: 2,
    drop_pipeline: 1,
    move: 2,
    in_bulk: 2,
    together: 3,
    claim: 2,
    look: 6,
    ask: 5,
    lease: 2,
    ask_leases: 3,
    pack: 2,
    post: 2,
}
