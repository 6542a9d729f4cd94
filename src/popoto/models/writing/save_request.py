"""`SaveRequest`: the arguments of a save, as its caller gave them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from popoto.fields.given import flag_in
from popoto.models.reading.absence import Absence
from popoto.models.writing.conditions import Condition
from popoto.models.writing.expecting import Expected

_FLAGS: Final = ("ignore_errors", "skip_auto_now", "migrate_key", "recreate")


@dataclass(slots=True)
class SaveRequest:
    """The arguments of a save."""

    pipeline: Any = None
    ignore_errors: bool = False
    skip_auto_now: bool = False
    update_fields: Iterable[str] | None = None
    migrate_key: bool = False
    #: whether a record that is stored under the key already is an error (True), is to be
    #: replaced (False), or is replaced unless the key was forgotten (None)
    create_only: bool | None = None
    #: the lookup that no stored record may match, if it is to be created for one
    unmatched: Absence | None = None
    #: optimistic locking: what the stored record has to hold
    expected: Expected = None
    #: write a record whole that was stored, and is not any more
    recreate: bool = False
    #: that of the query whose results are changed
    condition: Condition | None = None
    #: whether it is to set an expiry of its own
    asks_expiry: bool = False
    hook_arguments: dict[str, Any] = field(default_factory=dict[str, Any])

    def __post_init__(self) -> None:
        """Raise TypeError for a flag that is none: a list of names in its place, or "no"."""
        if self.ignore_errors is self.skip_auto_now is self.migrate_key is self.recreate is False:
            return
        for name in _FLAGS:
            flag_in(getattr(self, name), f"save({name}=…)")
