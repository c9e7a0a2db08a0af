"""The Frechet distance between two Gaussians (Dowson and Landau 1982), computed in a symmetric form.

The trace of (S1 S2)^(1/2) equals the trace of (F' S1 F)^(1/2), where F F' = S2; F can be the square root of S2. F' S1 F
is symmetric, so its eigenvalues are real, not negative and cheap to compute. F is computed once per set of real images.
Heusel et al. 2017 introduced the distance for features of images (FID).
"""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor
from torch_fidelity.metric_fid import fid_features_to_statistics


@dataclass(frozen=True)
class Gaussian:
    """Mean (f,) and covariance (f, f), float64."""

    mean: Tensor
    covariance: Tensor

    @classmethod
    def fit(cls, features: Tensor) -> Self:
        """Return the Gaussian of features (n, f), n at least 2, with the unbiased covariance."""
        found = fid_features_to_statistics(features.double())
        covariance = torch.atleast_2d(torch.as_tensor(found["sigma"]))  # for a single feature it is a scalar
        return cls(torch.from_numpy(found["mu"]), covariance)

    @classmethod
    def fit_repeated(cls, features: Tensor, counts: Tensor) -> Self:
        """Return the Gaussian of features (n, f) that are repeated `counts` (n,) times, both float64."""
        kept = counts > 0
        features, counts = features[kept], counts[kept]
        total = counts.sum()
        mean = counts @ features / total
        centred = (features - mean) * counts.sqrt()[:, None]
        return cls(mean, centred.T @ centred / (total - 1))


def square_root(covariance: Tensor) -> Tensor:
    """Return the symmetric square root (f, f) of a covariance (f, f) of any rank.

    >>> import torch
    >>> square_root(torch.diag(torch.tensor([4.0, 9.0])))
    tensor([[2., 0.],
            [0., 3.]])
    """
    values, vectors = torch.linalg.eigh(covariance)
    return (vectors * values.clamp(min=0).sqrt()) @ vectors.T


def factor(covariance: Tensor) -> Tensor:
    """Return a matrix F (f, f) with F F' = covariance: Cholesky's, the cheapest, or else the square root."""
    lower, failed = torch.linalg.cholesky_ex(covariance)
    return square_root(covariance) if failed else lower


def squared_distance(ours: Gaussian, theirs: Gaussian, factor: Tensor) -> float:
    """Return |m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)), given a matrix F (f, f) with F F' = S2, that of `theirs`.

    If both covariances have full rank, the result equals that of torch-fidelity to 1e-9 relative. With fewer images
    than features, or with constant features, eigenvalues that should be zero are rounding errors, and their square
    roots enter both results. Then the two results agree to 1e-7, and both are equally close to the exact value. A
    result below 0 can only be a rounding error, and becomes 0.
    """
    product = factor.T @ ours.covariance @ factor
    values = torch.linalg.eigvalsh((product + product.T) / 2)  # the product is symmetric only up to rounding
    traces = ours.covariance.trace() + theirs.covariance.trace() - 2 * values.clamp(min=0).sqrt().sum()
    return float(((ours.mean - theirs.mean).square().sum() + traces).clamp(min=0))
