"""What a deed is, and the table of them, which the files `of_…` fill."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from .allowed import NOTHING, Allowance
from .side import Side

#: Does something on one side. All choices are made by chance, which is the same on both sides, and
#: by what is stored there. What it returns is compared.
Doing: TypeAlias = Callable[[Side, random.Random], Any]

#: What takes much away is drawn seldom: there has to be something to ask for.
OFTEN, SELDOM = 4, 1
#: A question is drawn so often, and asked so many times then: it costs little beside a write.
ASKED_OFTEN, TIMES = 8, 3


@dataclass(frozen=True)
class Deed:
    """Something that a program can do in one step."""

    do: Doing
    #: how often it is drawn, in comparison with others
    weight: int
    #: what its answers may differ in
    allowing: Allowance = NOTHING


DEEDS: dict[str, Deed] = {}


def deed(*, weight: int = OFTEN, allowing: Allowance = NOTHING) -> Callable[[Doing], Doing]:
    """Enter a function into the table, under its name."""

    def enter(do: Doing) -> Doing:
        name = do.__name__
        if name in DEEDS:
            raise ValueError(f"two deeds are called {name}")
        DEEDS[name] = Deed(do, weight, allowing)
        return do

    return enter


def asked_often(ask: Doing) -> Doing:
    """Enter a question: what its answers tell of how shards are merged costs little."""

    @functools.wraps(ask)
    def several(side: Side, chance: random.Random) -> Any:
        return [ask(side, chance) for _ in range(TIMES)]

    deed(weight=ASKED_OFTEN)(several)
    return ask
