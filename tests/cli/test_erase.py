"""`popoto erase`: what it asks, what it tells, and the exit codes."""

from __future__ import annotations

import io
import json

import pytest
import redis

from popoto.cli import main
from tests.cli.running import ROOT, in_process
from tests.erasing.looking import keys_with
from tests.erasing.models import Deed

MODELS = "tests.erasing.models"
DEED = f"{MODELS}:Deed"


@pytest.fixture(autouse=True)
def _two_deeds() -> None:
    assert ROOT
    Deed.create(agent="ann", number=1)
    Deed.create(agent="bob", number=1)


def test_a_subject_is_erased_and_the_report_told(
    redis_client: redis.Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["erase", DEED, "agent=ann", "--yes"]) == 0
    told = capsys.readouterr().out
    assert "Deed: erased" in told
    assert "backups" in told
    assert keys_with(redis_client, "ann") == []
    assert Deed.query.count() == 1


def test_a_value_alone_means_the_fields_that_the_models_name(redis_client: redis.Redis) -> None:
    assert main(["erase", MODELS, "ann", "--yes", "--quiet"]) == 0
    assert keys_with(redis_client, "ann") == []


def test_the_report_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["erase", DEED, "agent=ann", "--yes", "--json"]) == 0
    (report,) = json.loads(capsys.readouterr().out)
    assert report["traces"]["records"] == {"looked_at": 2, "removed": 1, "remaining": 0}
    assert report["is_complete"] is True


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("answer", "code", "left"), [("yes\n", 0, 1), ("y\n", 1, 2), ("", 1, 2)])
def test_on_a_terminal_it_asks_first(
    answer: str, code: int, left: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", Terminal(answer))
    assert main(["erase", DEED, "agent=ann", "-q"]) == code
    assert Deed.query.count() == left


def test_where_nobody_can_be_asked_it_has_to_be_told_yes(server_url: str) -> None:
    done = in_process("erase", DEED, "agent=ann", server_url=server_url)
    assert done.returncode == 2
    assert b"--yes" in done.stderr
    assert Deed.query.count() == 2


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["agent"], 0, ""),
        (["agent=ann", "number"], 2, "field=value"),
        (["agnt=ann"], 2, "Unknown field"),
        (["agent=ann", "agent=bob"], 2, "named twice"),
    ],
)
def test_wrong_use(
    words: list[str], code: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["erase", DEED, *words, "--yes"]) == code
    assert told in capsys.readouterr().err
    assert Deed.query.count() == 2


def test_models_that_name_no_field(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["erase", "tests.cli.zoo", "ann", "--yes"]) == 2
    assert "Meta.subject" in capsys.readouterr().err
