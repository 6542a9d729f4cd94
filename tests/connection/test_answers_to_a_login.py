"""What a server answers while a connection is made is told as it is: it was reached."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis
from redis.exceptions import ConnectionError as NoConnection
from redis.exceptions import NoPermissionError, ResponseError

from popoto import KeyField, Model, redis_db
from tests.driver import Api


class Visit(Model):
    name = KeyField()


@pytest.fixture
def visitor(redis_client: redis.Redis) -> Iterator[str]:
    """A user who may not choose a database."""
    execute: Callable[..., Any] = redis_client.execute_command
    execute("ACL", "SETUSER", "visitor", "on", ">pw", "~*", "&*", "+@all", "-select")
    yield "visitor"
    execute("ACL", "DELUSER", "visitor")


def test_a_database_that_there_is_not_is_told_with_the_remedy(api: Api, server_url: str) -> None:
    with redis_db.using(f"unix://{urlsplit(server_url).path}?db=9999"):
        for call in (Visit.query.count, Visit(name="a").save):
            with pytest.raises(ResponseError, match=r"out of range\. .*take a lower num") as caught:
                api(call)
            assert not isinstance(caught.value, NoConnection)
            assert str(caught.value).count("take a lower number") == 1
        with pytest.raises(ResponseError, match="take a lower number"):
            redis_db.get_REDIS_DB().ping()


def test_a_right_that_is_missing_is_told_as_such(api: Api, server_url: str, visitor: str) -> None:
    with redis_db.using(f"unix://{visitor}:pw@{urlsplit(server_url).path}?db=5"):
        for call in (Visit.query.count, Visit(name="a").save):
            with pytest.raises(NoPermissionError, match="select"):
                api(call)
