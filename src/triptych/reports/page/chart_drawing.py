"""The panels of a chart: places of lines, ticks and texts in an SVG drawing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil, floor, log10
from typing import Any

from triptych.figures.curves import first_steps

WIDTH, HEIGHT = 440, 220  # of a panel, in units of its viewBox
LEFT, RIGHT, TOP, BOTTOM = 54, 12, 8, 36  # margins
MARGIN = 0.05  # above and below the lines, as a share of their range


def panels(chart: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return a panel over all steps of a chart, and one without the first steps, whose values may hide the rest."""
    return [_panel(chart, first) for first in first_steps(len(chart["steps"]))]


def _panel(chart: Mapping[str, Any], first: int) -> dict[str, Any]:
    steps = chart["steps"][first:]
    lines = [line | {"values": line["values"][first:]} for line in chart["lines"]]
    known = [value for line in lines for value in _known(line["values"])] or [0.0]
    low, high = min(known), max(known)
    reach = (high - low) * MARGIN or abs(high) * MARGIN or 1.0
    low, high = low - reach, high + reach

    def x(step: float) -> float:
        return round(LEFT + (step - steps[0]) / (steps[-1] - steps[0] or 1) * (WIDTH - LEFT - RIGHT), 1)

    def y(value: float) -> float:
        return round(TOP + (high - value) / (high - low) * (HEIGHT - TOP - BOTTOM), 1)

    xs = [x(step) for step in steps]
    for line in lines:
        line["ys"] = [None if value is None else y(value) for value in line["values"]]
        line["path"] = _path(xs, line["ys"])
    return {
        "first": steps[0] if first else None,
        "x": chart["x"],
        "y": chart["y"],
        "lines": lines,
        "x_ticks": [(x(tick), f"{tick:,g}") for tick in _ticks(steps[0], steps[-1], 6, whole=True)],
        "y_ticks": [(y(tick), f"{tick:,.5g}") for tick in _ticks(low, high, 5)],
        "data": {
            "steps": steps,
            "values": [line["values"] for line in lines],
            "xs": xs,
            "ys": [line["ys"] for line in lines],
        },
    }


def _known(values: Sequence[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _path(xs: Sequence[float], ys: Sequence[float | None]) -> str:
    """Return the path of a line, with a gap at each unknown value."""
    parts, pen = [], "M"
    for x, y in zip(xs, ys, strict=True):
        if y is not None:
            parts.append(f"{pen}{x} {y}")
        pen = "M" if y is None else "L"
    return "".join(parts)


def _ticks(low: float, high: float, count: int, *, whole: bool = False) -> list[float]:
    """Return about `count` round numbers from `low` to `high`.

    >>> _ticks(0, 12, 6, whole=True)
    [0.0, 2.0, 4.0, 6.0, 8.0, 10.0, 12.0]
    """
    rough = (high - low) / count or 1.0
    unit = 10.0 ** floor(log10(rough))
    step = next(factor * unit for factor in (1, 2, 5, 10) if factor * unit >= rough * 0.999)
    step = max(step, 1) if whole else step
    return [round(k * step, 12) for k in range(ceil(low / step), floor(high / step + 1e-9) + 1)]
