"""What is changed of a model after it was made, and has no effect any more: told of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from popoto._unknown_names import is_strict, tell
from popoto.fields.describing import describe
from popoto.fields.field import Field

#: Options from which more follows when a model is made.
_READ_ONCE: Final = frozenset({"ttl", "indexes", "unique_together"})


class Finishing:
    """Options of a model that know when its class is finished."""

    by_name: Mapping[str, Field[Any]]
    model_name: str
    strict: bool | None
    is_finished: bool = False

    def finish(self) -> None:
        """The class is made, and what follows from its options and fields was worked out."""
        for field in self.by_name.values():
            field.is_finished = True
        self.is_finished = True

    def __setattr__(self, name: str, value: Any) -> None:
        if self.is_finished and (
            (name in _READ_ONCE and value != getattr(self, name))
            or not (name.startswith("_") or hasattr(self, name))
        ):
            tell(
                f"{self.model_name}._meta.{name} = {describe(value)} has no effect on a class that "
                "is finished; options go into its Meta",
                refuse=is_strict(self.strict),
            )
        super().__setattr__(name, value)


def is_filled(field: Any) -> bool:
    """Whether a save fills a field with the time."""
    return field.stamps_writes or getattr(field, "auto_now_add", False)
