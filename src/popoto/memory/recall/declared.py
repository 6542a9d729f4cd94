"""`Recall`: which fields of a model say in what order its records were said, and who said them."""

from __future__ import annotations

from dataclasses import dataclass

from popoto.exceptions import ModelException

__all__ = ["Recall"]


@dataclass(frozen=True, slots=True)
class Recall:
    """What `recall` is told of a model's records (`Meta.recall`).

    `session`  the field by whose values records belong together: a conversation, a document
    `order`    the `SortedField` with ``partition_by=session`` that says where each stands in it
    `speaker`  the field with who said it

    With a session and an order, a record's meaning is also that of what was said just before and
    after, and it is lifted by what its neighbours and the best of its session score. With a
    speaker, a question that names just one of them lifts what that one has said.
    """

    session: str | None = None
    order: str | None = None
    speaker: str | None = None

    def __post_init__(self) -> None:
        if (self.session is None) != (self.order is None):
            raise ModelException(
                "Recall(session=…, order=…): name both, the session and the order in it, or none; "
                f"got {self!r}"
            )
        if self.session is None and self.speaker is None:
            raise ModelException(
                "Recall(session=…, order=…, speaker=…) names no field: leave Meta.recall out"
            )
