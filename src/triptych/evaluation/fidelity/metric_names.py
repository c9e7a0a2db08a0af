"""The names of the fidelity measures, which say whose features they were computed on.

`fid` is always the FID on Inception features. On the features of a classifier it is `fid_classifier`. The two cannot be
compared.
"""

from collections.abc import Mapping

MEASURES = ("fid", "kid", "is", "precision", "recall")
SUFFIX = {"classifier": "_classifier", "inception": ""}  # by extractor
FID_LABELS = {"fid": "FID", "fid_classifier": "FID on classifier features"}
ABSENT = "not defined"  # the beginning of a cell without a number


def name_of(measure: str, row: Mapping[str, object]) -> str:
    """Return the name under which a row holds a measure, for example `fid_classifier`. Raises KeyError without one.

    >>> name_of("fid", {"fid_classifier": 12.5})
    'fid_classifier'
    """
    for suffix in SUFFIX.values():
        name = measure + suffix
        if name in row and not str(row[name]).startswith(ABSENT):
            return name
    raise KeyError(measure)
