"""The differences from the baseline that are rounding, and those that are expected from another machine.

An AMD Zen 4 and a Zen 5 trained equal weights, and their FIDs differed by 5e-9 of the value. The numbers of planar
studies differed by up to 1e-4: NumPy's BLAS chooses its kernels by the processor's model.

The tolerances hold for weights that were trained with another order of summation. They were set from runs of all
experiments with profile quick: with one and with two threads, and with AVX2 and AVX-512.

| numbers | largest difference |
| --- | --- |
| likelihoods of VAEs and flows | 2e-5 of the value |
| the gap between log-likelihood and ELBO, a small difference of large numbers | 0.2 % |
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
ABSOLUTE = {
    "precision": 0.6, "recall": 0.6, "recognised": 0.2, "accuracy": 0.1, "classes": 2.0, "classes_entropy": 0.3,
    "share_on_left_arc": 1e-3, "active_units_value": 1.0, "copying_value": 0.1, "z_score": 10.0,
}  # fmt: skip
OTHERS = 1e-3  # relative tolerance of likelihoods and all other numbers that no classifier influences
COUNT = 0.5  # tolerance of other whole numbers, such as the number of parameters: they must be equal
ROUNDING, ROUNDING_OF_STUDIES = 1e-6, 1e-3  # relative
SMALL = 0.01  # smaller numbers have the bound of rounding of this number, because they are differences or zero
SETTLED = 1000  # updates


def rounding(kept: float, *, of_study: bool) -> float:
    """Return the largest difference from the kept number that is rounding, in the number's unit; 0 for a count."""
    share = ROUNDING_OF_STUDIES if of_study else ROUNDING
    return 0.0 if isinstance(kept, int) else share * max(abs(kept), SMALL)


def tolerance(key: str, kept: float) -> float:
    """Return the largest difference from the kept number that another machine can cause, in the number's unit."""
    name = f"_{key.replace('.', '_')}_"
    absolute = [limit for word, limit in ABSOLUTE.items() if f"_{word}_" in name]
    relative = [share for word, share in RELATIVE.items() if f"_{word}_" in name]
    if absolute:
        return absolute[-1]
    return COUNT if isinstance(kept, int) else max(abs(kept) * [OTHERS, *relative][-1], OTHERS * SMALL)
