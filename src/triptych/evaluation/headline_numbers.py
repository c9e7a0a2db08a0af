"""The headline numbers of an experiment, as DVC's tables show them."""

from collections.abc import Mapping
from typing import Any

from triptych.core.json_files import flatten

NUMBERS = {
    "valid.elbo": "valid",
    "valid.bits_per_dimension": "valid",  # in one column, since no family has both
    "test.elbo": "elbo",
    "test.log_likelihood": "log_p",
    "test.bits_per_dimension": "bits",
    "fid.value": "fid",
    "fid_classifier.value": "fid_classifier",
}
"""The name of each headline number, by its key in the results. Short names, because each is a column of DVC's table.

`metrics/summary.csv` and the tables of the page have columns of their own.
"""


def headline_numbers(results: Mapping[str, Any]) -> dict[str, float]:
    """Return those headline numbers that the results have.

    >>> headline_numbers({"valid": {"elbo": -102.0}, "test": {"elbo": -101.5}, "fid": {"value": 7.5, "samples": 1000}})
    {'valid': -102.0, 'elbo': -101.5, 'fid': 7.5}
    """
    found = flatten(dict(results))
    return {name: found[key] for key, name in NUMBERS.items() if key in found}
