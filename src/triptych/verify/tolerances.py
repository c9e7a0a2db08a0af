"""The tolerances for numbers from machines that round differently.

They were set from runs of all experiments with profile quick: with one and with two threads, which differ only in the
order of summation, and with AVX2 and AVX-512.

| numbers | largest difference |
| --- | --- |
| likelihoods of VAEs and flows | 2e-5 of the value |
| the gap between log-likelihood and ELBO, a small difference of large numbers | 0.2 % |
| studies | none |
| FID, KID, IS (they change with the classifier) | 6 %, 19 %, 3 % |
| share of recognised samples | 0.11 |
| precision, which depends on few balls if samples are similar | 0.45 |

Some models have no tolerance before `SETTLED` updates (`FamilyEntry.unsettled`). The FID of a GAN after 40 updates was
27 and 42. Without gradient clipping, single batches change the loss of a flow suddenly: a RealNVP with weights that
differed by 1e-7 had a loss of 1,516 or 1,729 after 78 updates in place of 1,403, and 1,259 with oneDNN's products. The
ELBO of a VAE trained on importance weights changed by 1 % after 117 updates, because of the order of summation.
"""

from __future__ import annotations

# Keys of both tables are words in the names of numbers. The last key that fits counts.
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
OTHERS = 1e-3  # relative tolerance of likelihoods and all other numbers that no classifier influences
FLOOR = 1e-9  # absolute tolerance of numbers that are zero
SETTLED = 1000  # updates


def tolerance(key: str, kept: float) -> float:
    """Return the largest difference from the kept number that rounding can cause, in the number's unit."""
    name = f"_{key.replace('.', '_')}_"
    absolute = [limit for word, limit in ABSOLUTE.items() if f"_{word}_" in name]
    relative = [share for word, share in RELATIVE.items() if f"_{word}_" in name]
    return absolute[-1] if absolute else max(abs(kept) * [OTHERS, *relative][-1], FLOOR)
