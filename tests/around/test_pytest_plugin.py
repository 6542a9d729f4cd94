"""The pytest plugin, in sessions of their own: what it uses, empties and leaves alone."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
import tomllib
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis

from tests.driver import start_server

pytestmark = pytest.mark.slow  # each test is a session in a process of its own

SOURCE = Path(__file__).parents[2] / "src"
NOWHERE = "redis://127.0.0.1:1/0"


@dataclass
class Outcome:
    code: int
    text: str

    def counts(self, **wanted: int) -> bool:
        found = dict(re.findall(r"(\d+) (passed|failed|errors?|skipped)", self.text))
        return {kind: int(number) for number, kind in found.items()} == wanted


@dataclass
class Session:
    """Runs pytest on some test code in a directory of its own."""

    path: Path
    url: str
    is_named: bool = True
    """Whether the plugin is named to pytest, as opposed to found by its entry point."""

    def run(self, code: str, *arguments: str, ini: str = "", **environment: str) -> Outcome:
        (self.path / "test_sample.py").write_text(textwrap.dedent(code))
        (self.path / "pytest.ini").write_text(f"[pytest]\n{ini}\n")
        variables = {
            name: text
            for name, text in os.environ.items()
            if not name.startswith(("POPOTO", "PYTEST"))
        }
        path = f"{SOURCE}{os.pathsep}{self.path / 'installed'}"
        done = subprocess.run(
            [
                *(sys.executable, "-m", "pytest", "-q"),
                *(["-p", "popoto.pytest_plugin"] if self.is_named else ["-p", "no:asyncio"]),
                *arguments,
            ],
            cwd=self.path,
            env={
                **variables,
                "PYTHONPATH": path,
                "REDIS_URL": self.url,
                # Those of other packages take longer to import than a session to run.
                **({"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"} if self.is_named else {}),
                **environment,
            },
            capture_output=True,
            text=True,
            timeout=250,
            check=False,
        )
        return Outcome(done.returncode, done.stdout + done.stderr)


@pytest.fixture
def session(tmp_path: Path, server_url: str) -> Session:
    return Session(tmp_path, server_url)


def database(server_url: str, number: int) -> redis.Redis:
    return redis.Redis.from_url(f"{server_url}?db={number}")


def occupied(server_url: str) -> dict[int, list[bytes]]:
    """Database -> keys, of all that have any."""
    found: dict[int, list[bytes]] = {}
    for number in range(16):
        with database(server_url, number) as client:
            keys = sorted(client.keys())
        if keys:
            found[number] = keys
    return found


TWO_TESTS = """
    import popoto
    from popoto import redis_db

    class Thing(popoto.Model):
        name = popoto.KeyField()

    def test_one():
        Thing.create(name="a")
        assert redis_db.POPOTO_REDIS_DB.connection_pool.connection_kwargs["db"] == {number}

    def test_two():
        assert redis_db.POPOTO_REDIS_DB.keys() == []
        Thing.create(name="a")
