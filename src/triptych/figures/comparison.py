"""Comparison of experiments: one row per experiment, from the top down."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import mean, stdev
from typing import TYPE_CHECKING, NamedTuple

from triptych.core.number_formats import NATS
from triptych.figures.style import COLOURS, INK, add_legend, label_point, new_figure, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROW, MARGINS = 0.34, 1.5  # inches: height of a row, and of the space above and below all rows
GAP = 0.8  # inches between panels: axis, its label, and the next title


def bars(
    *,
    names: Sequence[str],
    colours: Sequence[str],
    families: Mapping[str, str],
    values: Sequence[float],
    errors: Sequence[float],
    title: str,
    label: str,
    real: float | None,
) -> Figure:
    """Return one bar per experiment in its colour; a grey line shows the value `real` of real images.

    `families` are the colours for the legend, by title.
    """
    figure, axes = _rows(names, title, label)
    places = range(len(names))
    axes.barh(places, values, height=0.6, color=colours)
    if any(errors):
        axes.errorbar(
            values, places, xerr=errors, fmt="none", ecolor=INK, capsize=3, label="standard error over images"
        )
    for place, value, error in zip(places, values, errors, strict=True):
        label_point(axes, f"{value:#.4g}", (value + error, place), (4, 0), va="center")
    if real is not None:
        axes.axvline(real, color=COLOURS["real"], linestyle="--", label=f"real images: {real:z.3f}")
    _add_families(axes, families)
    add_legend(figure)
    axes.margins(x=0.1)
    return figure


class Bounds(NamedTuple):
    """The bounds of one experiment in nats, and the standard error of the log-likelihood."""

    name: str
    elbo: float
    log_likelihood: float
    error: float


def bounds(datasets: Mapping[str, Sequence[Bounds]], title: str) -> Figure:
    """Return a line per experiment from the ELBO to the importance-sampled log-likelihood.

    Each data set has a panel and an axis of its own, since likelihoods of different images cannot be compared.
    """
    label = "nats per image (further right is better)"
    figure, panels = _panels([[row.name for row in rows] for rows in datasets.values()], title, label)
    for axes, (dataset, rows) in zip(panels, datasets.items(), strict=True):
        _draw_bounds(axes, rows)
        if len(datasets) > 1:
            axes.set_title(dataset, fontsize=10)
    add_legend(figure, *panels[0].get_legend_handles_labels())
    return figure


def _draw_bounds(axes: Axes, rows: Sequence[Bounds]) -> None:
    places = range(len(rows))
    _, elbos, log_likelihoods, errors = zip(*rows, strict=True)
    axes.hlines(places, elbos, log_likelihoods, color=COLOURS["real"], linewidth=2)
    axes.plot(elbos, places, "o", color=COLOURS["elbo"], label="ELBO")
    axes.errorbar(
        log_likelihoods, places, xerr=errors, fmt="s", color=COLOURS["likelihood"], capsize=3,
        label="log-likelihood, importance-sampled, ± standard error",
    )  # fmt: skip
    for place, (_, elbo, value, error) in enumerate(rows):
        left, right = min(elbo, value - error), max(elbo, value + error)
        label_point(axes, NATS.format(elbo), (left, place), (-7, 0), va="center", ha="right")
        label_point(axes, NATS.format(value), (right, place), (9, 0), va="center", ha="left")
    axes.margins(x=0.25)


def values_per_seed(
    *,
    names: Sequence[str],
    colours: Sequence[str],
    families: Mapping[str, str],
    values: Sequence[Sequence[float]],
    title: str,
    label: str,
) -> Figure:
    """Return one ring per seed in the colour of its experiment, with mean and standard deviation over the seeds."""
    figure, axes = _rows(names, title, label)
    means, deviations = [mean(each) for each in values], [stdev(each) for each in values]
    for place, (colour, each, middle, deviation) in enumerate(zip(colours, values, means, deviations, strict=True)):
        axes.plot(each, [place] * len(each), "o", markerfacecolor="none", markeredgecolor=colour, markersize=8)
        label_point(axes, _with_deviation(middle, deviation), (middle, place), (0, 9), ha="center")
    axes.errorbar(
        means, range(len(names)), xerr=deviations,
        fmt="|", color=INK, markersize=12, capsize=3, label="mean ± standard deviation over seeds",
    )  # fmt: skip
    axes.plot([], [], "o", markerfacecolor="none", markeredgecolor=INK, markersize=8, label="one seed")
    axes.margins(x=0.15)
    _add_families(axes, families)
    add_legend(figure)
    return figure


def _with_deviation(middle: float, deviation: float) -> str:
    """Return a mean with two digits of the deviation, both with the same decimals.

    >>> _with_deviation(1.9395, 0.00086), _with_deviation(131.8, 17.8), _with_deviation(20.0, 0.0)
    ('1.93950 ± 0.00086', '132 ± 18', '20.000 ± 0.000')
    """
    decimals = max(0, 1 - math.floor(math.log10(deviation))) if deviation else 3
    return f"{middle:.{decimals}f} ± {deviation:.{decimals}f}"


def _add_families(axes: Axes, families: Mapping[str, str]) -> None:
    for title, colour in families.items():
        axes.plot([], [], "s", color=colour, label=title)


def _rows(names: Sequence[str], title: str, x_label: str) -> tuple[Figure, Axes]:
    figure, [axes] = _panels([names], title, x_label)
    return figure, axes


def _panels(names: Sequence[Sequence[str]], title: str, x_label: str) -> tuple[Figure, list[Axes]]:
    """Return one panel per list of names, from the top down, with one row per name."""
    rows = list(map(len, names))
    figure = new_figure(height=max(3.0, MARGINS + GAP * (len(rows) - 1) + ROW * sum(rows)), title=title)
    panels = list(figure.subplots(len(rows), squeeze=False, height_ratios=rows).flat)
    for axes, each in zip(panels, names, strict=True):
        tidy(axes, x_label, "")
        axes.grid(axis="y", visible=False)
        axes.set_yticks(range(len(each)), each)
        axes.set_ylim(len(each) - 0.4, -0.6)
    return figure, panels
