"""The small functions beside the models."""

from __future__ import annotations

import re
import threading
import types
from decimal import Decimal, localcontext
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import popoto
from popoto.redis_limits import _to_redis_limit
from popoto.utils.list_search import missing_elements, window
from popoto.utils.multithreading import run_all_multithreaded, start_new_thread
from popoto.utils.sigfigs import round_sig_figs

ROOT = Path(__file__).parents[2]


def test_the_package_of_fields_has_all_of_them() -> None:
    classes = {name: value for name, value in vars(popoto).items() if isinstance(value, type)}
    shipped = {name: each for name, each in classes.items() if issubclass(each, popoto.Field)}
    assert len(shipped) > 30
    assert {name: getattr(popoto.fields, name, None) for name in shipped} == shipped
    assert shipped.keys() <= set(popoto.fields.__all__)


def test_a_window_slides_over_a_sequence() -> None:
    assert list(window([1, 2, 3, 4])) == [(1, 2), (2, 3), (3, 4)]
    assert list(window("abcd", n=3)) == [("a", "b", "c"), ("b", "c", "d")]
    assert list(window(iter(range(3)), 3)) == [(0, 1, 2)]
    assert list(window([1, 2], 3)) == []
    assert list(window([])) == []
    with pytest.raises(ValueError, match="at least one"):
        list(window([1], 0))


@given(st.sets(st.integers(-50, 50)))
def test_missing_elements_are_those_between_first_and_last(numbers: set[int]) -> None:
    ordered = sorted(numbers)
    whole = set(range(ordered[0], ordered[-1])) if ordered else set()
    assert missing_elements(ordered) == sorted(whole - numbers)


def test_a_new_thread_is_a_daemon_and_returns_nothing() -> None:
    seen: list[tuple[int, bool]] = []
    done = threading.Event()

    @start_new_thread
    def work(number: int, *, factor: int = 1) -> int:
        seen.append((number * factor, threading.current_thread().daemon))
        done.set()
        return number

    assert work(2, factor=3) is None
    assert done.wait(60)
    assert seen == [(6, True)]
    assert work.__name__ == "work"


def test_many_calls_keep_their_order() -> None:
    gate = threading.Barrier(3, timeout=60)

    def square(number: int) -> int:
        if number < 3:
            gate.wait()
        return number * number

    assert run_all_multithreaded(square, range(100)) == [number * number for number in range(100)]
    with pytest.raises(ValueError, match="no params"):
        run_all_multithreaded(fn=square, params=[])
    with pytest.raises(ZeroDivisionError):
        run_all_multithreaded(lambda number: 1 / number, [1, 0])


@pytest.mark.parametrize(
    ("value", "figures", "rounded"),
    [
        (1234.5678, 3, 1230.0),
        ("3.14159", 3, 3.14),
        (0.001234, 2, 0.0012),
        (-0.001234, 2, -0.0012),
        (1.2345e-300, 2, 1.2e-300),
        (-98765, 1, -100000.0),
        (0, 3, 0.0),
        (Decimal("99.96"), 3, 100.0),
        (float("inf"), 2, float("inf")),
    ],
)
def test_significant_figures(value: float | str | Decimal, figures: int, rounded: float) -> None:
    result = round_sig_figs(value, figures)
    assert result == rounded
    assert type(result) is float


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(1, 15))
def test_rounding_is_that_of_exact_decimals(value: float, figures: int) -> None:
    with localcontext() as context:
        context.prec = figures
        assert round_sig_figs(value, figures) == float(+Decimal(value))


def test_a_number_without_figures_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        round_sig_figs(1.5, 0)
    with pytest.raises(ValueError, match="could not convert"):
        round_sig_figs("x", 2)


@pytest.mark.parametrize(
    ("value", "limit"),
    [(None, 999_999_999), (float("inf"), 999_999_999), (5, 5), (5.7, 5), (10**12, 999_999_999)],
)
def test_limits_of_commands(value: float | None, limit: int) -> None:
    assert _to_redis_limit(value) == limit
    assert _to_redis_limit(None, default=7) == 7
    assert _to_redis_limit(9, default=7) == 7


def test_the_version_is_the_one_of_the_distribution() -> None:
    assert popoto.__version__[0].isdigit()
    assert popoto.__version__.count(".") >= 2


def test_the_fields_are_importable_from_their_package() -> None:
    for name in popoto.fields.__all__:
        assert getattr(popoto.fields, name) is getattr(popoto, name, getattr(popoto.fields, name))
    assert popoto.fields.KeyField is popoto.KeyField


def test_a_star_import_brings_what_the_manual_imports_from_popoto() -> None:
    imported: dict[str, object] = {}
    exec("from popoto import *", imported)
    assert imported["transaction"] is popoto.transaction
    pages = [ROOT / "README.md", *ROOT.glob("docs/**/*.md")]
    texts = "\n".join(page.read_text() for page in pages)
    lists = re.findall(r"^from popoto import ([\w, ]+)$", texts, re.MULTILINE)
    named = {name.strip() for each in lists for name in each.split(",")}
    modules = {name for name in named if isinstance(getattr(popoto, name), types.ModuleType)}
    assert named - modules - imported.keys() == {"POPOTO_REDIS_DB"}
