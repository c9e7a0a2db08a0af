"""How far a number may be from the committed one on a machine that computes the last digits otherwise.

Set from runs of all experiments under profile quick: at one thread and at two, which differ in the order of their sums
alone, and with AVX2 and AVX-512. Likelihoods of VAEs and flows moved by up to 2e-5 of their value, studies not at all.
What a classifier judges moved with the classifier: FID by 6 %, KID by 19 %, IS by 3 %, recognised shares by 0.11, and
precision, which hangs on a few balls where samples are all alike, by up to 0.45. A GAN in its
first updates makes whole numbers of last digits (FID 27 and 42 after 40 updates): it has no tolerance before it has
settled. Nor has a flow, which single batches throw back at the documents' rate, unclipped (a RealNVP whose weights are
1e-7 off has a loss of 1,516 or 1,729 after 78 updates, where it had 1,403; with oneDNN's products 1,259), or a VAE in
its first updates on importance weights, exponentials of hundreds of nats in float32: after 117 of them sums in another
order moved its ELBO by 1 %. What the ELBO misses, a small difference of large numbers, moved by 0.2 %.
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
"""Both by words in the number's name, of which the last that fits counts."""
OTHERS = 1e-3  # relative: of likelihoods, and whatever else no classifier has a part in
FLOOR = 1e-9  # for numbers that are zero
SETTLED = 1000  # updates


def tolerance(key: str, kept: float) -> float:
    """The largest difference from the kept number that is a matter of rounding, in the number's own unit."""
    name = f"_{key.replace('.', '_')}_"
    absolute = [limit for word, limit in ABSOLUTE.items() if f"_{word}_" in name]
    relative = [share for word, share in RELATIVE.items() if f"_{word}_" in name]
    return absolute[-1] if absolute else max(abs(kept) * [OTHERS, *relative][-1], FLOOR)
