"""The command line, whatever it is told: a code and one line, never a traceback."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from popoto.cli import main
from popoto.cli.arguments import no_url
from popoto.cli.exits import UsageProblem
from tests.cli.zoo import Beast, Keeper
from tests.hostile.inputs import any_texts

ZOO = "tests.cli.zoo"


def ran(words: Sequence[str], stdin: bytes = b"") -> tuple[int, str]:
    """The exit code, and what was said beside the result."""
    errors = io.StringIO()
    read = io.TextIOWrapper(io.BytesIO(stdin))
    with (
        mock.patch.object(sys, "stdin", read),
        contextlib.redirect_stdout(io.TextIOWrapper(io.BytesIO(), write_through=True)),
        contextlib.redirect_stderr(errors),
    ):
        try:
            code = main(list(words))
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 0
    return code, errors.getvalue()


def is_one_line(text: str) -> bool:
    return text.endswith("\n") and all(each.isprintable() for each in text[:-1])


_commands = st.sampled_from(["models", "indexes", "doctor", "export", "import", "erase", "serve"])
_options = st.sampled_from(
    [
        *("--url", "--batch-size", "--max-line", "--existing", "--output", "-o", "-q", "--json"),
        *(
            "--yes",
            "--schema",
            "--quiet",
            "check",
            "clean",
            "--",
            "-",
            "--temporary",
            "--bogus",
            "-x",
        ),
    ]
)
_numbers = st.sampled_from(
    ["0", "-1", "1e3", "9" * 40, "9" * 5000, "1_0", "٣", "1T", "9999999999999G", ""]
)


@settings(max_examples=200)
@given(_commands, st.lists(any_texts | _options | _numbers, max_size=5))
def test_arguments_of_no_meaning_are_answered_in_one_line(command: str, words: list[str]) -> None:
    # What it does with models is for the others to tell; a server would run until it is ended.
    named = [word for word in words if word not in ("-h", "--help")]
    if command == "serve":
        named.insert(0, "\0")
    here = Path.cwd()
    with tempfile.TemporaryDirectory() as directory:
        os.chdir(directory)
        try:
            code, told = ran([command, *named])
        finally:
            os.chdir(here)
    assert code == 2
    assert is_one_line(told)


@given(st.sampled_from(["export", "import", "models", "erase", "indexes"]), any_texts, _numbers)
def test_values_of_options(command: str, text: str, number: str) -> None:
    for option, value in (("--url", text), ("--batch-size", number), ("--max-line", number)):
        code, told = ran([command, ZOO, f"{option}={value}", "--frobnicate"])
        assert code == 2
        assert is_one_line(told)


@pytest.mark.parametrize(
    "words",
    [
        ["export", ZOO, "-o", "a\0b"],
        ["export", ZOO, "-o", ""],
        ["export", ZOO, "-o", "."],
        ["export", ZOO, "-o", "tests"],
        ["export", ZOO, "-o", "README.md/x"],
        ["export", ZOO, "-o", "x" * 300],
        ["export", ZOO, "-o", "nowhere/x.gz"],
        ["export", ZOO, "--batch-size", "9" * 30],
        ["import", ZOO, "a\0b"],
        ["import", ZOO, ""],
        ["import", ZOO, "."],
        ["import", ZOO, "\ud800"],
        ["import", ZOO, "x" * 300],
        ["import", ZOO, "--max-line", "9" * 18 + "G"],
        ["import", ZOO, "--max-line", "9" * 30],
        ["import", ZOO, "--batch-size", "9" * 30],
        ["models", "\0"],
        ["models", ""],
        ["models", "."],
        ["models", "a." * 5000],
        ["models", f"{ZOO}:" + "Beast." * 2000],
        ["models", f"{ZOO}:\ud800\n\x1b[2J"],
        ["serve", "a\0b"],
        ["serve", ""],
        ["erase", f"{ZOO}:Beast", "nothing=1", "--yes"],
        ["erase", f"{ZOO}:Beast", "name=a", "name=b", "--yes"],
        ["erase", f"{ZOO}:Beast", "\0=\n", "--yes"],
        ["models", ZOO, "--url", "redis://\0"],
        ["models", ZOO, "\n", "\x1b[2J"],
        ["\n\x1b"],
        [],
    ],
    ids=repr,
)
def test_what_cannot_be_carried_out_is_told_in_one_line(words: list[str]) -> None:
    code, told = ran(words)
    assert code == 2
    assert is_one_line(told), told


def test_a_device_is_written_to_and_stays(tmp_path: Path) -> None:
    Keeper.create(badge=1)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reading = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    assert ran(["export", f"{ZOO}:Keeper", "-q", "-o", str(pipe)]) == (0, "")
    assert json.loads(os.read(reading, 65536))["model"] == "Keeper"
    os.close(reading)
    assert pipe.is_fifo()


def test_a_link_stays_and_its_target_is_written(tmp_path: Path) -> None:
    Keeper.create(badge=1)
    (tmp_path / "link").symlink_to(tmp_path / "target")
    assert ran(["export", f"{ZOO}:Keeper", "-q", "-o", str(tmp_path / "link")]) == (0, "")
    assert (tmp_path / "link").is_symlink()
    assert json.loads((tmp_path / "target").read_text())["model"] == "Keeper"


@pytest.mark.parametrize("text", ["a" * 1_000_000, ":" * 1_000_000, "a:" * 500_000, " :" * 500_000])
def test_long_words_are_looked_through_once(text: str) -> None:
    before = time.process_time()
    assert no_url(text, "a model") == text
    with pytest.raises(UsageProblem):
        no_url(f"{text} redis://x", "a model")
    assert time.process_time() - before < 5


# Lines of an import ------------------------------------------------------------------------------

_json = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        any_texts,
        st.sampled_from(
            [
                "9999-12-31T23:59:59.999999+00:00",
                "0001-01-01T00:00:00+23:59",
                "9999-12-31T23:59:59.9-23:59",
                "2026-01-01",
                "2999-01-01T00:00:00+00:00",
            ]
        ),
    ),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "$decimal",
                    "$bytes",
                    "$stored",
                    "$datetime",
                    "$time",
                    "$date",
                    "$set",
                    "$dict",
                    "$tuple",
                    "$float",
                    "zone",
                    "a",
                ]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=5,
)
_lines = st.fixed_dictionaries(
    {},
    optional={
        "model": st.sampled_from([*(each for each in ("Beast", "Keeper")), "nobody"]) | _json,
        "fields": st.dictionaries(st.sampled_from(sorted(Beast._meta.by_name)), _json, max_size=4)
        | _json,
        "expires": _json,
        "fields_expire": st.dictionaries(
            st.sampled_from(sorted(Beast._meta.by_name)), _json, max_size=2
        )
        | _json,
        "beside": _json,
        "key": _json,
    },
)


@settings(max_examples=150)
@given(st.lists(_lines, max_size=3), st.binary(max_size=20))
def test_a_line_of_an_import_is_a_record_or_a_problem_of_its_number(
    lines: list[dict[str, object]], rubbish: bytes
) -> None:
    told = b"".join(json.dumps(line).encode() + b"\n" for line in lines) + rubbish
    code, said = ran(["import", ZOO, "--existing", "replace", "-q"], told)
    assert code in (0, 1)
    for line in said.splitlines():
        assert line.startswith("line ")
    for record in Beast.query.all():
        assert Beast.query.get(record.pk) == record
