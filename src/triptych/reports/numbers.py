"""Numbers of the summary as text, and their means over seeds: for the page and for the tables in the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from triptych.core.number_formats import BITS_PER_DIMENSION, FID, NATS
from triptych.evaluation.over_seeds import Spread, spreads

Row = Mapping[str, Any]

FORMATS = {
    "fid": FID,
    "kid": "{:z.3f}",
    "is": "{:.3f}",
    "precision": "{:.3f}",
    "recall": "{:.3f}",
    "test_elbo": NATS,
    "test_log_likelihood": NATS,
    "test_bits_per_dimension": BITS_PER_DIMENSION,
    "recognised": "{:.1%}",
    "classes": "{:.0f}",
    "parameters": "{:,.0f}",
    "epochs": "{:.0f}",
    "train_seconds": "{:,.1f}",
    "seconds_per_sample": "{:.2g}",
}

FEW_IMAGES = 500  # with fewer real images, their random choice changes FID a lot


def over_seeds(rows: Sequence[Row]) -> dict[str, Spread]:
    """Return the spread of each numeric column over the rows of a group, one row per seed."""
    columns = [key for key in rows[0] if all(number_in(row[key]) is not None for row in rows)]
    return dict(spreads([{key: float(row[key]) for key in columns} for row in rows]))


def number_in(cell: object) -> float | None:
    """Return the number in a cell of the summary, or None if it says that there is none."""
    try:
        return float(str(cell))
    except ValueError:
        return None


def few_images(count: int) -> str:
    """Return a note for scores against so few real images that they say little; an empty string for more images."""
    if count >= FEW_IMAGES:
        return ""
    return f"Only {count} real images: FID, KID, precision and recall of so few say little."


def show_number(value: object) -> str:
    """Return a number with four digits; return integers and words in full.

    From 100 on, it has two decimals; below 0.001 and from a million on, three digits and an exponent.

    >>> [show_number(value) for value in (815824, -111.956, 1.0, 0.00004, "by hand")]
    ['815,824', '-111.96', '1', '4.00e-05', 'by hand']
    """
    number = number_in(value)
    if number is None:
        return str(value)
    if str(value).lstrip("-").isdecimal():
        return f"{number:,.0f}"
    if 100 <= abs(number) < 1e6:
        return f"{number:,.2f}"
    return f"{number:z.4g}" if number == 0 or 1e-3 <= abs(number) < 100 else f"{number:.2e}"
