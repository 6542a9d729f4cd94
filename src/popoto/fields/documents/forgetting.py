"""Forgetting a subject in an index of words, once its records have left it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from popoto.engine.batch import Batch, outcomes
from popoto.engine.keys import SEPARATOR
from popoto.engine.looking_up import looked_up
from popoto.engine.request import Plan, Request
from popoto.fields.keeping.forgetting import Subject, Trace
from popoto.memory.bm25.documents import changes_key, lengths_key

__all__ = ["forget_words_of"]


def forget_words_of(
    stems: Sequence[str], root: str, names: Sequence[str], shard: str, subject: Subject
) -> Plan[Mapping[str, Trace]]:
    """Forget which documents have changed, and what is left of partitions that were the subject's.

    Without the log of changes every process reads again what it remembers of the index.
    """
    trace = Trace(looked_at=len(stems))
    for stem in stems:
        log = changes_key(stem)
        (members,) = yield from looked_up([("ZRANGE", log, 0, -1)], shard)
        if any(subject.owns(member.decode("utf-8", "replace")) for member in members):
            trace.removed += 1
            yield Request.of(("DEL", log), shard=shard, repeatable=True, upkeep=True)
        parts = stem.removeprefix(f"{root}:@").split(SEPARATOR)
        if stem != root and subject.is_partition(names, parts):
            # As long as no document is in it: somebody may have written one.
            batch = Batch()
            batch.guard("absent", lengths_key(stem))
            for rest in ("n", "avgdl", "analyzer", "changes"):
                batch.put("DEL", f"{stem}:{rest}")
            yield from outcomes([batch], shard, upkeep=True)
    return {"words": trace}
