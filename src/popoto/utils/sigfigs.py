"""Rounding to significant figures."""

from __future__ import annotations

from decimal import Decimal


def round_sig_figs(value: float | str | Decimal, n: int) -> float:
    """`value` rounded to `n` significant figures: 1234.5678 and 3 give 1230.0.

    Zero, infinities and NaN come back as they are. Raises ValueError for `n` below 1 and
    for text that is no number.
    """
    if n < 1:
        raise ValueError(f"a number has at least one significant figure, not {n}")
    return float(f"{float(value):.{n - 1}e}")