"""


def test_each_test_begins_with_an_empty_database_that_is_not_the_one_of_the_url(
    session: Session, server_url: str
) -> None:
    with database(server_url, 0) as production:
        production.set("precious", 1)
    outcome = session.run(TWO_TESTS.format(number=15))
    assert outcome.counts(passed=2), outcome.text
    assert occupied(server_url) == {0: [b"precious"]}


@pytest.mark.parametrize(
    ("ini", "variable", "number"),
    [("popoto_test_db = 7", "", 7), ("popoto_test_db = 7", "9", 9), ("", "3", 3), ("", " ", 15)],
)
def test_the_database_can_be_chosen(session: Session, ini: str, variable: str, number: int) -> None:
    outcome = session.run(TWO_TESTS.format(number=number), ini=ini, POPOTO_TEST_DB=variable)
    assert outcome.counts(passed=2), outcome.text


@pytest.mark.parametrize(
    ("variable", "message"),
    [
        ("x", "popoto_test_db must be an integer"),
        ("0", "popoto_test_db=0 is not allowed"),
        ("-1", "popoto_test_db must be an integer"),
    ],
)
def test_a_number_that_cannot_be_used_is_refused(
    session: Session, variable: str, message: str, server_url: str
) -> None:
    outcome = session.run(TWO_TESTS.format(number=15), POPOTO_TEST_DB=variable)
    assert outcome.counts(errors=2), outcome.text
    assert f"ValueError: {message}" in outcome.text
    assert occupied(server_url) == {}


def test_the_database_of_the_url_is_never_used(session: Session, server_url: str) -> None:
    with database(server_url, 15) as production:
        production.set("precious", 1)
    session.url = f"{server_url}?db=15"
    outcome = session.run(TWO_TESTS.format(number=14))
    assert outcome.counts(passed=2), outcome.text
    outcome = session.run(TWO_TESTS.format(number=15), POPOTO_TEST_DB="15")
    assert outcome.counts(errors=2), outcome.text
    assert "is the database that the connection URL names" in outcome.text
    assert occupied(server_url) == {15: [b"precious"]}


def test_a_database_that_holds_something_is_not_touched(session: Session, server_url: str) -> None:
    with database(server_url, 15) as client:
        client.set("somebody's", 1)
    outcome = session.run(TWO_TESTS.format(number=15))
    assert outcome.counts(failed=2), outcome.text
    assert "is not empty, and not known as a test database" in outcome.text
    assert occupied(server_url) == {15: [b"somebody's"]}


def test_what_a_killed_session_left_is_emptied_by_the_next(
    session: Session, server_url: str
) -> None:
    killed = session.run("""
        import os, popoto

        class Thing(popoto.Model):
            name = popoto.KeyField()

        def test_killed():
            Thing.create(name="left behind")
            os._exit(3)
    """)
    assert killed.code == 3
    assert 15 in occupied(server_url)
    outcome = session.run(TWO_TESTS.format(number=15))
    assert outcome.counts(passed=2), outcome.text
    assert occupied(server_url) == {}
    # The mark is gone with the end of that session.
    with database(server_url, 15) as client:
        client.set("somebody's", 1)
    assert session.run(TWO_TESTS.format(number=15)).counts(failed=2)


def test_sessions_without_popoto_connect_to_nothing(session: Session, server_url: str) -> None:
    with database(server_url, 15) as client:
        client.set("somebody's", 1)
        before = client.info("stats")["total_connections_received"]
        outcome = session.run("def test_sum():\n    assert 1 + 1 == 2\n")
        assert outcome.counts(passed=1), outcome.text
        assert client.info("stats")["total_connections_received"] == before
    session.url = NOWHERE
    assert session.run("def test_sum():\n    assert 1 + 1 == 2\n").code == 0


def test_popoto_that_is_used_inside_a_test_alone_begins_empty_too(
    session: Session, server_url: str
) -> None:
    outcome = session.run("""
        def test_first():
            import popoto
            popoto.get_redis().set("a", 1)

        def test_second():
            import popoto
            assert popoto.get_redis().keys() == []
    """)
    assert outcome.counts(passed=2), outcome.text
    assert occupied(server_url) == {}


def test_a_missing_server_is_reported_once_and_stops_only_the_tests_that_need_it(
    session: Session,
) -> None:
    session.url = NOWHERE
    outcome = session.run("""
        import pytest, popoto, redis

        class Thing(popoto.Model):
            name = popoto.KeyField()

        def test_without_server():
            assert Thing(name="a").name == "a"

        @pytest.mark.parametrize("number", range(20))
        def test_with_server(number):
            with pytest.raises(redis.ConnectionError, match="Cannot reach the server"):
                Thing.create(name="a")
    """)
    assert outcome.counts(passed=21), outcome.text
    assert outcome.text.count("Cannot reach the server at redis://127.0.0.1:1/15") == 1
    assert float(re.findall(r"in ([\d.]+)s", outcome.text)[-1]) < 5


def test_the_configuration_is_as_documented_inside_a_test(session: Session) -> None:
    session.url = "redis://user:secret@127.0.0.1:1/2?socket_timeout=3"
    outcome = session.run("""
        import asyncio, redis.asyncio
        from popoto import redis_db

        def check(options):
            assert options["db"] == 15
            assert (options["host"], options["port"]) == ("127.0.0.1", 1)
            assert (options["username"], options["password"]) == ("user", "secret")

        def test_options():
            check(redis_db.POPOTO_REDIS_DB.connection_pool.connection_kwargs)
            assert redis_db.POPOTO_REDIS_DB.connection_pool.connection_kwargs["socket_timeout"] == 3
            assert isinstance(redis_db._POPOTO_ASYNC_REDIS_DB, redis.asyncio.Redis)
            check(redis_db._POPOTO_ASYNC_REDIS_DB.connection_pool.connection_kwargs)
            assert isinstance(redis_db._async_redis_lock, asyncio.Lock)

        def test_the_fixture_gives_the_number(_popoto_test_db):
            assert _popoto_test_db == 15
    """)
    assert outcome.counts(passed=2), outcome.text


def test_asyncio_uses_the_same_database(session: Session, server_url: str) -> None:
    outcome = session.run("""
        import asyncio
        import pytest
        import popoto

        class Thing(popoto.Model):
            name = popoto.KeyField()

        @pytest.mark.parametrize("number", range(2))
        def test_async(number):
            async def use():
                assert await Thing.query.async_count() == 0
                await Thing.async_create(name="a")
                client = await popoto.get_async_redis_db()
                assert client.connection_pool.connection_kwargs["db"] == 15
                assert b"Thing:a" in await client.keys()
            asyncio.run(use())
            assert Thing.query.count() == 1
    """)
    assert outcome.counts(passed=2), outcome.text
    assert occupied(server_url) == {}


def test_a_server_that_the_tests_configure_themselves_is_left_to_them(
    session: Session, server_url: str
) -> None:
    with database(server_url, 3) as client:
        client.set("theirs", 1)
    outcome = session.run(f"""
        import pytest, popoto
        from popoto import redis_db

        class Thing(popoto.Model):
            name = popoto.KeyField()

        @pytest.fixture(scope="session", autouse=True)
        def own_server():
            redis_db.set_REDIS_DB_settings(url="{server_url}?db=3")

        @pytest.mark.parametrize("name", "ab")
        def test_own(name):
            Thing.create(name=name)
            assert popoto.get_redis().get("theirs") == b"1"
    """)
    assert outcome.counts(passed=2), outcome.text
    assert list(occupied(server_url)) == [3]
    assert b"Thing:a" in occupied(server_url)[3]


def test_workers_have_databases_of_their_own(session: Session, server_url: str) -> None:
    outcome = session.run(
        """
        import time
        import pytest, popoto
        from popoto import redis_db

        class Thing(popoto.Model):
            name = popoto.KeyField()

        @pytest.mark.parametrize("number", range(8))
        def test_parallel(number, worker_id, tmp_path_factory):
            Thing.create(name=str(number))
            time.sleep(0.02)
            assert [thing.name for thing in Thing.query.all()] == [str(number)]
            options = redis_db.POPOTO_REDIS_DB.connection_pool.connection_kwargs
            assert options["db"] == 15 - int(worker_id[2:])
    """,
        *("-p", "xdist", "-n", "2"),
    )
    assert outcome.counts(passed=8), outcome.text
    assert occupied(server_url) == {}


def test_a_private_server_for_a_test(session: Session) -> None:
    session.url = NOWHERE
    outcome = session.run("""
        import asyncio
        import pytest, popoto
        from popoto import redis_db

        class Thing(popoto.Model):
            name = popoto.KeyField()

        @pytest.mark.parametrize("number", range(2))
        def test_private(popoto_server, number):
            assert popoto_server.url.startswith("unix://")
            assert Thing.query.all() == []
            Thing.create(name="a")
            assert asyncio.run(Thing.query.async_count()) == 1

        def test_before():
            assert redis_db.POPOTO_REDIS_DB.connection_pool.connection_kwargs["port"] == 1
    """)
    assert outcome.counts(passed=3), outcome.text
    assert "Cannot reach" not in outcome.text


def test_installing_popoto_installs_the_plugin_which_can_be_left_out(session: Session) -> None:
    points = tomllib.loads((SOURCE.parent / "pyproject.toml").read_text())["project"][
        "entry-points"
    ]
    installed = session.path / "installed" / "installed-1.dist-info"
    installed.mkdir(parents=True)
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: installed\nVersion: 1\n")
    (installed / "entry_points.txt").write_text(
        "[pytest11]\n" + "".join(f"{name} = {at}\n" for name, at in points["pytest11"].items())
    )
    session.is_named = False
    code = """
        from popoto import redis_db

        def test_database():
            assert (redis_db.POPOTO_REDIS_DB.connection_pool.connection_kwargs["db"] or 0) == {}
    """
    outcome = session.run(code.format(15))
    assert outcome.counts(passed=1), outcome.text
    outcome = session.run(code.format(0), "-p", "no:popoto")
    assert outcome.counts(passed=1), outcome.text


def test_swapping_the_database_keeps_the_client(session: Session, server_url: str) -> None:
    outcome = session.run("""
        from popoto import redis_db
        from popoto.pytest_plugin import _swap_db

        def test_swap():
            client = redis_db.POPOTO_REDIS_DB
            _swap_db(4, socket_timeout=2.5)
            assert redis_db.POPOTO_REDIS_DB is client
            options = client.connection_pool.connection_kwargs
            assert (options["db"], options["socket_timeout"]) == (4, 2.5)
    """)
    assert outcome.counts(passed=1), outcome.text


LEADS_ASTRAY = """
    import pytest, redis, unittest
    import popoto
    from popoto import redis_db, testing
    from popoto.pytest_plugin import _swap_db

    class Thing(popoto.Model):
        name = popoto.KeyField()

    OPEN = []

    def path():
        options = popoto.get_redis().connection_pool.connection_kwargs
        return options.get("path")

    def at_the_test_database():
        options = redis_db.get_REDIS_DB().connection_pool.connection_kwargs
        return options["db"] == 15 and Thing.query.count() == 0 and Thing.create(name="here")

    def settings_and_no_number():
        redis_db.set_REDIS_DB_settings(unix_socket_path=path())

    def another_number():
        testing.use_test_db(0)

    def swapped():
        _swap_db(0)

    def an_open_block():
        OPEN.append(redis_db.using(f"unix://{path()}?db=0"))
        OPEN[0].__enter__()

    def another_client():
        redis_db.POPOTO_REDIS_DB = redis.Redis(unix_socket_path=path())

    def another_pool():
        pool = redis.Redis(unix_socket_path=path()).connection_pool
        redis_db.POPOTO_REDIS_DB.connection_pool = pool

    WAYS = [settings_and_no_number, another_number, swapped, an_open_block, another_client,
            another_pool]

    @pytest.mark.parametrize("way", WAYS)
    def test_astray(way):
        assert at_the_test_database()
        way()
        assert Thing.query.count() == 0
        popoto.get_redis().set("astray", 1)

    @pytest.fixture
    def astray():
        another_number()

    def test_with_a_fixture(astray):
        assert popoto.get_redis().get("astray")

    def test_after_it():
        assert at_the_test_database()

    class TestOfUnittest(unittest.TestCase):
        @classmethod
        def setUpClass(cls):
            settings_and_no_number()

        def setUp(self):
            another_number()

        def test_it(self):
            assert popoto.get_redis().get("astray")

    @pytest.fixture(scope="class")
    def for_a_class():
        before = path()
        _swap_db(4)
        yield
        redis_db.set_REDIS_DB_settings(unix_socket_path=before)

    @pytest.mark.usefixtures("for_a_class")
    class TestsOfAClass:
        def test_astray_again(self):
            _swap_db(0)

        def test_where_the_class_leads(self):
            popoto.get_redis().set("of the class", 1)
            assert popoto.get_redis().connection_pool.connection_kwargs["db"] == 4

    def test_at_the_end():
        assert at_the_test_database()

    @pytest.fixture(scope="module")
    def asked_for_late():
        _swap_db(5)

    def test_a_fixture_that_is_asked_for_late(request):
        request.getfixturevalue("asked_for_late")

    def test_and_lasts_longer_than_the_test():
        popoto.get_redis().set("late", 1)
        assert popoto.get_redis().connection_pool.connection_kwargs["db"] == 5
