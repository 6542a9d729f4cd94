"""No error tells a password, whatever is wrong with the URL that holds it, or with the server."""

from __future__ import annotations

import asyncio
import contextlib
import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
from hypothesis import assume, given
from hypothesis import strategies as st

from popoto import redis_db
from popoto._connection.settings import from_arguments, from_url, masked
from popoto._error_reporting import enable_error_reporting
from popoto.cli import main
from popoto.cli.exits import USAGE
from popoto.embeddings.ollama import OllamaProvider
from popoto.exceptions import ConfigurationError
from popoto.redis_db import POPOTO_REDIS_DB
from popoto.testing import flush_test_db
from tests.connection.scripted import scripted_server

PIECE = 4

# Words that no message of ours or of a library holds, with what should have been quoted between.
PASSWORDS = st.lists(
    st.one_of(
        st.text("QXZJVW7395", min_size=1, max_size=6),
        st.sampled_from([*"/?#@:&=%+;,[]\\ \t\n'\"$.~", "://", "%40", "=a&", "℀", "é", "\u3000"]),
    ),
    min_size=1,
    max_size=8,
).map("".join)
DIGITS = st.text("7395", min_size=4, max_size=5)

FORMS = [
    "redis://:{}@host:6379/0",
    "redis://me:{}@host",
    "redis://me:{}@host/name",
    "redis://me:{}@host:port/0",
    "redis://me:{}@host/0?colour=blue",
    "redis://me:{}@host/0?socket_timeout=soon",
    "redis://me:{}@[::1/0",
    "rediss://:{}@host:6379/0?ssl_cert_reqs=none",
    "redis://me:{}/0",
    "redis://me:{}",
    "redis://:{}@",
    "redis://host?password={}",
    "redis://host?password={}&db=1",
    "redis://host?pass%77ord={}",
    "redis://host?db={}",
    "unix://:{}@/run/redis.sock",
    "unix://me:{}@/run/redis.sock?db=x",
    "unix:///run/redis.sock?password={}",
    "redis+cluster://me:{}@a:1,b:2",
    "redis+cluster://me:{}@a:1,b:2/3",
    "rediss+cluster://me:{}@a,,b",
    "redis+sentinel://me:{}@a:1/prime/0",
    "redis+sentinel://a:1/prime?sentinel_password={}",
    "redis+sentinel://me:{}@a:1",
    "redis+sentinel://me:{}@a:1/prime/x",
    "embedded://:{}@/directory",
    "REDIS://:{}@host",
    "valkey://me:{}@host/0",
    "http://me:{}@host/0",
    "redis:/me:{}@host/0",
    "redis:me:{}@host/0",
    "://me:{}@host/0",
    "me:{}@host/0",
    "{}@host/0",
]


def pieces(password: str) -> set[str]:
    return {password[start : start + PIECE] for start in range(len(password) - PIECE + 1)}


def chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        yield from chain(error.__cause__)
        error = error.__context__


def assert_untold(password: str, *texts: str) -> None:
    for text in texts:
        told = {piece for piece in pieces(password) if piece in text}
        # Some pieces are marks alone, which stand in every URL.
        assert not {piece for piece in told if set(piece) - set("/:@?#&=%.,*\\ ")}, text


def texts_of(error: BaseException) -> list[str]:
    return [text for each in chain(error) for text in (str(each), repr(each), repr(vars(each)))]


@given(st.sampled_from(FORMS), st.one_of(PASSWORDS, DIGITS))
def test_no_url_tells_its_password(form: str, password: str) -> None:
    # Without an @ of the form there are a host and its port, and perhaps a / and a database, and no
    # password; behind one of the password's own there is such a host.
    behind = password.rpartition("@")[2]
    assume("@" in form or "pass" in form or not behind.replace("/", "").isdecimal())
    url = form.format(password)
    try:
        settings = from_url(url)
    except ConfigurationError as error:
        told = [*texts_of(error), masked(url)]
    else:
        told = [settings.url, repr(settings), masked(url)]
    assert_untold(password, *told)


@given(PASSWORDS)
def test_a_quoted_password_arrives_as_it_is(password: str) -> None:
    quoted = "".join(f"%{byte:02X}" for byte in password.encode())
    for form, kind in (
        ("redis://me:{}@host:6379/0", "options"),
        ("redis://host?password={}", "options"),
        ("unix://:{}@/run/redis.sock", "options"),
        ("redis+cluster://me:{}@a:1,b:2", "options"),
        ("redis+sentinel://me:{}@a:1/prime/0", "options"),
        ("redis+sentinel://a:1/prime?sentinel_password={}", "sentinel_options"),
    ):
        settings = from_url(form.format(quoted))
        assert getattr(settings, kind)["password"] == password
        assert_untold(password, settings.url, repr(settings))


