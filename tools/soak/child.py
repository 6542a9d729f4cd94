"""What child processes do until they are killed."""

from __future__ import annotations

import itertools

import popoto
from popoto import ConfidenceField, redis_db
from tools.soak.models import Item, Memory


def write(url: str, number: int) -> None:
    """Records of every kind, over and over."""
    redis_db.set_REDIS_DB_settings(url=url)
    lane = f"child-{number}"
    for turn in itertools.count():
        name = str(turn % 7)
        item = Item.create(
            overwrite=True,
            lane=lane,
            name=name,
            topic=str(turn % 3),
            rank=turn,
            code=f"{lane}-{name}-{turn % 2}",
            slot=f"{name}-{turn}",
        )
        memory = Memory.create(overwrite=True, agent=lane, name=name, text=f"tea for {turn}")
        ConfidenceField.update_confidence(memory, "certainty", 0.8)
        with popoto.transaction() as changes:
            item.rank = -turn
            changes.save(item)
            if turn % 3 == 0:
                changes.delete(memory)
        if turn % 5 == 0:
            Item.query.filter(lane=lane, topic="1").delete()
