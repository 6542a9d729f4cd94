"""Going over a keyspace: what is asked of each node, told by feeding a plan its replies."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from popoto.engine.request import Call
from popoto.engine.run import run
from popoto.engine.scanning import Scan, literally


def fed(scan: Scan, *replies: Any) -> list[bytes] | None:
    """The next page, if the server gives these replies."""
    plan = scan.next()
    try:
        step = next(plan)
        assert isinstance(step, Call)
        for reply in replies:
            step = plan.send(reply)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("the plan asks for more")


def test_every_node_is_gone_over_to_its_end() -> None:
    scan = Scan("Thing", b"*", 10)
    assert scan._command(b"{Thing}") == ("SCAN", b"0", "MATCH", b"{Thing}*", "COUNT", 10)
    assert fed(scan, (2, b"", [b"7", [b"a", b"b"]])) == [b"a", b"b"]
    assert scan._command(b"")[1] == b"7"
    assert fed(scan, (2, b"", [b"0", []])) == []
    # The second node, from its beginning.
    assert scan._command(b"")[1] == b"0"
    assert fed(scan, (2, b"", [b"0", [b"c"]])) == [b"c"]
    assert fed(scan) is None
    assert fed(scan) is None


def test_the_tag_of_the_shard_is_taken_off() -> None:
    scan = Scan("Thing", b"*", 10)
    page = fed(scan, (1, b"{Thing}", [b"0", [b"{Thing}a", b"other", b"{Thing}"]]))
    assert page == [b"a", b""]


@pytest.mark.parametrize("text", ["a*b", "a?b", "a[b]", "a^b", "a\\b", "plain", "żółw"])
def test_a_pattern_that_means_just_this_text(redis_client: redis.Redis, text: str) -> None:
    redis_client.mset({text: 1, "a-b": 1, "axb": 1, "ab": 1})
    assert list(redis_client.scan_iter(literally(text))) == [text.encode()]


@pytest.mark.single_server("its names belong to no model and so to no shard")
def test_pages_of_a_server(redis_client: redis.Redis) -> None:
    redis_client.mset({f"k{number}": 1 for number in range(500)})
    scan = Scan("Thing", b"k*", 100)
    found: list[bytes] = []
    pages = 0
    while (page := run(scan.next())) is not None:
        found += page
        pages += 1
    assert set(found) == {b"k%d" % number for number in range(500)}
    assert pages > 1