@pytest.mark.parametrize("mark", ["/", "?", "#"])
@pytest.mark.parametrize("form", ["redis://me:{}@host/0", "unix://:{}@/run/redis.sock"])
def test_an_unquoted_mark_is_refused_with_the_remedy(mark: str, form: str) -> None:
    for password in (f"QXZJ{mark}VWQX", f"7395{mark}VWQX", f"7395{mark}a=VWQX", f"a@{mark}VWQX"):
        with pytest.raises(ConfigurationError, match=r"%2F for /, %3F for \?, %23 for #"):
            from_url(form.format(password))


def test_what_was_meant_is_told_by_names_of_redis_py_alone() -> None:
    with pytest.raises(ConfigurationError, match="there is socket_timeout") as found:
        from_url("redis://host?socket_timeot=5")
    assert "timeot" not in str(found.value)
    with pytest.raises(ConfigurationError, match="option db ") as found:
        from_url("redis://host?db=QXZJ")
    # Python's own "invalid literal for int()" would be among these.
    assert_untold("QXZJ", *texts_of(found.value))
    with pytest.raises(ConfigurationError, match="It starts with http://"):
        from_url("http://localhost:6379")
    # The scheme is missing here, and what looks like one is the beginning of the password.
    with pytest.raises(ConfigurationError) as found:
        from_url("QXZJ://VW@localhost:6379")
    assert_untold("QXZJ", *texts_of(found.value))


@pytest.mark.parametrize("url", ["redis://:pa\nss@host", "redis://:pa\tss@host"])
def test_what_the_standard_library_would_drop_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="control character"):
        from_url(url)


@pytest.mark.parametrize("url", ["redis://host?password", "redis://host?password=QX&ZJVW&db=1"])
def test_what_redis_py_would_drop_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="name=value"):
        from_url(url)


@pytest.mark.parametrize("given", [{"host": "redis://:QXZJ@h"}, {"host": "me:QXZJ@h"}])
def test_a_url_in_the_place_of_a_host_is_refused(given: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="url=") as found:
        from_arguments((), given)
    assert_untold("QXZJ", *texts_of(found.value))
    with pytest.raises(ConfigurationError):
        from_url("redis://?host=me:QXZJ%40h")


def test_a_user_alone_may_be_a_password() -> None:
    assert masked("redis://QXZJ@host/0") == "redis://***@host/0"


# ── Clients ──────────────────────────────────────────────────────────────────

SECRET = "QXZJ 'VW/73"
QUOTED = "QXZJ%20%27VW%2F73"


@contextmanager
def all_logged() -> Iterator[io.StringIO]:
    text = io.StringIO()
    handler = logging.StreamHandler(text)
    loggers = [logging.getLogger(), logging.getLogger("POPOTO-REDIS_DB")]
    levels = [logger.level for logger in loggers]
    loggers[0].addHandler(handler)
    for logger in loggers:
        logger.setLevel(logging.DEBUG)
    try:
        yield text
    finally:
        loggers[0].removeHandler(handler)
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def quoting(command: list[bytes]) -> bytes | None:
    """A server without AUTH quotes what it was sent."""
    if command[0].upper() not in (b"AUTH", b"HELLO"):
        return None
    arguments = " ".join(f"'{word.decode()}'" for word in command[1:])
    return f"-ERR unknown command 'AUTH', with args beginning with: {arguments}\r\n".encode()


@pytest.mark.parametrize("options", ["", "?protocol=3"])
@pytest.mark.parametrize("user", ["", "me"])
async def test_a_server_that_quotes_the_password_is_not_quoted(user: str, options: str) -> None:
    with scripted_server(quoting) as port, all_logged() as logged:
        url = f"redis://{user}:{QUOTED}@127.0.0.1:{port}/0{options}"
        with redis_db.using(url):
            client = await redis_db.get_async_redis_db()
            with pytest.raises(redis.RedisError) as by_client:
                POPOTO_REDIS_DB.get("a")
            with pytest.raises(redis.RedisError) as by_async_client:
                await client.get("a")
            with pytest.raises(redis.RedisError) as by_call:
                redis_db.connection().call(("GET", "a"), repeatable=True)
            assert not redis_db.check_connection()
            assert not await redis_db.async_check_connection()
            representations = [repr(POPOTO_REDIS_DB.connection_pool), repr(client)]
            representations += [repr(client.connection_pool), repr(redis_db.get_REDIS_DB())]
    for found in (by_client, by_async_client, by_call):
        assert "AUTH" in str(found.value)
        assert_untold(SECRET, *texts_of(found.value))
    assert_untold(SECRET, logged.getvalue(), *representations)


