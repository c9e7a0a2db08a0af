"""Standard errors and 95 % intervals of FID, KID and IS, by the bootstrap over images (Efron and Tibshirani 1993).

Each resampling draws as many generated and as many real images as there are, with replacement, and computes the number
again. The standard deviation of the results is the standard error.

FID is biased: from few images it is too large. Resampling adds about the same bias once more, so the mean of the
resamplings shows how large it is, and the interval contains both the number and the number without its bias. For a FID
near 0, the bias, the standard error is up to twice too large.
"""

from __future__ import annotations

import torch
from scipy.special import stdtrit
from torch import Tensor
from torch_fidelity.metric_isc import KEY_METRIC_ISC_MEAN, isc_features_to_metric

from triptych.evaluation.fidelity.frechet import Gaussian, factor, squared_distance
from triptych.training.reproducible import generator

LEVEL = 0.95
WIDE = 512  # features; with more of them, such as Inception's 2048, one FID takes seconds
FEW = 20  # resamplings for the FID of wide features
MOST = 10_000  # images of each kind that KID is resampled from
CHUNK = 250  # images whose kernel with all others is in memory at the same time; more do not fit into the cache

Uncertainty = dict[str, float]
"""The keys `standard_error`, `low`, `high` and `resamplings` of a measure."""


def fid_uncertainty(value: float, ours: Tensor, theirs: Tensor, resamplings: int) -> Uncertainty:
    """Return the uncertainty of the FID `value` of features (n, f) and (m, f), float64."""
    found = uncertainty(value, value, resampled_fid(ours, theirs, resamplings))
    return found | {"low": max(found["low"], 0.0)}


def kid_uncertainty(value: float, ours: Tensor, theirs: Tensor, resamplings: int) -> Uncertainty:
    """Return the uncertainty of the KID `value` of features (n, f) and (m, f), float64.

    The resampled number is the estimate from all pairs of images. `value` is a mean over random subsets of them, whose
    choice the error leaves out.
    """
    whole, *resampled = resampled_kid(ours, theirs, resamplings)
    return uncertainty(value, float(whole), torch.stack(resampled))


def is_uncertainty(value: float, logits: Tensor, parts: int, resamplings: int) -> Uncertainty:
    """Return the uncertainty of the IS `value` of logits (n, c), a mean over parts.

    IS is too small for few images. Its bias is measured from the IS of all images in one part.
    """
    whole = isc_features_to_metric(logits, splits=1)[KEY_METRIC_ISC_MEAN]
    return uncertainty(value, whole, resampled_is(logits, parts, resamplings))


def uncertainty(value: float, whole: float, resampled: Tensor) -> Uncertainty:
    """Return standard error and interval of `value`, from the same number of all images and of resamplings (b,).

    Half of the interval's width without the bias is the error times a quantile of Student's t, as the error is itself
    estimated. The mean of the resamplings minus the number of all images is the bias.
    """
    error, bias = float(resampled.std()), float(resampled.mean()) - whole
    half = float(stdtrit(len(resampled) - 1, (1 + LEVEL) / 2)) * error
    return {
        "standard_error": error,
        "low": value - max(bias, 0.0) - half,
        "high": value - min(bias, 0.0) + half,
        "resamplings": len(resampled),
    }


def draw_counts(images: int, drawn: int, resamplings: int, *purpose: str | int) -> Tensor:
    """Return how often each image is drawn (b, images), float64, in resamplings of `drawn` images."""
    source = generator(0, "bootstrap", *purpose)
    draws = (torch.randint(images, (drawn,), generator=source) for _ in range(resamplings))
    return torch.stack([indices.bincount(minlength=images) for indices in draws]).double()


def resampled_fid(ours: Tensor, theirs: Tensor, resamplings: int) -> Tensor:
    """Return the FID of each resampling (b,), of fewer than `resamplings` for wide features."""
    count = min(resamplings, FEW) if ours.shape[1] > WIDE else resamplings
    constant = (ours == theirs[0]).all(0) & (theirs == theirs[0]).all(0)  # adds nothing, but makes Cholesky's fail
    ours, theirs = ours[:, ~constant], theirs[:, ~constant]
    of_ours = draw_counts(len(ours), len(ours), count, "generated")
    of_theirs = draw_counts(len(theirs), len(theirs), count, "real")
    found = []
    for times, real_times in zip(of_ours, of_theirs, strict=True):
        real = Gaussian.fit_repeated(theirs, real_times)
        found.append(squared_distance(Gaussian.fit_repeated(ours, times), real, factor(real.covariance)))
    return torch.tensor(found, dtype=torch.float64)


def resampled_kid(ours: Tensor, theirs: Tensor, resamplings: int) -> Tensor:
    """Return the unbiased squared MMD of all images, and then of each resampling, (1 + b,), from all pairs of images.

    A pair of copies of one image is left out, like the pair of an image with itself: both would make the images of a
    set too similar. Of a large set, all images are drawn from the first `MOST`, since the time grows with its square.
    """
    sets, counts = [], []
    for name, features in (("generated", ours), ("real", theirs)):
        sets.append(features[:MOST])
        times = draw_counts(len(sets[-1]), len(features), resamplings, name)
        counts.append(torch.cat([torch.ones_like(times[:1]), times]))
    within = sum(map(_mean_within, sets, counts))
    return within - 2 * _kernel_sums(*sets, *counts) / (counts[0].sum(1) * counts[1].sum(1))


def _mean_within(features: Tensor, counts: Tensor) -> Tensor:
    """Return the mean of the kernel over all pairs of different images of one set, by resampling."""
    alone = counts.square()
    sums = _kernel_sums(features, features, counts, counts) - alone @ _kernel(features.square().sum(1), features)
    return sums / (counts.sum(1).square() - alone.sum(1))


def _kernel_sums(first: Tensor, second: Tensor, of_first: Tensor, of_second: Tensor) -> Tensor:
    """Return the sum of the kernel over all pairs of two sets, by resampling (b,), each pair times both counts."""
    chunks = zip(first.split(CHUNK), of_first.split(CHUNK, dim=1), strict=True)
    return sum((counts * (of_second @ _kernel(second @ rows.T, first))).sum(1) for rows, counts in chunks)


def _kernel(products: Tensor, features: Tensor) -> Tensor:
    """Return the cubic kernel of torch-fidelity, (x'y / f + 1)^3, from inner products of features (n, f)."""
    return (products / features.shape[1] + 1) ** 3


def resampled_is(logits: Tensor, parts: int, resamplings: int) -> Tensor:
    """Return the IS of each resampling (b,): the mean over its parts of exp(mean KL(p(y|x) || p(y)))."""
    logits, count = logits.double(), len(logits)
    classes = logits.softmax(1)
    negative_entropies = (classes * logits.log_softmax(1)).sum(1)
    scores = []
    for part in range(parts):
        drawn = (part + 1) * count // parts - part * count // parts
        counts = draw_counts(count, drawn, resamplings, "classes", part)
        marginal = counts @ classes / drawn
        scores.append((counts @ negative_entropies / drawn + torch.special.entr(marginal).sum(1)).exp())
    return torch.stack(scores).mean(0)
