"""An import holds as much of a line as it may have, and says where it ends and what was stored."""

from __future__ import annotations

import gzip
import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from popoto.cli import main
from popoto.cli.jsonlines import BadJson, load, value_of
from popoto.cli.lines import LONGEST, Lines
from tests.cli.running import ZOO
from tests.cli.zoo import Keeper

KEEPER = f"{ZOO}:Keeper"


def line(badge: int, name: str = "") -> str:
    return json.dumps({"model": "Keeper", "fields": {"badge": badge, "name": name}}) + "\n"


class Endless(io.RawIOBase):
    """Some lines, and then one that never ends."""

    def __init__(self, lines: str, opening: bytes = b"") -> None:
        self._rest = lines.encode() + opening
        self.given = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        chunk, self._rest = self._rest[: len(buffer)], self._rest[len(buffer) :]
        chunk = chunk or b"x" * len(buffer)
        buffer[: len(chunk)] = chunk
        self.given += len(chunk)
        return len(chunk)


def stored() -> list[int]:
    return sorted(keeper.badge for keeper in Keeper.query.all())


@pytest.mark.parametrize("opening", [b"", b'{"model": "Keeper", "fields": {"badge": 7, "name": "'])
@pytest.mark.parametrize("quiet", [[], ["--quiet"]])
def test_an_endless_line_of_the_standard_input_ends_the_import(
    opening: bytes,
    quiet: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    endless = Endless(line(1) + line(2), opening)
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BufferedReader(endless)))
    assert main(["import", KEEPER, *quiet]) == 1
    assert stored() == [1, 2]
    assert endless.given < 2 * LONGEST
    told = capsys.readouterr()
    assert told.out == ""
    assert f"line 3: longer than {LONGEST:,} bytes" in told.err
    assert "--max-line" in told.err
    assert "ended early. Until then: stored 2 records; 1 with problems" in told.err


@pytest.mark.parametrize("name", ["bomb.jsonl.gz", "bomb.jsonl"])
def test_a_long_line_of_a_file_ends_the_import(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / name
    opened = gzip.open if name.endswith(".gz") else open
    with opened(path, "wt") as file:
        file.write(line(1) + line(2, "x" * 2**20) + line(3))
    assert main(["import", KEEPER, str(path), "--max-line", "1M"]) == 1
    assert stored() == [1]
    assert "line 2: longer than 1,048,576 bytes" in capsys.readouterr().err
    assert main(["import", KEEPER, str(path), "--max-line", "2m", "--existing", "skip"]) == 0
    assert stored() == [1, 2, 3]


def test_no_more_of_a_compressed_line_is_unpacked_than_it_may_have(tmp_path: Path) -> None:
    path = tmp_path / "bomb.gz"
    with gzip.open(path, "wb") as file:
        for _ in range(64):
            file.write(bytes(2**20))
    with path.open("rb") as raw, gzip.open(raw) as unpacked:
        lines = Lines(unpacked, 2**20)
        assert list(lines) == []
        assert lines.is_too_long
        assert unpacked.tell() <= 2**20 + 1


def test_a_line_may_be_exactly_as_long_as_it_may(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "exact.jsonl"
    path.write_text(line(1) + line(2).rstrip("\n"))
    length = len(line(2)) - 1
    assert main(["import", KEEPER, str(path), "--max-line", str(length)]) == 0
    assert stored() == [1, 2]
    path.write_text(line(3) + line(44))
    assert main(["import", KEEPER, str(path), "--max-line", str(length)]) == 1
    assert stored() == [1, 2, 3]
    assert f"line 2: longer than {length} bytes" in capsys.readouterr().err


def test_a_batch_holds_no_more_bytes_than_a_line_may_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "many.jsonl"
    path.write_text("".join(line(badge, "x" * 300) for badge in range(10)))
    seen: list[int] = []
    with path.open("rb") as file:
        readline = file.readline

        def counted(size: int) -> bytes:
            seen.append(len(Keeper.query.keys()))
            return readline(size)

        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=SimpleNamespace(readline=counted)))
        assert main(["import", KEEPER, "--max-line", "800", "--quiet"]) == 0
    assert stored() == list(range(10))
    # Two lines have less than 800 bytes, three have more.
    assert seen == [0, 0, 0, 2, 2, 4, 4, 6, 6, 8, 8]


@pytest.mark.parametrize("text", ["0", "-1", "many", "1T", "", "½", "1.5M", "M"])
def test_a_length_that_is_none_is_refused(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ending:
        main(["import", KEEPER, f"--max-line={text}"])
    assert ending.value.code == 2
    assert "such as 64M" in capsys.readouterr().err


def test_a_torn_file_is_imported_as_far_as_it_goes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "torn.jsonl.gz"
    lines = "".join(line(badge, str(badge) * 50) for badge in range(2000))
    packed = gzip.compress(lines.encode())
    path.write_bytes(packed[: len(packed) // 2])
    assert main(["import", KEEPER, str(path), "--batch-size", "100"]) == 2
    told = capsys.readouterr()
    assert "cannot read" in told.err
    number = len(stored())
    assert 0 < number < 2000
    assert stored() == list(range(number))
    assert f"Until then: stored {number:,} records" in told.err
    assert told.out == ""


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        "[" * 990 + "]" * 990,
        '{"a":' * 990 + "1" + "}" * 990,
        '{"$float":' + "[" * 980 + "]" * 980 + "}",
        '{"$tuple":' * 300 + "1" + "}" * 300,
        '{"$dict": [' + "[" * 980 + "]" * 980 + "]}",
        "9" * 5000,
    ],
)
def test_what_is_nested_too_deep_is_a_problem_of_its_line(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(BadJson):
        value_of(load(text))
    path = tmp_path / "deep.jsonl"
    deep = f'{{"model": "Keeper", "fields": {{"badge": 2, "name": {text}}}}}\n'
    path.write_text(line(1) + deep + line(3))
    assert main(["import", KEEPER, str(path)]) == 1
    assert stored() == [1, 3]
    assert capsys.readouterr().err.startswith("line 2: ")


def test_what_was_stored_is_said_when_the_server_goes_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "many.jsonl"
    path.write_text("".join(line(badge) for badge in range(10)))
    real = Lines.__iter__

    def interrupted(self: Lines) -> object:
        for number, text in real(self):
            if number == 6:
                raise KeyboardInterrupt
            yield number, text

    monkeypatch.setattr(Lines, "__iter__", interrupted)
    assert main(["import", KEEPER, str(path), "--batch-size", "2"]) == 130
    assert stored() == [0, 1, 2, 3]
    assert "Until then: stored 4 records" in capsys.readouterr().err
