"""What a careful user of redis-py does in more than one of these operations."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import redis


def records(client: redis.Redis, keys: Iterable[Any]) -> list[dict[bytes, bytes]]:
    """What the hashes under these keys hold, in one round trip."""
    with client.pipeline(transaction=False) as pipeline:
        for key in keys:
            pipeline.hgetall(key)
        found: list[dict[bytes, bytes]] = pipeline.execute()
    return found


def learn(evidence: dict[str, Any], signal: float) -> None:
    """Move a confidence by one signal, as popoto 1.6 has it."""
    evidence["evidence_count"] += 1
    evidence["corroborations" if signal >= 0.5 else "contradictions"] += 1
    evidence["confidence"] += (signal - evidence["confidence"]) / math.sqrt(
        evidence["evidence_count"]
    )
