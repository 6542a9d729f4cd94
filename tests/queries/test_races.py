"""Queries while other threads and tasks write, delete and let expire: answers stay true."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from popoto import (
    GeoField,
    IndexedField,
    IntField,
    KeyField,
    Model,
    Q,
    Relationship,
    SortedField,
    StringField,
)

SECONDS = 1.5
COUNT = 40


class Ball(Model):
    """`color`, `side` and `weight` always change together: ``red`` is 1, ``blue`` is 2."""

    number = KeyField(type=int)
    color = IndexedField()
    weight = SortedField(type=int)
    side = IntField()
    place = GeoField()
    owner = Relationship("self")
    note = StringField()


RED, BLUE = (10.0, 10.0), (20.0, 20.0)


def values(color: str) -> dict[str, Any]:
    weight = 1 if color == "red" else 2
    return {
        "color": color,
        "weight": weight,
        "side": weight,
        "place": RED if color == "red" else BLUE,
        "owner": f"Ball:{weight}",
        "note": color * 20,
    }


def is_whole(ball: Ball) -> bool:
    expected = values(ball.color)
    return (ball.weight, ball.side, tuple(ball.place), ball.owner, ball.note) == (
        expected["weight"],
        expected["side"],
        expected["place"],
        expected["owner"],
        expected["note"],
    )


QUERIES: list[tuple[Callable[[], Any], set[str]]] = [
    (lambda: Ball.query.filter(color="red"), {"red"}),
    (lambda: Ball.query.filter(weight=2), {"blue"}),
    (lambda: Ball.query.filter(weight__gt=1).limit(7), {"blue"}),
    (lambda: Ball.query.filter(side=1), {"red"}),
    (lambda: Ball.query.filter(color="red", weight=1, side=1), {"red"}),
    (lambda: Ball.query.filter(color="red", weight=2), set()),
    (lambda: Ball.query.filter(~Q(color="red")), {"blue"}),
    (lambda: Ball.query.filter(Q(weight=1) | Q(color="blue")), {"red", "blue"}),
    (lambda: Ball.query.filter(color__startswith="bl"), {"blue"}),
    (lambda: Ball.query.filter(place=RED, place_radius=10), {"red"}),
    (lambda: Ball.query.filter(owner="Ball:2"), {"blue"}),
    (lambda: Ball.query.filter(color="blue").order_by("-weight").limit(5), {"blue"}),
    (lambda: Ball.query.filter(color="red").order_by("note"), {"red"}),
    (lambda: Ball.query.filter(color="red").order_by("note").limit(3), {"red"}),
]


def write(stop: threading.Event, chosen: random.Random, numbers: range) -> None:
    while not stop.is_set():
        number = chosen.choice(numbers)
        color = chosen.choice(("red", "blue"))
        match chosen.randrange(4):
            case 0:
                Ball.create(number=number, overwrite=True, **values(color))
            case 1:
                for ball in Ball.query.filter(number=number):
                    ball.delete()
            case 2:
                ball = Ball(number=number, **values(color))
                ball._ttl = None
                ball.save()
            case _:
                ball = Ball(number=number, **values(color))
                ball._ttl = 1
                ball.save()


def read(stop: threading.Event, chosen: random.Random) -> list[str]:
    wrong: list[str] = []
    while not stop.is_set():
        make, colors = chosen.choice(QUERIES)
        found = make().all()
        wrong += [f"{make()!r} found {vars(ball)}" for ball in found if not is_whole(ball)]
        wrong += [f"{make()!r} found {ball.color}" for ball in found if ball.color not in colors]
        if len({ball.number for ball in found}) != len(found):
            wrong.append(f"{make()!r} found a record twice")
        rows = make().values("color", "side").all()
        wrong += [f"{make()!r} gave {row}" for row in rows if row["color"] not in colors]
        if not 0 <= make().count() <= COUNT:
            wrong.append(f"{make()!r} counted wrongly")
        if not colors and (make().count() or make().exists()):
            wrong.append(f"{make()!r} counted what cannot be")
    return wrong


def test_threads() -> None:
    for number in range(COUNT):
        Ball.create(number=number, **values("red"))
    stop = threading.Event()
    with ThreadPoolExecutor(5) as pool:
        writers = [
            pool.submit(write, stop, random.Random(seed), range(seed, COUNT, 2)) for seed in (0, 1)
        ]
        readers = [pool.submit(read, stop, random.Random(seed)) for seed in range(3)]
        time.sleep(SECONDS)
        stop.set()
        for writer in writers:
            writer.result(120)
        assert [problem for reader in readers for problem in reader.result(120)] == []


def test_counts_while_every_record_stays() -> None:
    """Records that change place are counted once, in one place or the other."""
    for number in range(COUNT):
        Ball.create(number=number, **values("red"))
    stop = threading.Event()

    def move(seed: int) -> None:
        chosen = random.Random(seed)
        while not stop.is_set():
            number = chosen.randrange(COUNT)
            ball = Ball.query.get(number=number)
            assert ball is not None
            for name, value in values(chosen.choice(("red", "blue"))).items():
                setattr(ball, name, value)
            ball.save()

    def count() -> list[int]:
        wrong: list[int] = []
        builders = [
            Ball.query.filter(),
            Ball.query.filter(Q(color="red") | Q(color="blue")),
            Ball.query.filter(weight__between=(1, 2)),
            Ball.query.filter(color__contains=""),
            Ball.query.filter(Q(side=1) | Q(weight=2)),
            Ball.query.filter(place=(15, 15), place_radius=2000, place_radius_unit="km"),
        ]
        while not stop.is_set():
            for builder in builders:
                wrong += [
                    number for number in (builder.count(), len(builder.all())) if number != COUNT
                ]
        return wrong

    with ThreadPoolExecutor(4) as pool:
        writers = [pool.submit(move, seed) for seed in range(2)]
        readers = [pool.submit(count) for _ in range(2)]
        time.sleep(SECONDS)
        stop.set()
        for writer in writers:
            writer.result(120)
        assert [reader.result(120) for reader in readers] == [[], []]


def test_gathered_queries_do_not_mix() -> None:
    for number in range(COUNT):
        Ball.create(number=number, **values("red" if number % 4 else "blue"))

    async def ask() -> None:
        end = time.monotonic() + 0.5
        while time.monotonic() < end:
            red, blue, count, first = await asyncio.gather(
                Ball.query.filter(color="red").async_all(),
                Ball.query.async_filter(weight=2, limit=3),
                Ball.query.async_count(side=2),
                Ball.query.filter(color="blue").async_first(),
            )
            assert {ball.color for ball in red} == {"red"}
            assert [ball.color for ball in blue] == ["blue"] * 3
            assert count == COUNT // 4
            assert first.color == "blue"

    asyncio.run(ask())
    asyncio.run(ask())
