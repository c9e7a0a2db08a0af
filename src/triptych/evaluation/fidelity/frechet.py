"""The Frechet distance between two Gaussians (Dowson and Landau 1982), computed in a symmetric form.

The trace of (S1 S2)^(1/2) equals the trace of (R S1 R)^(1/2), where R is the square root of S2. R S1 R is symmetric, so
its eigenvalues are real, not negative and cheap to compute. R is computed once per set of real images. Heusel et al.
2017 introduced the distance for features of images (FID).
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


def square_root(covariance: Tensor) -> Tensor:
    """Return the symmetric square root (f, f) of a covariance (f, f) of any rank.

    >>> import torch
    >>> square_root(torch.diag(torch.tensor([4.0, 9.0])))
    tensor([[2., 0.],
            [0., 3.]])
    """
    values, vectors = torch.linalg.eigh(covariance)
    return (vectors * values.clamp(min=0).sqrt()) @ vectors.T


def squared_distance(ours: Gaussian, theirs: Gaussian, root: Tensor) -> float:
    """Return |m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)), given the square root (f, f) of the covariance of `theirs`.

    If both covariances have full rank, the result equals that of torch-fidelity to 1e-9 relative. With fewer images
    than features, or with constant features, eigenvalues that should be zero are rounding errors, and their square
    roots enter both results. Then the two results agree to 1e-7, and both are equally close to the exact value.
    """
    product = root @ ours.covariance @ root
    values = torch.linalg.eigvalsh((product + product.T) / 2)  # the product is symmetric only up to rounding
    traces = ours.covariance.trace() + theirs.covariance.trace() - 2 * values.clamp(min=0).sqrt().sum()
    return float((ours.mean - theirs.mean).square().sum() + traces)
