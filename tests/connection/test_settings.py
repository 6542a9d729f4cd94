"""What a connection URL asks for, and which URLs are refused before anything is opened."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import redis
from redis.connection import SSLConnection, UnixDomainSocketConnection

from popoto import redis_db
from popoto._connection.policy import is_read
from popoto._connection.pools import SentinelPool, make_pool
from popoto._connection.routing import slot_of
from popoto._connection.settings import from_url, masked
from popoto.exceptions import ConfigurationError
from popoto.redis_db import POPOTO_REDIS_DB

SOURCE = Path(redis_db.__file__).parents[1]


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={"PYTHONPATH": str(SOURCE), "PATH": "/usr/bin:/bin", **environment},
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )


# ── URLs ─────────────────────────────────────────────────────────────────────


def test_a_plain_url() -> None:
    options = from_url("redis://me:se%40cret@example:7000/3").options
    assert (options["host"], options["port"], options["db"]) == ("example", 7000, 3)
    assert (options["username"], options["password"]) == ("me", "se@cret")
    assert options["socket_timeout"] == options["socket_connect_timeout"] == 5
    assert from_url("redis://").options["host"] == "localhost"
    assert from_url("rediss://example").options["connection_class"] is SSLConnection
    assert from_url("REDIS://example?socket_timeout=2").options["socket_timeout"] == 2
    unix = from_url("unix:///tmp/a%20b.sock?db=2").options
    assert unix["connection_class"] is UnixDomainSocketConnection
    assert (unix["path"], unix["db"]) == ("/tmp/a b.sock", 2)


def test_a_cluster_url() -> None:
    settings = from_url("rediss+cluster://me:secret@a:7000,b,[::1]:7002")
    assert settings.kind == "cluster"
    assert settings.addresses == (("a", 7000), ("b", 6379), ("::1", 7002))
    assert settings.options["password"] == "secret"
    assert settings.options["connection_class"] is SSLConnection
    assert "secret" not in repr(settings)


def test_a_sentinel_url() -> None:
    settings = from_url(
        "redis+sentinel://me:pw@a:1,b:2/prime/4?sentinel_password=x&socket_timeout=2"
    )
    assert settings.kind == "sentinel"
    assert settings.addresses == (("a", 1), ("b", 2))
    assert (settings.service, settings.options["db"]) == ("prime", 4)
    assert settings.sentinel_options["password"] == "x"
    assert from_url("redis+sentinel://a/prime").addresses == (("a", 26379),)
    pool = make_pool(settings)
    assert isinstance(pool, SentinelPool)
    assert pool.service_name == "prime"
    with pytest.raises(redis.ConnectionError, match="redis\\+sentinel://"):
        make_pool(from_url("redis+sentinel://127.0.0.1:1/prime")).checkout()


async def test_sentinels_asked_asynchronously() -> None:
    with redis_db.using("redis+sentinel://127.0.0.1:1,127.0.0.1:2/prime"):
        connection = await redis_db.async_connection()
        with pytest.raises(redis.ConnectionError, match="prime"):
            await connection.call(("PING",), repeatable=True)


def test_embedded_urls() -> None:
    assert from_url("embedded://").directory is None
    assert from_url("embedded:///var/lib/my%20data?db=2").directory == "/var/lib/my data"
    assert from_url("embedded:///var/lib/my%20data?db=2").options["db"] == 2


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:6379",
        "http://localhost",
        "redis://localhost:port",
        "redis://localhost:99999",
        "redis://localhost/name",
        "redis://localhost?colour=blue",
        "redis://localhost?socket_timeout=soon",
        "redis://localhost?decode_responses=true",
        "redis+cluster://a,b/1",
        "redis+cluster://a,,b",
        "redis+sentinel://a:1",
        "redis+sentinel://a:1/service/name",
        "embedded://directory",
        "unix://",
        "unix://host/run/redis.sock",
    ],
)
def test_refused_urls(url: str) -> None:
    with pytest.raises(ConfigurationError):
        from_url(url)


def test_passwords_are_masked() -> None:
    assert masked("redis://me:p@ss@host/1") == "redis://me:***@host/1"
    assert masked("redis://:secret@host") == "redis://:***@host"
    assert masked("unix:///a.sock?password=x&db=1") == "unix:///a.sock?password=***&db=1"
    assert "pass" not in masked("me:pass@host")


# ── The environment ──────────────────────────────────────────────────────────


def test_importing_connects_to_nothing_and_starts_nothing() -> None:
    code = """
        import socket, subprocess
        def refuse(*args, **kwargs): raise AssertionError("opened")
        socket.socket.connect = refuse
        subprocess.Popen = refuse
        from popoto import redis_db
        from popoto.exceptions import PopotoException
        assert redis_db.PopotoException is PopotoException
        print(redis_db.REDIS_URL, redis_db.ENCODING, redis_db.BEGINNING_OF_TIME)
        print(redis_db.connection().url)
    """
    for url in (
        "embedded://",
        "redis+cluster://a:1,b:2",
        "redis+sentinel://a:1/s/2",
        "redis://:x@h:1/2",
    ):
        done = run(code, REDIS_URL=url)
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines() == [f"{url} utf-8 0", masked(url)]
    assert run(code).stdout.splitlines()[1] == "redis://127.0.0.1:6379/0"


def test_a_bad_url_is_a_value_error_at_import() -> None:
    done = run(
        """
        try:
            import popoto.redis_db
        except ValueError as error:
            print("refused", error)
        """,
        REDIS_URL="ftp://example",
    )
    assert done.stdout.startswith("refused"), done.stderr


def test_other_variables() -> None:
    code = """
        import logging
        from popoto import redis_db
        print(redis_db.BEGINNING_OF_TIME, logging.getLogger("POPOTO-REDIS_DB").level)
    """
    assert run(code, BEGINNING_OF_TIME="1700", POPOTO_LOG_LEVEL="debug").stdout == "1700 10\n"
    done = run(code, BEGINNING_OF_TIME="then", POPOTO_LOG_LEVEL="loud")
    assert done.stdout == "0 30\n"
    assert "BEGINNING_OF_TIME" in done.stderr
    assert "POPOTO_LOG_LEVEL is no level of logging: 'LOUD'" in done.stderr


def test_a_variable_that_looks_like_ours_is_told_of() -> None:
    done = run("import popoto", POPOTO_CONTENT_PTAH="/tmp", POPOTO_PORT_6379_TCP="tcp://a:1")
    assert done.stderr == (
        "popoto does not read POPOTO_CONTENT_PTAH; did you mean POPOTO_CONTENT_PATH?\n"
    )
    done = run("import popoto", POPOTO_REDIS_URL="redis://somewhere")
    assert done.stderr == "popoto does not read POPOTO_REDIS_URL; did you mean REDIS_URL?\n"


# ── Embedded ─────────────────────────────────────────────────────────────────


def test_the_embedded_server_starts_at_the_first_command() -> None:
    done = run(
        """
        import asyncio
        from popoto import redis_db
        from popoto.redis_db import POPOTO_REDIS_DB
        async def main():
            connection = await redis_db.async_connection()
            return await connection.call(("INCR", "n"), repeatable=False)
        print(POPOTO_REDIS_DB.incr("n"), asyncio.run(main()), redis_db.check_connection())
        """,
        REDIS_URL="embedded://",
    )
    assert done.stdout == "1 2 True\n", done.stderr


def test_an_embedded_server_that_died_is_started_again() -> None:
    done = run(
        """
        import asyncio, os, signal
        from contextlib import suppress
        from popoto import redis_db
        from popoto.redis_db import POPOTO_REDIS_DB
        def kill():
            process = POPOTO_REDIS_DB.info("server")["process_id"]
            os.kill(process, signal.SIGKILL)
            with suppress(ProcessLookupError):
                while True:
                    os.kill(process, 0)
        async def main():
            connection = await redis_db.async_connection()
            await connection.call(("PING",), repeatable=False)
            kill()
            return await connection.call(("INCR", "n"), repeatable=False)
        POPOTO_REDIS_DB.set("n", 7)
        kill()
        print(redis_db.connection().call(("INCR", "n"), repeatable=False), asyncio.run(main()))
        """,
        REDIS_URL="embedded://",
    )
    assert done.stdout == "1 1\n", done.stderr


def test_the_embedded_server_keeps_a_directory(tmp_path: Path) -> None:
    url = f"embedded://{tmp_path}?db=1"
    with redis_db.using(url):
        POPOTO_REDIS_DB.set("a", 1)
        done = run(
            "from popoto.redis_db import POPOTO_REDIS_DB as db; print(db.get('a'))", REDIS_URL=url
        )
    assert done.stdout == "b'1'\n", done.stderr


# ── What may be repeated, and where it goes ──────────────────────────────────


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (("GET", "a"), True),
        ((b"hgetall", "a"), True),
        (("CONFIG GET", "x"), True),
        (("CONFIG", "SET", "x", "y"), False),
        (("SCRIPT", "LOAD", "x"), True),
        (("SCRIPT FLUSH",), False),
        (("PING",), True),
        (("EVAL", "x", 0), False),
        (("INCR", "a"), False),
        (("SPOP", "a"), False),
        (("GETDEL", "a"), False),
        (("XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", ">"), False),
        (("CLUSTER", "RESET"), False),
    ],
)
def test_only_reads_may_be_repeated(command: tuple[str | bytes | int, ...], expected: bool) -> None:
    assert is_read(command) is expected


@pytest.mark.parametrize(
    ("command", "key"),
    [
        (("GET", "a"), b"a"),
        (("evalsha", "0" * 40, 2, b"a", "b", "argument"), b"a"),
        (("ZUNION", 2, "a", "b", "WITHSCORES"), b"a"),
        (("XREAD", "COUNT", 1, "STREAMS", "a", "0"), b"a"),
        (("OBJECT", "ENCODING", "a"), b"a"),
        (("XGROUP", "CREATE", "a", "g", "$"), b"a"),
        (("EVAL", "return 1", 0), None),
        (("PING",), None),
        (("SCAN", 0), None),
    ],
)
def test_the_slot_is_that_of_the_first_key(
    command: tuple[str | bytes | int, ...], key: bytes | None
) -> None:
    assert slot_of(command) == (None if key is None else redis.crc.key_slot(key))