@pytest.mark.parametrize(
    "url",
    [
        f"redis+sentinel://me:{QUOTED}@127.0.0.1:1/prime?sentinel_password={QUOTED}",
        f"redis+cluster://me:{QUOTED}@127.0.0.1:1",
        f"redis://me:{QUOTED}@127.0.0.1:1",
        f"unix://me:{QUOTED}@/nowhere/at/all.sock",
    ],
)
async def test_a_server_that_is_not_there_is_named_without_password(url: str) -> None:
    with redis_db.using(url):
        client = await redis_db.get_async_redis_db()
        with pytest.raises(redis.RedisError) as by_client:
            POPOTO_REDIS_DB.get("a")
        with pytest.raises(redis.RedisError) as by_async_client:
            await client.get("a")
        representations = [repr(redis_db.get_REDIS_DB()), repr(client)]
    for found in (by_client, by_async_client):
        assert masked(url) in str(found.value)
        assert_untold(SECRET, *texts_of(found.value), *representations)


@pytest.mark.parametrize("scheme", ["redis", "redis+cluster", "redis+sentinel"])
def test_sentinels_and_clusters_that_quote_are_not_quoted(scheme: str) -> None:
    with scripted_server(quoting) as port:
        rest = f"/prime?sentinel_password={QUOTED}" if "sentinel" in scheme else ""
        with redis_db.using(f"{scheme}://me:{QUOTED}@127.0.0.1:{port}{rest}"):
            with pytest.raises(redis.RedisError) as by_client:
                POPOTO_REDIS_DB.get("a")
            with pytest.raises(redis.RedisError) as by_call:
                redis_db.connection().call(("GET", "a"), repeatable=True)

            async def ask() -> None:
                await (await redis_db.get_async_redis_db()).get("a")

            with pytest.raises(redis.RedisError) as by_async_client:
                asyncio.run(ask())
    for found in (by_client, by_call, by_async_client):
        assert_untold(SECRET, *texts_of(found.value))


def test_the_databases_of_tests_are_named_without_password(monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"redis://me:{QUOTED}@127.0.0.1:1/3"
    monkeypatch.setattr(redis_db, "REDIS_URL", url)
    with (
        redis_db.using(url),
        pytest.raises(ValueError, match=r"me:\*\*\*@127\.0\.0\.1:1/3") as found,
    ):
        flush_test_db()
    assert_untold(SECRET, *texts_of(found.value))


# ── The command line, and addresses of other services ────────────────────────


@pytest.mark.parametrize(
    "arguments",
    [
        ["models", "tests.cli.zoo", "--url", "redis://me:QXZJ/VW73@host/0"],
        ["models", "tests.cli.zoo", "--url=redis://me:QXZJ?VW73@host/0"],
        ["models", "tests.cli.zoo", "--ulr", "redis://me:QXZJ VW73@host/0"],
        ["models", "tests.cli.zoo", "redis://me:QXZJ VW73@host/0"],
        ["models", "redis://me:QXZJVW73@host/0"],
        ["models", "me:QXZJVW73@host/0"],
        ["redis://me:QXZJVW73@host/0", "models"],
        ["import", "tests.cli.zoo", "redis://me:QXZJVW73@host/0"],
        ["export", "tests.cli.zoo", "-o", "redis://me:QXZJVW73@host/0"],
        ["serve", "redis://me:QXZJVW73@host/0"],
        ["models", "tests.cli.zoo", "me:QXZJVW73@host/0"],
    ],
)
def test_the_command_tells_no_url(
    arguments: list[str], capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with contextlib.chdir(tmp_path), all_logged() as logged:
        try:
            code: object = main(arguments)
        except SystemExit as ending:
            code = ending.code
    assert code == USAGE
    told = capfd.readouterr()
    assert told.err
    for password in ("QXZJ/VW73", "QXZJ", "VW73"):
        assert_untold(password, told.out, told.err, logged.getvalue())
    assert not list(tmp_path.iterdir())


def test_the_address_of_ollama_holds_no_password() -> None:
    with pytest.raises(ValueError, match="no user name and password") as found:
        OllamaProvider(base_url="http://me:QXZJVW73@localhost:11434")
    assert_untold("QXZJVW73", *texts_of(found.value))


def test_the_address_of_error_reports_is_not_logged() -> None:
    with all_logged() as logged:
        enable_error_reporting("https://key:QXZJ/VW73@host/1")
    assert "Errors are not reported" in logged.getvalue()
    assert_untold("QXZJ/VW73", logged.getvalue())
