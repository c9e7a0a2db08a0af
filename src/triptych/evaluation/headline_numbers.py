"""The headline numbers of an experiment, as DVC's tables show them."""

from collections.abc import Mapping
from typing import Any

from triptych.core.json_files import flatten

NUMBERS = {
    "elbo": "test.elbo",
    "log_p": "test.log_likelihood",
    "bits": "test.bits_per_dimension",
    "fid": "fid.value",
    "fid_classifier": "fid_classifier.value",
}
"""The key of each headline number in the results. Short names, because `dvc metrics show` makes each a column."""


def headline_numbers(results: Mapping[str, Any]) -> dict[str, float]:
    """Return those headline numbers that the results have.

    >>> headline_numbers({"test": {"elbo": -101.5}, "fid": {"value": 7.5, "samples": 1000}})
    {'elbo': -101.5, 'fid': 7.5}
    """
    found = flatten(dict(results))
    return {name: found[key] for name, key in NUMBERS.items() if key in found}
