"""What is done to records that end by themselves."""

from __future__ import annotations

import random
from typing import Any

from .allowed import about
from .deeds import deed
from .drawing import agent
from .side import Side


def stored(side: Side, chance: random.Random) -> Any:
    model = side.models.fleeting
    keys = [
        model._meta.record_key({"agent": agent(chance), "name": chance.choice("fg")})
        for _ in range(4)
    ]
    found = side.api(model.query.get_many, keys, skip_none=True)
    return found[0] if found else None


@deed()
def create_fleeting(side: Side, chance: random.Random) -> Any:
    values = {
        "agent": agent(chance),
        "name": chance.choice("fg"),
        "kind": chance.choice("ij"),
        "rank": chance.choice((None, 1, 2)),
    }
    return side.api(side.models.fleeting.create, overwrite=True, **values)


@deed()
def transaction_of_fleeting(side: Side, chance: random.Random) -> Any:
    record = stored(side, chance)
    name = f"h{chance.randrange(3)}"
    if record is None:
        return None

    def fill(changes: Any) -> None:
        changes.create(side.models.fleeting, agent=record.agent, name=name)
        changes.delete(record)

    return side.transaction(fill)


@deed()
def end_at_once(side: Side, chance: random.Random) -> Any:
    record = stored(side, chance)
    left = side.models.fleeting.query.filter(kind=chance.choice("ij"))
    if record is None:
        return None
    record._ttl = 0
    return side.api(record.save), side.api(left.count)


@deed()
def renew(side: Side, chance: random.Random) -> Any:
    record, ttl = stored(side, chance), chance.choice((7000, 9000, None))
    given = chance.choice(({}, {"kind": "i"}, {"agent": agent(chance)}))
    if record is None or chance.random() < 0.5:
        return side.api(side.models.fleeting.query.filter(**given).renew_ttl, ttl)
    side.api(record.renew_ttl, ttl)
    return about(side.api(record.remaining_ttl))


@deed()
def ends(side: Side, chance: random.Random) -> Any:
    found = side.api(side.models.fleeting.query.all)
    return [(each, about(side.api(each.remaining_ttl))) for each in found]


@deed()
def end_a_field(side: Side, chance: random.Random) -> Any:
    record = stored(side, chance)
    if record is None:
        return None
    record.body = "soon gone"
    side.api(record.save)
    side.api(record.expire_field, "body", chance.choice((3000, None)))
    return about(side.api(record.field_ttl, "body"))
