"""Where the numbers of this package differ on purpose; docs/migrating.md has the same list.

Each story ends with a reply that is another one there and here, and right here.
"""

from __future__ import annotations

from typing import Any

import pytest
import redis

from .sides import PeerError, Side
from .stories import DAY, NOW, Step
from .test_memory import play, same

pytestmark = pytest.mark.interop

M = "Memory:m"
KEEP: Step = (0, "keep", ["Memory", {"name": "m"}])
NODES: list[Step] = [(0, "keep", ["Node", {"name": name}]) for name in "ab"]

#: What happens, the last reply of 1.6.1, the last reply here.
DIFFERENCES: dict[str, tuple[list[Step], Any, Any]] = {
    "a touched record shows it": (
        [KEEP, (1, "touch", [M, "relevance"]), (1, "shown", [M, "relevance"])],
        NOW,
        NOW + DAY,
    ),
    "a touched moment survives a rebuild": (
        [
            *(KEEP, (1, "touch", [M, "calm"]), (1, "upkeep", ["Memory", "rebuild_indexes"])),
            (2, "scores", ["$CyclicDecayF:Memory:calm", NOW + 2 * DAY, 1.0, 1, ""]),
        ],
        {M: 0.5},
        {M: 1.0},
    ),
    "a record shows what it has learned": (
        [KEEP, (1, "learn", [M, "sure", 0.75]), (1, "shown", [M, "sure"])],
        0.5,
        0.75,
    ),
    "learned amplitudes survive a save": (
        [
            *(KEEP, (1, "strengthen_cycle", [M, "calm"]), (2, "change", [M, {"weight": 2.0}])),
            (2, "weaken_cycle", [M, "calm", 1]),
        ],
        [[31536000, 2.0, 0]],
        [[31536000, 2.4, 0]],
    ),
    "a ranking is of the records that the query finds": (
        [
            *(KEEP, (1, "keep", ["Memory", {"name": "newer", "agent": "b"}])),
            (2, "top", ["relevance", 9, {"agent": "a"}]),
        ],
        ["newer", "m"],
        ["m"],
    ),
    "a large error never raises a confidence": (
        [
            *(KEEP, (1, "predict", [M, {}]), (2, "observe", [{M: "contradicted"}])),
            (2, "confidence", [M, "sure"]),
        ],
        {
            "confidence": 0.1707106781186547,
            "single": 0.1707106781186547,
            "evidence_count": 2.0,
            "corroborations": 0.0,
            "contradictions": 2.0,
        },
        {
            "confidence": 0.1,
            "single": 0.1,
            "evidence_count": 1.0,
            "corroborations": 0.0,
            "contradictions": 1.0,
        },
    ),
    "a hair below the threshold is not below it": (
        [
            *(KEEP, (1, "observe", [{M: "contradicted"}]), (11, "touch", [M, "rhythm"])),
            (11, "weaken_cycle", [M, "rhythm", 0]),
            (
                11,
                "scores",
                [
                    *("$CyclicDecayF:Memory:rhythm:a", "$CyclicDecayF:Memory:rhythm:a:cycles"),
                    *("$CyclicDecayF:Memory:rhythm:a:pressure", NOW + 11 * DAY, 0.5, 1, ""),
                ],
            ),
        ],
        {M: 11.0},
        {M: 11.1},
    ),
    "numbers of opposite sign differ by 1 at most": (
        [KEEP, (0, "error", [{"x": -5}, {"x": 5}])],
        2.0,
        1.0,
    ),
    "what was predicted survives": (
        [
            *(KEEP, (1, "predict", [M, {"n": None, "d": {}, "i": 2**53 + 1}])),
            *((1, "auto_resolve", [M, "used"]), (1, "predicted", [M])),
        ],
        {"d": [], "i": 2**53},
        {"n": None, "d": {}, "i": 2**53 + 1},
    ),
    "bytes may be predicted": (
        [KEEP, (1, "predict", [M, {"b": b"\xff"}]), (1, "auto_resolve", [M, "used"])],
        None,
        0.3,
    ),
    "a deleted record leaves no prediction": (
        [
            *(KEEP, (1, "predict", [M, {"x": 1}]), (1, "auto_resolve", [M, "used"])),
            *((1, "forget", [M]), KEEP, (2, "worst_keys", ["Memory"])),
        ],
        [M],
        [],
    ),
    "accesses follow a record to another key": (
        [
            *(KEEP, (1, "read", [M]), (1, "confirm", [M]), (2, "rekey", [M, {"name": "moved"}])),
            (2, "accesses", ["Memory:moved"]),
        ],
        [0, None],
        [1, NOW + DAY],
    ),
    "edges follow a record to another key": (
        [
            *NODES,
            (0, "edges", ["both", "link", "Node:a", "Node:b", 0.5]),
            (1, "rekey", ["Node:a", {"name": "moved"}]),
            (1, "edges", ["both", "get_linked", "Node:b"]),
        ],
        [],
        [("Node:moved", 0.5)],
    ),
    "edges that go one way go with the record they lead to": (
        [
            *(*NODES, (0, "edges", ["ways", "link", "Node:a", "Node:b", 0.5])),
            *((0, "forget", ["Node:b"]), (0, "edges", ["ways", "get_linked", "Node:a"])),
        ],
        [("Node:b", 0.5)],
        [],
    ),
    "a link replies its weight": ([(0, "weight_of_link", ["x", "y", 0.25])], 0, 0.25),
    "weakening is mirrored": (
        [
            (0, "edges", ["both", "link", "x", "y", 0.5]),
            (0, "edges", ["both", "weaken_all", "x", 0.5]),
            (0, "edges", ["both", "get_linked", "y"]),
        ],
        [("x", 0.5)],
        [("x", 0.25)],
    ),
    "strengthening keeps to max_edges": (
        [
            *((0, "edges", ["ways", "strengthen", "s", str(n), n / 10]) for n in (1, 2, 3, 4)),
            (0, "edges", ["ways", "get_linked", "s"]),
        ],
        [("4", 0.4), ("3", 0.3), ("2", 0.2), ("1", 0.1)],
        [("4", 0.4), ("3", 0.3), ("2", 0.2)],
    ),
    "priority ends with a lower score": (
        [
            (0, "keep", ["Note", {"name": "n", "worth": 0.9}]),
            *((0, "change", ["Note:n", {"worth": 0.5}]), (0, "priority", ["Note"])),
        ],
        ["Note:n"],
        [],
    ),
    "proposals go with their record": (
        [*(KEEP, (1, "surface", [[M]]), (1, "forget", [M])), (1, "pending", ["Memory"])],
        [[M, NOW + DAY]],
        [],
    ),
    "proposals are resolved in every partition": (
        [
            *(KEEP, (1, "surface", [[M], "p"]), (1, "observe", [{M: "used"}])),
            (1, "pending", ["Memory", "p"]),
        ],
        [[M, NOW + DAY]],
        [],
    ),
    "check_indexes looks at companions": (
        [KEEP, (0, "strengthen_cycle", [M, "calm"]), (0, "upkeep", ["Memory", "check_indexes"])],
        "ResponseError",
        0,
    ),
    "an edge to itself is refused": (
        [(0, "edges", ["both", "strengthen", "x", "x"])],
        0.05,
        "ValueError",
    ),
}


def last_reply(story: list[Step], side: Side) -> Any:
    """The last reply, or the name of the error."""
    play(story[:-1], side)
    try:
        return play(story[-1:], side)[0]
    except PeerError as error:
        return error.kind
    except Exception as error:  # noqa: BLE001 - which one it is, is what the test compares
        return type(error).__name__


@pytest.mark.parametrize("about", DIFFERENCES)
def test_what_differs_on_purpose(
    about: str, ours: Side, published: Side, redis_client: redis.Redis
) -> None:
    story, there, here = DIFFERENCES[about]
    found = last_reply(story, published)
    assert same(found, there), f"1.6.1 replies {found}"
    redis_client.flushall()
    found = last_reply(story, ours)
    assert same(found, here), f"replied {found}"
