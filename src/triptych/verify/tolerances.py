"""The differences from the baseline that are rounding, and those that are expected from another machine.

An AMD Zen 4 and a Zen 5 trained equal weights, and their FIDs differed by 5e-9 of the value. The numbers of planar
studies differed by up to 1e-4: NumPy's BLAS chooses its kernels by the processor's model.

The tolerances hold for weights that were trained with another order of summation. They were set from runs of all
experiments with profile quick. The first two columns of numbers compare AVX-512 with AVX2 on one processor, the last
one an AMD Zen 4 with an Intel Xeon, after a longer training. The largest differences, as shares where no unit is named:

| numbers | VAEs | GAN on MNIST | GAN on MNIST, 3,120 updates |
| --- | --- | --- | --- |
| ELBO and log-likelihood | 0.03 % | | |
| KL; the gap between log-likelihood and ELBO | 0.16 %; 0.24 % | | |
| FID, KID, IS | 0.1 %, 0.07 %, 0.2 % | 0.6 %, 4.4 %, 6 % | 2.4 %, 6 %, 17 % |
| recognised share, precision, recall | 0, 0.001, 0.004 | 0.003, 0.001, 0.008 | 0.016, 0.035, 0.006 |
| losses; accuracy of the discriminator | | 14 %; 0.05 | 4 %; 0.05 |

Some models have no tolerance before `SETTLED` updates (`FamilyEntry.unsettled`). The FID of a GAN after 60 updates was
59 and 78. Without gradient clipping, single batches change the loss of a flow suddenly: a RealNVP with weights that
differed by 1e-7 had a loss of 1,516 or 1,729 after 78 updates in place of 1,403, and 1,259 with oneDNN's products. The
ELBO of a VAE trained on importance weights changed by 1 % after 117 updates, because of the order of summation.
"""

from __future__ import annotations

# Keys of both tables are words in the names of numbers. The last key that fits counts.
RELATIVE = {
    "fid": 0.1, "kid": 0.15, "is": 0.25, "train_kl": 0.01, "valid_kl": 0.01, "test_kl": 0.01, "gap": 0.01,
    "generator_loss": 0.3, "discriminator_loss": 0.3, "effective_sample_size": 0.1, "distance": 0.1,
    "inverse_error": 10.0, "standard_error": 0.2, "standard_deviation": 1.0,
}  # fmt: skip
ABSOLUTE = {
    "precision": 0.1, "recall": 0.1, "recognised": 0.1, "accuracy": 0.1, "classes": 2.0, "classes_entropy": 0.2,
    "real_entropy": 0.2, "share_on_left_arc": 1e-3, "active_units_value": 1.0, "copying_value": 0.05, "z_score": 3.0,
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
