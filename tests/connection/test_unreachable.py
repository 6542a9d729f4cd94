"""A server that cannot be reached: what is shown, by models, by clients and by the command."""

from __future__ import annotations

import asyncio
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
import redis.exceptions

from popoto import EmbeddingField, KeyField, Model, StringField, redis_db
from popoto.exceptions import NothingWrittenError
from tests.cli.running import ROOT
from tests.connection.test_settings import run
from tests.driver import Api
from tests.vectors.provider import Known

NOBODY = "redis://127.0.0.1:1"
PROVIDER = Known()


class Lost(Model):
    name = KeyField()


class Compared(Model):
    name = KeyField()
    text = StringField()
    near = EmbeddingField(source="text", provider=PROVIDER, store="server")


def shown(failing: Callable[[], object]) -> tuple[list[str], BaseException]:
    """The lines that Python shows of an error, and the error."""
    with redis_db.using(NOBODY), pytest.raises(redis.exceptions.ConnectionError) as caught:
        failing()
    text = "".join(traceback.format_exception(caught.value))
    return text.splitlines(), caught.value


def test_one_traceback_says_what_the_system_said(api: Api) -> None:
    for failing in (lambda: api(Lost.create, name="a"), lambda: api(Lost.query.count)):
        lines, error = shown(failing)
        assert sum(line.startswith("Traceback") for line in lines) == 1
        assert "Connect" in lines[0]
        assert "direct cause" in lines[2]
        assert isinstance(error.__cause__, redis.exceptions.ConnectionError)


def test_so_do_the_clients() -> None:
    async def ask() -> object:
        return await (await redis_db.get_async_redis_db()).get("a")

    for failing in (lambda: redis_db.POPOTO_REDIS_DB.get("a"), lambda: asyncio.run(ask())):
        lines, _ = shown(failing)
        assert sum(line.startswith("Traceback") for line in lines) == 1


def test_programs_find_what_the_system_said() -> None:
    _, error = shown(lambda: Lost.create(name="a"))
    assert isinstance(error, NothingWrittenError)
    assert error.__cause__ is not None
    assert isinstance(error.__cause__.__context__, OSError)


def test_a_vector_that_was_made_before_is_nothing_written(api: Api) -> None:
    PROVIDER.calls.clear()
    with redis_db.using(NOBODY), pytest.raises(NothingWrittenError, match="Nothing was sent"):
        api(Compared.create, name="a", text="x")
    assert PROVIDER.texts == ["x"]


# The command -----------------------------------------------------------------------------------


COMMANDS = [
    ["models", "tests.cli.zoo"],
    ["indexes", "check", "tests.cli.zoo"],
    ["doctor", "tests.cli.zoo"],
    ["export", "tests.cli.zoo"],
    ["shell", "tests.cli.zoo"],
]


def command(*arguments: str) -> str:
    return f"""
        import os, sys
        os.chdir({str(ROOT)!r})
        os.execv(sys.executable, [sys.executable, "-m", "popoto", *{list(arguments)!r}])
    """


@pytest.mark.parametrize("arguments", COMMANDS, ids=lambda arguments: arguments[0])
def test_a_senseless_url_is_one_line(arguments: list[str]) -> None:
    done = run(command(*arguments), REDIS_URL="nonsense")
    assert done.returncode == 2
    assert done.stderr.startswith("popoto: REDIS_URL: A connection URL starts with one of redis://")
    assert len(done.stderr.splitlines()) == 1


def test_another_url_comes_first(tmp_path: Path) -> None:
    given = ["indexes", "check", "tests.cli.zoo", "--url", f"embedded://{tmp_path}"]
    done = run(command(*given), REDIS_URL="nonsense")
    assert done.returncode == 0, done.stderr


def test_the_script_of_the_command_knows_itself(tmp_path: Path) -> None:
    script = tmp_path / "popoto"
    script.write_text("import sys\nfrom popoto.cli import main\nsys.exit(main())\n")
    again = [str(script), "models", "x"]
    code = f"import os, sys; os.execv(sys.executable, [sys.executable, *{again!r}])"
    done = run(code, REDIS_URL="nonsense")
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert sys.executable
