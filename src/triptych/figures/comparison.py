"""All experiments side by side: one row each, from the top down."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean, stdev
from typing import TYPE_CHECKING

from triptych.figures.style import COLOURS, new_figure, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROW, MARGINS = 0.34, 1.5  # inches: of one experiment, and of what stands around all of them


def _rows(names: Sequence[str], title: str, x_label: str) -> tuple[Figure, Axes]:
    figure = new_figure(height=max(3.0, MARGINS + ROW * len(names)))
    axes = figure.subplots()
    tidy(axes, x_label, "")
    axes.grid(axis="y", visible=False)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    figure.suptitle(title, fontsize=12)
    return figure, axes


def bars(
    *,
    names: Sequence[str],
    colours: Sequence[str],
    values: Sequence[float],
    errors: Sequence[float],
    errors_are: str,
    title: str,
    label: str,
    real: float | None,
) -> Figure:
    """One bar an experiment, in its colour; a grey line where real images stand on the same scale."""
    figure, axes = _rows(names, title, label)
    places = range(len(names))
    axes.barh(places, values, height=0.6, color=colours)
    if any(errors):
        axes.errorbar(values, places, xerr=errors, fmt="none", ecolor="#333333", capsize=3, label=errors_are)
    for place, value, error in zip(places, values, errors, strict=True):
        axes.annotate(
            f"{value:.3g}", (value + error, place), va="center", xytext=(4, 0), textcoords="offset points", fontsize=9
        )
    if real is not None:
        axes.axvline(real, color=COLOURS["real"], linestyle="--", label=f"real images: {real:.3g}")
    if real is not None or any(errors):
        figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    axes.margins(x=0.1)
    return figure


def bounds(
    *,
    names: Sequence[str],
    elbos: Sequence[float],
    log_likelihoods: Sequence[float],
    errors: Sequence[float],
    title: str,
) -> Figure:
    """From the ELBO to the importance-sampled log-likelihood: the line between is what the posterior misses."""
    figure, axes = _rows(names, title, "nats per image (further right is better)")
    places = range(len(names))
    axes.hlines(places, elbos, log_likelihoods, color=COLOURS["real"], linewidth=2)
    axes.plot(elbos, places, "o", color=COLOURS["elbo"], label="ELBO")
    axes.errorbar(
        log_likelihoods, places, xerr=errors, fmt="s", color=COLOURS["likelihood"], capsize=3,
        label="log-likelihood, importance-sampled",
    )  # fmt: skip
    for place, elbo, value in zip(places, elbos, log_likelihoods, strict=True):
        style = {"va": "center", "textcoords": "offset points", "fontsize": 9}
        axes.annotate(f"{elbo:.2f}", (elbo, place), xytext=(-7, 0), ha="right", **style)
        axes.annotate(f"{value:.2f}", (value, place), xytext=(9, 0), ha="left", **style)
    axes.margins(x=0.2)
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    return figure


def seeds(
    *, names: Sequence[str], colours: Sequence[str], values: Sequence[Sequence[float]], title: str, label: str
) -> Figure:
    """One row an experiment, in its colour: a ring a seed, and their mean with its standard deviation."""
    figure, axes = _rows(names, title, label)
    means, deviations = [mean(each) for each in values], [stdev(each) for each in values]
    for place, (colour, each, middle, deviation) in enumerate(zip(colours, values, means, deviations, strict=True)):
        axes.plot(each, [place] * len(each), "o", markerfacecolor="none", markeredgecolor=colour, markersize=8)
        axes.annotate(
            f"{middle:.4g} ± {deviation:.2g}", (middle, place),
            xytext=(0, 9), textcoords="offset points", ha="center", fontsize=9,
        )  # fmt: skip
    axes.errorbar(
        means, range(len(names)), xerr=deviations,
        fmt="|", color="#333333", markersize=12, capsize=3, label="mean ± standard deviation over seeds",
    )  # fmt: skip
    axes.plot([], [], "o", markerfacecolor="none", markeredgecolor="#333333", markersize=8, label="one seed")
    axes.margins(x=0.15)
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    return figure
