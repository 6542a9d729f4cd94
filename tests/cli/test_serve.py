"""`popoto serve`: a server for as long as the command runs."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from popoto._connection.settings import from_url
from tests.cli.running import ROOT, environment, in_process


@contextmanager
def serving(*arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """The command under way, and the URL that it has printed."""
    with subprocess.Popen(
        [sys.executable, "-m", "popoto", "serve", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        env=environment("redis://127.0.0.1:1/0"),
    ) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline().decode().strip()
        finally:
            if process.poll() is None:
                process.terminate()
            process.wait(120)


def test_the_url_that_is_printed_names_the_directory_whatever_its_name(tmp_path: Path) -> None:
    directory = tmp_path / "a #b?c%20"
    with serving(str(directory)) as (process, _):
        process.terminate()
        assert process.stderr is not None
        told = process.stderr.read().decode()
    url = next(word for word in told.split() if word.startswith("REDIS_URL="))
    assert from_url(url.removeprefix("REDIS_URL=")).directory == str(directory)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_directory_is_served_until_a_signal_and_keeps_its_data(
    number: signal.Signals, tmp_path: Path
) -> None:
    with serving(str(tmp_path / "data")) as (process, url):
        with redis.Redis.from_url(url) as client:
            client.set("kept", "yes")
        process.send_signal(number)
        assert process.wait(120) == 0
        assert process.stderr is not None
        assert f"REDIS_URL=embedded://{tmp_path / 'data'}" in process.stderr.read().decode()
    with pytest.raises(redis.ConnectionError), redis.Redis.from_url(url) as client:
        client.ping()
    with serving(str(tmp_path / "data")) as (_, url), redis.Redis.from_url(url) as client:
        assert client.get("kept") == b"yes"


def test_signals_that_follow_each_other_end_it_all_the_same(tmp_path: Path) -> None:
    """One may come while another is being taken note of."""
    with serving(str(tmp_path)) as (process, _):
        while process.poll() is None:
            process.send_signal(signal.SIGTERM)
        assert process.stderr is not None
        assert process.stderr.read().decode().endswith("Stopped.\n")
        assert process.returncode == 0


def test_other_processes_join_by_the_directory(tmp_path: Path) -> None:
    with serving(str(tmp_path)) as (_, url):
        with redis.Redis.from_url(url) as client:
            client.set("shared", "1")
        done = in_process(
            "shell", "-c", "print(redis.get('shared'))", server_url=f"embedded://{tmp_path}"
        )
        assert done.stdout == b"b'1'\n"


def test_a_temporary_server(tmp_path: Path) -> None:
    with serving("--temporary") as (process, url):
        with redis.Redis.from_url(url) as client:
            assert client.ping()
        process.terminate()
        assert process.wait(120) == 0
    assert not Path(url.removeprefix("unix://")).exists()


def test_a_place_that_cannot_be_served(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = in_process("serve", str(tmp_path / "file"), server_url="redis://127.0.0.1:1/0")
    assert done.returncode == 3
    (line,) = done.stderr.splitlines()
    assert line.startswith(b"popoto: ")
    both = in_process("serve", "x", "--temporary", server_url="redis://127.0.0.1:1/0")
    assert both.returncode == 2
