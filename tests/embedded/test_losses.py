"""What an embedded server cannot find or read any more is told of."""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path

import pytest
import redis

from popoto import embedded
from popoto.embedded import EmbeddedServerError


def kept(directory: Path) -> bytes | None:
    with embedded.start(directory) as server, redis.Redis.from_url(server.url) as client:
        found = client.get("key")
        client.set("key", "x" * 100)
    return found


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING]


def test_a_torn_end_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    directory = tmp_path / "data"
    kept(directory)
    assert kept(directory) == b"x" * 100
    assert warnings_of(caplog) == []
    (increment,) = (directory / "appendonlydir").glob("*.incr.aof")
    os.truncate(increment, increment.stat().st_size - 5)
    kept(directory)
    (told,) = warnings_of(caplog)
    assert "were torn" in told
    assert str(directory) in told
    caplog.clear()
    kept(directory)
    assert warnings_of(caplog) == []


def test_data_of_another_server_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "dump.rdb").write_bytes(b"REDIS0011")
    kept(tmp_path)
    (told,) = warnings_of(caplog)
    assert "dump.rdb" in told
    caplog.clear()
    kept(tmp_path)
    assert warnings_of(caplog) == []


def test_a_directory_that_was_removed_under_the_server_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    directory = tmp_path / "data"
    with embedded.start(directory) as server:
        server.ensure_running()
        assert warnings_of(caplog) == []
        shutil.rmtree(directory)
        server.ensure_running()
        (told,) = warnings_of(caplog)
    assert "removed or replaced" in told


def test_a_use_that_is_closed_is_not_entered(tmp_path: Path) -> None:
    server = embedded.start(tmp_path)
    server.close()
    with pytest.raises(EmbeddedServerError, match="closed"), server:
        pass


def test_a_path_may_be_bytes(tmp_path: Path) -> None:
    with embedded.start(os.fsencode(tmp_path)) as server:  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        assert server.directory == str(tmp_path)