"""


def test_no_test_and_no_fixture_leads_the_next_one_astray(
    session: Session, server_url: str
) -> None:
    with database(server_url, 0) as production:
        production.set("precious", 1)
    outcome = session.run(LEADS_ASTRAY, ini="python_classes = Test*")
    assert outcome.counts(passed=14), outcome.text
    assert occupied(server_url) == {
        0: [b"astray", b"precious"],
        4: [b"of the class"],
        5: [b"late"],
    }


@pytest.mark.parametrize("filters", ["", "filterwarnings = error"])
def test_a_last_emptying_that_fails_is_a_warning_and_the_process_is_led_back(
    session: Session, filters: str
) -> None:
    (session.path / "conftest.py").write_text(
        textwrap.dedent("""
        from popoto import redis_db

        def pytest_unconfigure():
            options = redis_db.POPOTO_REDIS_DB.connection_pool.connection_kwargs
            print("led back to", options.get("db") or 0)
        """)
    )
    outcome = session.run(
        """
        import popoto, redis

        class Thing(popoto.Model):
            name = popoto.KeyField()

        def test_last():
            Thing.create(name="a")
            def fails(*arguments, **options):
                raise OSError("disk of the server is gone")
            redis.Redis.flushdb = fails
        """,
        ini=filters,
    )
    assert "1 passed, 1 warning" in outcome.text, outcome.text
    assert outcome.code == 0
    assert "was not emptied after the last test: OSError('disk of the server is gone')" in (
        outcome.text
    )
    assert "led back to 0" in outcome.text


@pytest.mark.single_server("ends a server of its own")
def test_a_server_that_ends_with_the_last_test_is_told_as_a_warning(tmp_path: Path) -> None:
    with closing(start_server()) as server:
        session = Session(tmp_path, server.url)
        outcome = session.run(
            """
            import popoto

            class Thing(popoto.Model):
                name = popoto.KeyField()

            def test_last():
                Thing.create(name="a")
                popoto.get_redis().shutdown(nosave=True)
            """
        )
    assert "1 passed, 1 warning" in outcome.text, outcome.text
    assert "was not emptied after the last test" in outcome.text


WRITES_TOO_EARLY = """
    import popoto
    import pytest
    from popoto import redis_db

    class Thing(popoto.Model):
        name = popoto.KeyField()

    Thing.create(name="imported")

    @pytest.fixture(scope="module")
    def of_the_module():
        Thing.create(name="a")
        Thing.create(name="b")

    @pytest.fixture(scope="module")
    def reads_only():
        return Thing.query.count()

    @pytest.fixture
    def of_the_test():
        Thing.create(name="c")

    def test_one(of_the_module, reads_only, of_the_test):
        assert [each.name for each in Thing.query.all()] == ["c"]

    class TestClass:
        @classmethod
        def setup_class(cls):
            Thing.create(name="d")

        def test_two(self):
            assert Thing.query.count() == 0
