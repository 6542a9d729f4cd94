"""The tool that changes one thing at a time and tells what no test notices."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tools.mutants.changes import mutants_of
from tools.mutants.lua_changes import lua_mutants_of

ROOT = Path(__file__).parents[1]
MODULE = '''"""A module."""

from __future__ import annotations

LIMIT = 3


def small(number: int) -> bool:
    """Whether a number is small."""
    return number < LIMIT


def told(number: int) -> str:
    if number and not small(number):
        raise ValueError("too large")
    return "small" if number else "none"


def never() -> int:
    return 5
'''
SCRIPT = """from popoto.engine.scripts import Script

TWO = Script.joined("two", "part.lua", package="demo")
"""
TESTS = """import pytest
import redis
from popoto import embedded
from popoto.engine.request import ScriptCall

from demo.script import TWO
from demo import MOST, small, told
from demo.beginning import begin


@pytest.fixture(autouse=True)
def begun():
    assert begin()


def test_small():
    assert small(2)
    assert not small(3)


def test_told():
    assert told(1) == "small"


def test_script():
    call = ScriptCall(TWO, [], [])
    with embedded.start() as server, redis.Redis.from_url(server.url) as client:
        assert client.eval(call.script.text, 0) == 2


def test_value():
    assert MOST == 7
"""


def test_every_kind_of_change_is_made_once(tmp_path: Path) -> None:
    (tmp_path / "demo.py").write_text(MODULE)
    found = mutants_of(tmp_path, "demo.py")
    assert {(each.line, each.after) for each in found} == {
        (5, "LIMIT = 4"),
        (10, "return (number <= LIMIT)"),
        (10, "return None"),
        (14, "if (number or not small(number)):"),
        (14, "if number and (small(number)):"),
        (15, "pass"),
        (16, 'return "small" if (not number) else "none"'),
        (16, "return 'small?' if number else \"none\""),
        (16, "return \"small\" if number else 'none?'"),
        (16, "return None"),
        (20, "return 6"),
        (20, "return None"),
    }


PART = """-- part.lua: 1 + 1 in a comment.
local call = redis.call

local function total(names)
  local sum = -1 + 0
  for index = 1, #names do
    if names[index] then
      sum = sum + (call('STRLEN', names[index]) or 0)
    end
  end
  if sum > 2.5 and not names.all then
    error('more than 2')
  end
  call('SET', KEYS[1],
    sum)
  return sum
end

return true
"""


def test_every_kind_of_change_of_a_script_is_made_once(tmp_path: Path) -> None:
    (tmp_path / "part.lua").write_text(PART)
    found = lua_mutants_of(tmp_path, "part.lua")
    assert {(each.line, each.place, each.after) for each in found} == {
        (5, "total", "local sum = -2 + 0"),
        (5, "total", "local sum = -1 + 1"),
        (6, "total", "for index = 2, #names do"),
        (7, "total", "if not (names[index]) then"),
        (8, "total", "sum = sum - (call('STRLEN', names[index]) or 0)"),
        (8, "total", "sum = sum + (call('STRLEN', names[index]) and 0)"),
        (8, "total", "sum = sum + (call('STRLEN', names[index]) or 1)"),
        (8, "total", "(left out)"),
        (11, "total", "if sum >= 2.5 and not names.all then"),
        (11, "total", "if sum > (2.5 + 1) and not names.all then"),
        (11, "total", "if sum > 2.5 or not names.all then"),
        (11, "total", "if sum > 2.5 and  names.all then"),
        (12, "total", "(left out)"),
        (14, "total", "call('SET', KEYS[2],"),
        (16, "total", "return nil"),
        (19, "total", "return false"),
    }
    assert all(each.text.count(b"\n") == PART.count("\n") for each in found)


@pytest.mark.slow(30)
@pytest.mark.traced(0)
def test_survivors_are_told_with_line_and_change(tmp_path: Path) -> None:
    package = tmp_path / "src" / "demo"
    package.mkdir(parents=True)
    module = MODULE.replace("LIMIT = 3", "from .limits import LIMIT")
    (package / "__init__.py").write_text(f"{module}\n\nMOST = 7\n")
    (package / "beginning.py").write_text("def begin():\n    return 1\n")
    (package / "limits.py").write_text("LIMIT = 3\n")
    (package / "part.lua").write_text("local two = 1 + 1\nlocal unused = 0\nreturn two\n")
    (package / "script.py").write_text(SCRIPT)
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_demo.py").write_text(TESTS)
    command = [sys.executable, "-m", "tools.mutants", "src/demo", "tests", "--root", str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path / 'src'}:{ROOT}"}
    for _ in range(2):
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "src/demo/__init__.py:15 told" in done.stdout
        assert '  - raise ValueError("too large")\n  + pass' in done.stdout
        assert "src/demo/__init__.py:20 never  (not run by these tests)" in done.stdout
        assert "return (number <= LIMIT)" not in done.stdout
        # Of a script.
        assert "  - local unused = 0\n  + local unused = 1" in done.stdout
        assert "local two = 1 - 1" not in done.stdout
        # A module of which nothing is left to be carried out once it was imported.
        assert "LIMIT = 4" not in done.stdout
        # One that carries out other things, and a test that looks at a value alone.
        assert "MOST = 8" not in done.stdout
    # What was found out stays known.
    assert "23 changes, 0 of them to be tried" in done.stdout
