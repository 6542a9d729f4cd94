"""What commit.lua answers: that a batch was carried out, or why it was not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

from popoto.engine.request import Reply, Request, ScriptCall
from popoto.engine.scripts import COMMIT
from popoto.exceptions import CommandRefusedError, ModelException, VectorMismatchError

#: What commit.lua answers: 1 and the replies of the commands, or what `GuardFailure` holds, after
#: 0 of one guard and after 2 of each that failed. After 3 stand commands that the server refused,
#: then the replies.
CommitReply: TypeAlias = Sequence[Reply]


@dataclass(slots=True, frozen=True)
class GuardFailure:
    """Why a commit changed nothing.

    `guard` is the guard's position among the batch's guards (from 0), `what` its
    name (``absent``, ``exists``, ``holds``, ``claim``, ``slot``, or ``type``, ``number``, ``form``
    and ``model`` for a key that holds something else than belongs there), `details` what the script
    tells about it. The position is -1 where commands need the key, and no guard.
    """

    guard: int
    what: str
    details: list[bytes]

    @classmethod
    def told(cls, words: Sequence[Any]) -> GuardFailure:
        """As the script tells it, which counts guards from 1."""
        return cls(words[0] - 1, words[1].decode("ascii"), list(words[2:]))

    def stored(self, names: Iterable[str]) -> dict[str, bytes]:
        """What the record's hash holds of these fields (guards ``absent`` and ``holds``)."""
        pairs = iter(self.details[1:])
        found: dict[bytes, bytes] = dict(zip(pairs, pairs, strict=True))
        return {name: found[encoded] for name in names if (encoded := name.encode()) in found}

    def error(self) -> ModelException:
        """What to tell of a key that holds something else than belongs there."""
        key, *told = (each.decode("utf-8", "replace") for each in self.details)
        if self.what == "type":
            return wrong_kind(key, *told)
        if self.what == "form":
            found, expected = told
            return other_form(key, found, expected, "nothing was written")
        if self.what == "model":
            return other_model(key, told[:3], told[3:])
        name, found = told
        under = f" under {name!r}" if name else ""
        return ModelException(
            f"the key {key!r} holds {found!r}{under} where a whole number belongs; nothing was "
            "written. Rename or delete that key."
        )


def wrote_nothing(request: Request, replies: Sequence[Reply]) -> bool:
    """Whether a request is commits alone, and each says that a guard failed."""
    for command, reply in zip(request.commands, replies, strict=True):
        if not isinstance(command, ScriptCall) or not command.script.extends(COMMIT):
            return False
        if not isinstance(reply, list) or reply[0] not in (0, 2):
            return False
    return True


def wrong_kind(key: str, found: str, expected: str, *, writes: bool = True) -> ModelException:
    """The error for a key of another type than belongs there, of a write or of a read."""
    outcome = "; nothing was written" if writes else ""
    return ModelException(
        f"the key {key!r} holds a {found} where a {expected} belongs{outcome}. "
        "Rename or delete that key."
    )


def other_form(key: str, found: str, expected: str, outcome: str) -> ModelException:
    """The error for a key that was made with other settings than those of its field."""
    return ModelException(
        f"the key {key!r} holds {found!r}, but the settings of the field ask for {expected!r}; "
        f"{outcome}. rebuild_indexes() makes it anew from the records."
    )


def other_model(
    key: str,
    found: Sequence[object],
    wanted: Sequence[object],
    outcome: str = "nothing was written",
) -> VectorMismatchError:
    """The error for vectors that another model has made. Both as model, dimensions and form."""
    theirs, ours = (f"{name or 'a model'} ({size} {form})" for name, size, form in (found, wanted))
    return VectorMismatchError(
        f"the vectors of {key!r} are of {theirs}, but the field's provider is {ours}; {outcome}. "
        "reembed() makes all of them anew."
    )


def refused_commands(reply: CommitReply) -> CommandRefusedError:
    """The error for commands that hooks had queued, and that the server refused."""
    told = [each.decode("utf-8", "replace") for each in cast("list[bytes]", reply[1])]
    return CommandRefusedError(
        "the write was carried out, but not what a hook had queued with it: " + "; ".join(told)
    )