"""


def test_what_no_test_will_find_is_told_of_and_reaches_no_real_data(
    session: Session, server_url: str
) -> None:
    with database(server_url, 0) as production:
        production.set("precious", 1)
    outcome = session.run(WRITES_TOO_EARLY)
    assert outcome.counts(passed=2), outcome.text
    assert occupied(server_url) == {0: [b"precious"]}
    told = " ".join(outcome.text.split())
    assert "keys were written while modules were imported, and no test finds them" in told
    assert "keys were written by the fixture 'of_the_module' (scope 'module')" in told
    assert "setup_class" in told
    assert told.count("keys were written") == 3


def test_a_module_that_configures_its_server_when_it_is_imported_keeps_it(
    session: Session, server_url: str
) -> None:
    outcome = session.run(
        f"""
        from popoto import redis_db

        redis_db.set_REDIS_DB_settings(url={server_url + "?db=3"!r})

        def test_one():
            found = redis_db.get_REDIS_DB().connection_pool.connection_kwargs["db"]
            assert found == 15
            assert redis_db.get_REDIS_DB().ping()
        """
    )
    assert outcome.counts(passed=1), outcome.text


def test_a_default_that_is_chosen_is_a_choice(session: Session, server_url: str) -> None:
    session.url = f"{server_url}?db=15"
    outcome = session.run(TWO_TESTS.format(number=14))
    assert outcome.counts(passed=2), outcome.text
    outcome = session.run(TWO_TESTS.format(number=14), ini="popoto_test_db = 15")
    assert outcome.code == 1
    assert "is the database that the connection URL names" in outcome.text


def test_something_else_of_the_name_of_the_private_server(session: Session) -> None:
    outcome = session.run(
        """
        import popoto
        import pytest

        class Thing(popoto.Model):
            name = popoto.KeyField()

        @pytest.mark.parametrize("popoto_server", [1, 2])
        def test_one(popoto_server):
            Thing.create(name="a")

        @pytest.mark.parametrize("popoto_server", ["redis://elsewhere"], indirect=True)
        def test_two(popoto_server):
            pass
        """
    )
    assert outcome.counts(passed=2, error=1), outcome.text
    assert "popoto_server takes no parameter, got 'redis://elsewhere'" in outcome.text
