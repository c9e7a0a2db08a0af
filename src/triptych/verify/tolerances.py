"""The tolerances of `triptych verify`, for numbers from machines that differ in their last digits.

They come from runs of all experiments under profile `quick`: with one thread and with two, which only changes the order
of sums, and with AVX2 and AVX-512. The largest differences between these runs were:

| number | difference |
| --- | --- |
| likelihood of a VAE or a flow | 2e-5, relative |
| gap between log-likelihood and ELBO | 0.2 % |
| number of a study | none |
| FID, KID and IS on a classifier that was trained on the other machine | 6 %, 19 % and 3 % |
| share of recognised samples, on the same classifier | 0.11 |
| precision and recall, if all samples are similar | 0.45 |

Some models amplify differences in the last digits during their first updates, so they have no tolerance before
`SETTLED` updates:

- GANs: an FID of 27 became 42 after 40 updates.
- Flows: with the documents' learning rate and no clipping, single batches throw the training back. A RealNVP with
  weights that differ by 1e-7 had a loss of 1,516 or 1,729 after 78 updates, instead of 1,403.
- VAEs on importance weights, which are exponentials of hundreds of nats in float32: another order of sums changed the
  ELBO by 1 % after 117 updates.
"""

from __future__ import annotations

RELATIVE = {
    "fid": 0.15,
    "kid": 0.3,
    "is": 0.1,
    "standard_error": 0.1,
    "standard_deviation": 0.5,
    "effective_sample_size": 0.1,
    "distance": 0.1,
    "inverse_error": 10.0,
    "gap": 0.01,
}
ABSOLUTE = {"precision": 0.6, "recall": 0.6, "recognised": 0.2, "accuracy": 0.1, "classes": 2.0, "entropy": 0.3}
"""Keys of both tables are words that occur in metric names. The last matching key wins, absolute before relative."""
OTHERS = 1e-3  # relative: for likelihoods and all other numbers that do not depend on a classifier
FLOOR = 1e-9  # for numbers that are zero
SETTLED = 1000  # updates


def tolerance(key: str, kept: float) -> float:
    """Return the largest difference from the baseline `kept` that rounding explains, in the unit of the number.

    >>> tolerance("fid_classifier.value", 200.0)
    30.0
    """
    name = f"_{key.replace('.', '_')}_"
    absolute = [limit for word, limit in ABSOLUTE.items() if f"_{word}_" in name]
    relative = [share for word, share in RELATIVE.items() if f"_{word}_" in name]
    return absolute[-1] if absolute else max(abs(kept) * [OTHERS, *relative][-1], FLOOR)
