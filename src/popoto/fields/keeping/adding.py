"""Adding to a stored number on the server, and what the index of its field needs for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from popoto.fields.keeping.scores import EXACT_INTEGERS


@dataclass(frozen=True, slots=True)
class ServerAddition:
    """An addition that the script itself carries out, exactly, with every entry kept in step.

    `kind`, `delta`  the number's type and the amount, as the script takes them
    `order_key`      from the values of the field's `depends_on`, the sorted set whose score
                     follows the sum; None where no index holds the number
    """

    kind: Literal["int", "float"]
    delta: str
    order_key: Callable[[Mapping[str, Any]], str] | None = None


def server_addition(
    type_: type,
    delta: Any,
    order_key: Callable[[Mapping[str, Any]], str] | None = None,
) -> ServerAddition | None:
    """The addition of an amount to a number of this type; None where doubles are too coarse."""
    if type_ is float:
        return ServerAddition("float", repr(float(delta)), order_key)
    if type_ is int and abs(delta) <= EXACT_INTEGERS:
        return ServerAddition("int", str(delta), order_key)
    return None
