"""Settings that are wrong, or say two things, are refused before anything is sent."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import redis

import popoto
from popoto import embedded, redis_db
from popoto._connection.settings import from_arguments, from_url
from popoto.embedded import EmbeddedServerError
from popoto.exceptions import ConfigurationError
from popoto.stores.default import get_default_store
from popoto.stores.filesystem import FilesystemStore


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("redis://h?db=1&db=2", "db is there twice"),
        ("redis://h/1?db=2", "db says something else"),
        ("redis://h?host=i", "host says something else"),
        ("redis://h:1?port=2", "port says something else"),
        ("redis://:a@h?password=b", "password says something else"),
        ("redis://u:a@h?username=v", "username says something else"),
        ("unix:///run/a.sock?path=/run/b.sock", "path says something else"),
        ("embedded://?path=/run/b.sock", "path says something else"),
        ("redis+cluster://h:1?host=i", "stand before the path"),
        ("redis+sentinel://h:1/service?port=2", "stand before the path"),
        ("redis://h?sentinel_password=x", "no option of that name"),
        ("redis://h?socket_timeout=0", "socket_timeout has to be a positive number"),
        ("redis://h?socket_timeout=-1", "socket_timeout has to be"),
        ("redis://h?socket_connect_timeout=nan", "socket_connect_timeout has to be"),
        ("redis://h?timeout=-1", "timeout has to be"),
        ("redis://h?max_connections=0", "max_connections has to be"),
        ("redis://h?max_connections=-3", "max_connections has to be"),
        ("redis://h?protocol=5", "protocol has to be 2 or 3"),
        ("redis://h?db=-1", "db has to be"),
        ("redis://h?health_check_interval=-5", "health_check_interval has to be"),
        ("redis://h?socket_keepalive=perhaps", "has to be true or false"),
        ("rediss://h?ssl_check_hostname=off", "has to be true or false"),
        ("redis://h?retry=5", "no option of that name"),
        ("redis://h?credential_provider=x", "no option of that name"),
        ("embedded:///", "names no directory"),
        ("embedded:////", "names no directory"),
        ("embedded:///~/data", "write its whole path"),
    ],
)
def test_a_url_that_is_wrong_or_says_two_things_is_refused(url: str, told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        from_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "redis://h/1?db=1",
        "redis://h:1?port=1&host=h",
        "redis://?host=h&port=2",
        "redis://u:a@h?password=a&socket_keepalive=YES",
        "redis://h?timeout=0&protocol=3&health_check_interval=30&socket_timeout=0.5",
        "redis+sentinel://h:1/service?sentinel_password=x",
    ],
)
def test_what_says_the_same_is_taken(url: str) -> None:
    assert from_url(url).options


@pytest.mark.parametrize(
    "arguments",
    [
        {"db": -1},
        {"db": "x"},
        {"db": True},
        {"port": "abc"},
        {"port": 99999999},
        {"socket_timeout": 0},
        {"socket_timeout": "x"},
        {"socket_connect_timeout": -1},
        {"max_connections": 0},
        {"max_connections": "5"},
        {"protocol": 7},
        {"connection_pool": 5},
        {"unix_socket_path": "/run/a.sock", "host": "h"},
        {"unix_socket_path": "/run/a.sock", "ssl": True},
        {"connection_pool": redis.ConnectionPool(), "host": "h"},
    ],
    ids="-".join,
)
def test_arguments_that_are_wrong_or_say_two_things_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        redis_db.set_REDIS_DB_settings(**arguments)
    assert any(name in str(refusal.value) for name in arguments)


def test_texts_of_an_environment_and_no_limits_are_taken() -> None:
    found = from_arguments((), {"host": "h", "port": "7000", "db": "2", "socket_timeout": None})
    assert found.options["port"] in ("7000", 7000)
    assert found.options["socket_timeout"] is None
    assert from_arguments((), {"connection_pool": redis.ConnectionPool(db=3)}).kind == "single"


async def test_a_url_in_the_first_place_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="url="):
        redis_db.set_REDIS_DB_settings("redis://h:7000")
    with pytest.raises(ConfigurationError, match="url="):
        await redis_db.set_async_redis_db_settings("redis://h:7000")
    wrong: Any = 5
    for names in ({"url": wrong}, {"replica_url": wrong}):
        with pytest.raises(ConfigurationError, match="is text, and not of type int"):
            redis_db.set_REDIS_DB_settings(**names)


@pytest.mark.parametrize("number", [-1, "x", 1.5, True, None], ids=str)
def test_a_database_is_a_number(number: Any) -> None:
    with pytest.raises(ConfigurationError, match="numbered from 0"):
        redis_db.use_database(number)


def test_the_variable_that_is_wrong_is_named() -> None:
    environment = {**os.environ, "REDIS_URL": "redis://h", "REDIS_REPLICA_URL": "junk"}
    done = subprocess.run(
        [sys.executable, "-c", "import popoto"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "REDIS_REPLICA_URL" in done.stderr.splitlines()[-1]


def test_a_directory_of_ones_own_is_written_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(EmbeddedServerError, match="expanduser"):
        embedded.start("~/data")
    assert list(tmp_path.iterdir()) == []
    with pytest.warns(UserWarning, match="a directory named ~ in the current one"):
        store = FilesystemStore("~/texts")
    assert store.base_path == str(tmp_path / "~" / "texts")


@pytest.mark.parametrize("path", ["", 5, b"texts", True], ids=repr)
def test_what_is_no_path_of_contents_is_refused_and_changes_nothing(path: Any) -> None:
    before = get_default_store()
    with pytest.raises(ConfigurationError, match="content_path"):
        popoto.configure(content_path=path, content_store=FilesystemStore("elsewhere"))
    assert get_default_store() is before


async def test_a_url_in_the_place_of_a_client_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_db, "POPOTO_REDIS_DB", "redis://h:7000")
    with pytest.raises(ConfigurationError, match=r"set_REDIS_DB_settings\(url=...\)"):
        redis_db.connection()
    monkeypatch.setattr(redis_db, "_POPOTO_ASYNC_REDIS_DB", "redis://h:7000")
    with pytest.raises(ConfigurationError, match=r"set_REDIS_DB_settings\(url=...\)"):
        await redis_db.async_connection()
