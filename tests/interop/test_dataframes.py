"""DataFrames move both ways between this package and the published one.

The published package hands its JSON text to `pandas.read_json`, which pandas 3 takes for a
path, so `make peer` gives it pandas 2.
"""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any

import pytest

from popoto import DataFrameField, KeyField, Model
from tests.interop.sides import peer_python

pandas = pytest.importorskip("pandas")

_PEER = """
import json, sys
import pandas
import popoto

class Sheet(popoto.Model):
    name = popoto.KeyField()
    frame = popoto.DataFrameField()

if sys.argv[1] == "write":
    frame = pandas.DataFrame(json.loads(sys.argv[2]), index=["x", "y"])
    Sheet.create(name="theirs", frame=frame)
elif sys.argv[1] == "read":
    frame = Sheet.query.get(name="ours").frame
    print(json.dumps([list(frame.columns), frame.index.tolist(), frame.values.tolist()]))
elif sys.argv[1] == "pandas":
    print(pandas.__version__)
"""

COLUMNS: dict[str, list[Any]] = {"z": [1, 2], "a": [1.5, -0.25], "t": ["one", "ü"]}


class Sheet(Model):
    name = KeyField()
    frame = DataFrameField()


def published(server_url: str, *arguments: str) -> str:
    environment = {name: text for name, text in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [str(peer_python()), "-P", "-W", "ignore", "-c", _PEER, *arguments],
        env={**environment, "REDIS_URL": server_url},
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert done.returncode == 0, done.stderr.strip().splitlines()[-1:]
    return done.stdout


@pytest.mark.interop
def test_a_frame_of_the_published_package_is_read(server_url: str) -> None:
    published(server_url, "write", json.dumps(COLUMNS))
    frame = Sheet.query.get(name="theirs").frame
    assert frame.equals(pandas.DataFrame(COLUMNS, index=["x", "y"]))


@pytest.mark.interop
def test_a_frame_of_ours_is_read_by_the_published_package(server_url: str) -> None:
    release = published(server_url, "pandas").strip()
    if int(release.partition(".")[0]) > 2:
        pytest.skip(f"the published package cannot read frames with pandas {release}: `make peer`")
    Sheet.create(name="ours", frame=pandas.DataFrame(COLUMNS, index=["x", "y"]))
    columns, index, rows = json.loads(published(server_url, "read"))
    assert columns == list(COLUMNS)
    assert index == ["x", "y"]
    assert rows == [list(row) for row in zip(*COLUMNS.values(), strict=True)]
