"""The three families side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from triptych.figures.style import COLOURS, new_figure, tidy

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def bars(
    *,
    names: Sequence[str],
    colours: Sequence[str],
    values: Sequence[float],
    errors: Sequence[float],
    title: str,
    y_label: str,
    real: float | None,
) -> Figure:
    """One bar an experiment, in its colour; a grey line where real images stand on the same scale."""
    figure = new_figure()
    axes = figure.subplots()
    places = range(len(names))
    axes.bar(places, values, width=0.6, color=colours)
    if any(errors):
        axes.errorbar(places, values, yerr=errors, fmt="none", ecolor="#333333", capsize=3)
    for place, value in zip(places, values, strict=True):
        axes.annotate(
            f"{value:.3g}", (place, value), ha="center", va="bottom", xytext=(14, 2), textcoords="offset points"
        )
    if real is not None:
        axes.axhline(real, color=COLOURS["real"], linestyle="--", label=f"real images: {real:.3g}")
        axes.legend(frameon=False)
    axes.set_xticks(places, names)
    axes.set_title(title, fontsize=12)
    axes.margins(y=0.15)
    tidy(axes, "experiment", y_label)
    axes.grid(axis="x", visible=False)
    return figure
