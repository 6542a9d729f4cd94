"""What may differ between a model in shards and the same model as a whole, and why.

This is all of it. An `Allowance` is taken out of both answers before they are compared; what shards
refuse, the whole is not asked for; and what is `NOT_ASKED` would differ by what the manual says.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

# Numbers -----------------------------------------------------------------------------------------

#: Sums of several shards are added in another order than those of one server, and what all have is
#: told to each as text: numbers agree, but not to the last bit.
RELATIVE, ABSOLUTE = 1e-6, 1e-9


def same_number(one: float, other: float) -> bool:
    if math.isnan(one) or math.isnan(other):
        return math.isnan(one) and math.isnan(other)
    return math.isclose(one, other, rel_tol=RELATIVE, abs_tol=ABSOLUTE)


# Answers -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Allowance:
    """What one kind of answer may differ in, and how it is taken out."""

    reason: str
    taken_out: Callable[[Any], Any]


NOTHING = Allowance("by default answers are the same", lambda answer: answer)

IN_ANY_ORDER = Allowance(
    "what is documented as a set has no order; answers to queries have one, ties by record key",
    lambda answer: sorted(answer, key=repr) if isinstance(answer, list) else answer,
)


def _without(name: str) -> Callable[[Any], Any]:
    def taken_out(answer: Any) -> Any:
        if not isinstance(answer, Mapping):
            return answer
        return {key: value for key, value in answer.items() if key != name}

    return taken_out


UNREGISTERED_SHARDS = Allowance(
    "only what is in shards can have shards that nobody has registered, and a check tells them",
    _without("unregistered_shards"),
)


def of_records_that_are_there(rows: dict[str, Any], stored: set[str]) -> dict[str, Any]:
    """What a process keeps of a record that is gone is let go when a search comes across it."""
    return {key: row for key, row in rows.items() if key in stored}


def dropped_from(told: Any) -> list[Any]:
    """What a recall left out; which of those that are gone it came across is its own affair."""
    return [each for each in told.dropped if each.rule != "gone"]


def without_timings(metadata: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in metadata.items() if "timing" not in name}


# What the server's own clock says -----------------------------------------------------------------


def about(seconds: float | None) -> int | None:
    """Remaining seconds: what is asked a moment later has less. All lives are thousands long."""
    return None if seconds is None else round(seconds / 100)


def without_time(line: dict[str, Any]) -> dict[str, Any]:
    """A line of an export without moments of expiry and identifiers of streams."""
    line.pop("expires", None)
    for kept in line.get("beside", {}).values():
        if isinstance(kept, dict):
            kept.pop("expires", None)
            if "stream" in kept:
                kept["stream"] = [entry[1:] for entry in kept["stream"]]
    return line


# Errors ------------------------------------------------------------------------------------------

#: Shards are on different nodes, which commit nothing together. So what would concern several is
#: refused before anything is written, with an error that has one of these texts. Then the whole is
#: not asked, and what both answer from then on tells whether something was written after all.
REFUSED_OF_SEVERAL_SHARDS = (
    "a transaction on a cluster concerns one shard",
    "an edge joins records of one shard",
    "edges are in the shard of a record",
    "which is another shard (Meta.shard_by)",
)

# What no deed asks -------------------------------------------------------------------------------

#: What the manual says is otherwise in shards, and why.
NOT_ASKED = {
    "keyword_search and recall by `words`, of which all agents have some, with filter(agent=…)": (
        "who fixes the shards has documents counted in those alone; asked is by `own_words`, "
        "which is partitioned by agent, and by `words` across agents"
    ),
    "composite_score(normalize=True) with filter(agent=…)": (
        "likewise the least and the greatest number are those of these shards"
    ),
    "associations that lift records of a context by way of a cue": (
        "they stay in the shard of the records that they begin with; one hop leads to no other"
    ),
    "pipelines with transaction=True over several shards": "the server's MULTI is of one node",
    "what a record leaves that was deleted by other means, before any cleaning": (
        "how much of it a query comes across, and lets go, is each side's own affair"
    ),
    "deletion in a transaction of a note to which others refer": "they may be in other shards",
    "filters and sketches about words that nobody has said": (
        "each shard has a filter and a sketch of its own, in which other words collide"
    ),
}
