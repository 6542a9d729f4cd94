"""Rounding to significant figures."""

from __future__ import annotations

from decimal import Decimal


def round_sig_figs(value: float | str | Decimal, sig_figs: int) -> float:
    """`value` rounded to so many significant figures: 1234.5678 and 3 give 1230.0.

    Zero, infinities and NaN come back as they are. Raises ValueError for `sig_figs` below 1 and
    for text that is no number.
    """
    if sig_figs < 1:
        raise ValueError(f"a number has at least one significant figure, not {sig_figs}")
    return float(f"{float(value):.{sig_figs - 1}e}")
