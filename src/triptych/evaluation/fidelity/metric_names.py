"""What the measures are called: a name says on whose features it was measured.

`fid` is the Inception FID alone; on the features of a classifier of ours it is `fid_classifier`. The two never compare.
"""

from __future__ import annotations

from collections.abc import Mapping

MEASURES = ("fid", "kid", "is", "precision", "recall")
SUFFIX = {"classifier": "_classifier", "inception": ""}  # by extractor
ABSENT = "not defined"  # how a cell without a number begins


def name_of(measure: str, row: Mapping[str, object]) -> str:
    """The name under which a row holds a measure, `fid_classifier` or `fid`. Raises KeyError if it holds neither."""
    for suffix in SUFFIX.values():
        name = measure + suffix
        if name in row and not str(row[name]).startswith(ABSENT):
            return name
    raise KeyError(measure)
