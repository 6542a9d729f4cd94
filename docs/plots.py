# ruff: noqa: INP001 - a script beside the manual
"""Draws the plots of the manual: `python docs/plots.py` (the docs build calls `on_pre_build`).

Plain SVG, without a plotting library: a curve is a few hundred points of the very formula that the
library uses.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from popoto.memory.confidence.formula import Evidence
from popoto.memory.cycles.formula import resonance
from popoto.memory.decay.formula import SECONDS_PER_DAY, decay_score

FOLDER = Path(__file__).parent / "plots"
WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 640, 300, 46, 40, 16, 110
COLOURS = ("#3465a4", "#cc6600", "#4e9a06", "#75507b")

Curve = tuple[str, Sequence[tuple[float, float]]]


def curve(label: str, function: Callable[[float], float], end: float, points: int = 240) -> Curve:
    """A function from 0 to `end`."""
    xs = [end * number / points for number in range(points + 1)]
    return label, [(x, function(x)) for x in xs]


def svg(curves: Sequence[Curve], x_label: str, y_label: str, y_range: tuple[float, float]) -> str:
    """The curves as an SVG that is readable on light and dark pages."""
    end = max(x for _, points in curves for x, _ in points)
    low, high = y_range

    def place(x: float, y: float) -> tuple[float, float]:
        across = LEFT + (WIDTH - LEFT - RIGHT) * x / end
        up = HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * (y - low) / (high - low)
        return across, up

    head = 'xmlns="http://www.w3.org/2000/svg" font-family="sans-serif" font-size="12"'
    parts = [
        f'<svg {head} viewBox="0 0 {WIDTH} {HEIGHT}">',
        "<style>text{fill:#808080}.grid{stroke:#808080;stroke-opacity:.3}</style>",
    ]
    for step in range(5):
        value = low + (high - low) * step / 4
        _, up = place(0, value)
        parts.append(f'<path class="grid" d="M{LEFT} {up:.1f}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{up + 4:.1f}" text-anchor="end">{value:g}</text>')
        across, _ = place(end * step / 4, low)
        parts.append(
            f'<text x="{across:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">'
            f"{end * step / 4:g}</text>"
        )
    parts.append(
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 6}" text-anchor="middle">{x_label}'
        f'</text><text x="6" y="12">{y_label}</text>'
    )
    for colour, (label, points) in zip(COLOURS, curves, strict=False):
        path = "L".join("{:.1f} {:.1f}".format(*place(x, y)) for x, y in points)
        parts.append(f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        across, up = place(*points[-1])
        parts.append(
            f'<text x="{across + 6:.1f}" y="{up + 4:.1f}" style="fill:{colour}">{label}</text>'
        )
    return "\n".join([*parts, "</svg>\n"])


def plots() -> dict[str, str]:
    """Every plot, by the name of its file."""

    def decaying(rate: float) -> Curve:
        return curve(f"rate {rate:g}", lambda day: decay_score(0, day * SECONDS_PER_DAY, rate), 365)

    def weekly(day: float) -> float:
        now = day * SECONDS_PER_DAY
        return decay_score(0, now, 0.5) + resonance([(604_800, 3.0, 0)], now) + 0.1 * day

    def evidence(signals: Sequence[float]) -> list[tuple[float, float]]:
        found, points = Evidence(0.5), [(0.0, 0.5)]
        for number, signal in enumerate(signals, 1):
            found = found.learned(signal)
            points.append((float(number), found.confidence))
        return points

    mixed = [0.9 if math.sin(number * 2.4) > -0.3 else 0.1 for number in range(20)]
    turned = [0.9] * 10 + [0.1] * 10
    return {
        "decay.svg": svg([*map(decaying, (0.1, 0.25, 0.5, 1.0))], "days", "score", (0, 1.6)),
        "cycles.svg": svg([curve("weekly", weekly, 35)], "days", "score", (-4, 8)),
        "confidence.svg": svg(
            [("mostly for", evidence(mixed)), ("for, then against", evidence(turned))],
            "signals",
            "confidence",
            (0, 1),
        ),
    }


def on_pre_build(config: Any = None) -> None:  # noqa: ARG001 - what mkdocs calls it with
    """Write the plots; called by the docs build."""
    FOLDER.mkdir(exist_ok=True)
    for name, text in plots().items():
        path = FOLDER / name
        if not path.exists() or path.read_text() != text:
            path.write_text(text)


if __name__ == "__main__":
    on_pre_build()
