"""Records that share what has to be unique: found, and told. No write of popoto makes them.

An index that lost entries (evicted, deleted by hand) does not know any more who holds a value,
and so lets another record have it too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from popoto.engine.batch import Batch, CommitReply
from popoto.models.record.options import ModelOptions
from popoto.models.upkeep.records import Judged
from popoto.models.writing.claims import claimed_names, put_claims


class Shared(NamedTuple):
    """A unique value of a record that another one, `holder`, has as well.

    `place` is the name of the field, or the key of the composite index.
    """

    place: str
    names: tuple[str, ...]
    holder: str

    @property
    def reason(self) -> str:
        """What the one record is told about the other."""
        names = ", ".join(self.names)
        values = "values" if len(self.names) > 1 else "value"
        return f"{names} must be unique, and {self.holder!r} holds the same {values}"


def sharing_question(options: ModelOptions, record: Judged) -> Batch | None:
    """Guards that fail where another record holds the same; None if nothing is to be unique."""
    if not options.has_claims or not record.has_identity:
        return None
    known = [field.name for field in options.unique_fields if field.name not in record.unknown]
    batch = Batch()
    try:
        put_claims(batch, options, record.key, record.key, record.stored, known, record.entries)
    except (ValueError, TypeError, ArithmeticError, AttributeError):
        # A value that makes no entry: that is told already.
        return None
    return batch if batch.guards else None


def shared_values(batch: Batch, reply: CommitReply) -> list[Shared]:
    """What the answer to such a question says."""
    found: list[Shared] = []
    for failure in Batch.failures(reply):
        if failure.what in ("claim", "slot"):
            step = batch.guards[failure.guard]
            names = tuple(claimed_names(step))
            place = names[0] if failure.what == "claim" else str(step[1])
            found.append(Shared(place, names, failure.details[0].decode("utf-8", "replace")))
    return found


def sharing_questions(
    options: ModelOptions, records: Sequence[Judged]
) -> list[tuple[Judged, Batch]]:
    """Those of the records that have something to ask, each with its question."""
    questions = ((record, sharing_question(options, record)) for record in records)
    return [(record, batch) for record, batch in questions if batch is not None]
