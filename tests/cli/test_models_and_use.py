"""`popoto models`, and what every command says to wrong use."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest
import redis

from popoto.cli import main, output
from tests.cli.running import ROOT, ZOO, environment, in_process
from tests.cli.zoo import Keeper

NOWHERE = "redis://127.0.0.1:1/0"
OF_SERVERS = [
    ("models", ZOO),
    ("indexes", "check", ZOO),
    ("indexes", "clean", ZOO),
    ("indexes", "rebuild", ZOO),
    ("export", ZOO),
    ("import", ZOO, "{file}"),
    ("shell", ZOO, "-c", "Keeper.query.count()"),
]


def test_fields_keys_and_sizes(capsys: pytest.CaptureFixture[str]) -> None:
    Keeper.bulk_create(Keeper(badge=number, name=f"n{number % 3}") for number in range(9))
    assert main(["models", ZOO]) == 0
    told = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "Keeper (tests.cli.zoo)" in told
    assert "record key: Keeper:{badge}" in told
    assert "badge int UniqueKeyField key, unique, not null" in told
    assert "records: 9" in told
    assert "$Class:Keeper 1 9" in told
    assert "$IndexF:Keeper:name:* 3 9" in told
    assert "record key: Beast:{born}:{name}" in told
    assert "price Decimal SortedField not null, partition by species" in told
    assert "keeper Keeper Relationship" in told
    assert "meals list ListField at most 4" in told
    assert "ttl: 1000 s (reset)" in told
    assert "unique index on species, whole" in told


def test_the_schema_needs_no_server(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", f"{ZOO}:Keeper", "--schema", "--url", NOWHERE]) == 0
    assert "Keeper:{badge}" in capsys.readouterr().out


def test_indexes_of_fields_that_are_gone_are_told(
    redis_client: redis.Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    redis_client.sadd("$IndexF:Keeper:wing:left", "Keeper:1")
    assert main(["models", f"{ZOO}:Keeper"]) == 0
    assert "$IndexF:Keeper:wing (of no field any more)" in capsys.readouterr().out


@pytest.mark.parametrize("command", OF_SERVERS, ids=" ".join)
def test_a_server_that_does_not_answer_is_one_message_and_code_3(
    command: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "in.jsonl"
    file.write_text('{"model": "Keeper", "fields": {"badge": 1}}')
    arguments = [each.format(file=file) for each in command]
    assert main([*arguments, "--url", NOWHERE]) == 3
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("popoto: ")
    assert NOWHERE in line


@pytest.mark.parametrize(
    ("models", "problem"),
    [
        ("no_such_module", "there is no module 'no_such_module'"),
        ("tests.cli.nothing:X", "there is no module 'tests.cli.nothing'"),
        (f"{ZOO}:Gnu", "its models are: Keeper, Beast, Ticket"),
        (f"{ZOO}:Base", "is abstract"),
        ("json", "there is no model in the module 'json'"),
        ("broken", "cannot be imported: ZeroDivisionError"),
        ("asking", "cannot be imported: No module named 'not_there'"),
    ],
)
def test_models_that_are_not_there(
    models: str,
    problem: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "broken.py").write_text("1 / 0")
    (tmp_path / "asking.py").write_text("import not_there")
    monkeypatch.syspath_prepend(tmp_path)
    assert main(["models", models]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert problem in line


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["indexes"],
        ["indexes", "polish", ZOO],
        ["models"],
        ["export", ZOO, "--batch-size", "0"],
        ["import", ZOO, "--existing", "burn"],
    ],
)
def test_arguments_that_cannot_be_read(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2


def test_a_bad_url_is_wrong_use(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", ZOO, "--url", "gopher://here"]) == 2
    assert "starts with one of" in capsys.readouterr().err


def test_a_reader_may_have_enough(server_url: str) -> None:
    Keeper.bulk_create(Keeper(badge=number, name="x" * 1000) for number in range(300))
    with subprocess.Popen(
        [sys.executable, "-m", "popoto", "export", f"{ZOO}:Keeper", "-q"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        env=environment(server_url),
    ) as export:
        assert export.stdout is not None
        assert export.stderr is not None
        export.stdout.read(10)
        export.stdout.close()
        assert export.stderr.read() == b""
        assert export.wait(120) == 1


# The shell ---------------------------------------------------------------------------------


def test_the_shell_has_the_models(server_url: str) -> None:
    Keeper.create(badge=5)
    typed = b"print(Keeper.query.get(badge=5).pk, Q.__name__, redis.dbsize() > 0)\n"
    done = in_process("shell", ZOO, "--plain", server_url=server_url, stdin=typed)
    assert done.returncode == 0
    assert b"Keeper:5 Q True" in done.stdout
    assert b"Models: Keeper, Beast, Ticket" in done.stderr


def test_the_shell_carries_out_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    code = "def count():\n    return Keeper.query.count()\nprint(count())"
    assert main(["shell", ZOO, "-c", code]) == 0
    assert capsys.readouterr().out == "0\n"


# What people see ---------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("has_rich", [True, False])
def test_progress_and_tables_on_a_terminal(has_rich: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "_HAS_RICH", has_rich)
    monkeypatch.setattr(output, "_REDRAWN", 0.0)
    shown, told = Terminal(), Terminal()
    monkeypatch.setattr(sys, "stderr", shown)
    monkeypatch.setattr(sys, "stdout", told)
    Keeper.create(badge=1, name="[bold]\x1b[31m")
    assert main(["indexes", "check", f"{ZOO}:Keeper"]) == 0
    assert "checking Keeper" in shown.getvalue()
    assert "%" in shown.getvalue()
    output.table(("name", "size#"), [("[bold]\x1b[31m", "1")])
    assert "[bold]\\x1b[31m" in told.getvalue()


def test_no_progress_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["indexes", "check", f"{ZOO}:Keeper"]) == 0
    assert capsys.readouterr().err == ""
