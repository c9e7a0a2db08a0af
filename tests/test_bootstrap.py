"""Intervals of FID, KID and IS: against direct computation on resampled images, and against known values."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import product

import pytest
import torch
from pydantic import ValidationError
from torch_fidelity.metric_fid import KEY_METRIC_FID, fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_isc import KEY_METRIC_ISC_MEAN, isc_features_to_metric
from torch_fidelity.metric_kid import KEY_METRIC_KID_MEAN, kid_features_to_metric

from test_fidelity import PROTOCOL as PLAIN
from test_fidelity import extracted, reference_of
from triptych.evaluation.fidelity import bootstrap
from triptych.evaluation.fidelity.bootstrap import (
    draw_counts,
    fid_uncertainty,
    is_uncertainty,
    kid_uncertainty,
    resampled_fid,
    resampled_is,
    resampled_kid,
    uncertainty,
)
from triptych.evaluation.fidelity.frechet import Gaussian, factor, square_root, squared_distance
from triptych.evaluation.fidelity.measures import scores
from triptych.evaluation.settings import Fidelity

PROTOCOL = PLAIN.model_copy(update={"resamplings": 30})
REPETITIONS = 100
RESAMPLINGS = 50
COVERED = 88  # of 100 intervals; fewer of 100 at 95 % each have a probability of 0.4 %


def normal(count: int, features: int, seed: int) -> torch.Tensor:
    return torch.randn(count, features, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def drawn(values: torch.Tensor, resamplings: int, *purpose: str | int, count: int | None = None) -> list[torch.Tensor]:
    """Return the resampled sets as sets: each image as often as it was drawn."""
    counts = draw_counts(len(values), count or len(values), resamplings, *purpose).long()
    return [values.repeat_interleave(each, 0) for each in counts]


def test_every_resampling_draws_with_replacement() -> None:
    counts = draw_counts(40, 60, 500, "x")
    assert counts.shape == (500, 40)
    assert (counts.sum(1) == 60).all()
    assert torch.equal(counts, draw_counts(40, 60, 500, "x"))
    assert not torch.equal(counts, draw_counts(40, 60, 500, "y"))
    assert counts.mean(0).tolist() == pytest.approx([1.5] * 40, rel=0.15)
    assert float(counts.var(0).mean()) == pytest.approx(60 * (1 / 40) * (39 / 40), rel=0.05)  # of a multinomial


@pytest.mark.parametrize(("images", "features"), [(60, 4), (60, 5), (6, 8)])
def test_resampled_fid_is_that_of_resampled_images(images: int, features: int) -> None:
    """Compare with torch-fidelity, also with a constant feature, a copied one, and fewer images than features."""
    ours, theirs = normal(images, features, 0), 1.3 * normal(images + 3, features, 1) + 0.2
    if features == 5:
        ours[:, 4] = theirs[:, 4] = 0.7
        ours[:, 3], theirs[:, 3] = ours[:, 2], theirs[:, 2]
    found = resampled_fid(ours, theirs, 10)
    pairs = zip(drawn(ours, 10, "generated"), drawn(theirs, 10, "real"), strict=True)
    statistics = [[fid_features_to_statistics(part) for part in pair] for pair in pairs]
    wanted = [fid_statistics_to_metric(*pair, verbose=False)[KEY_METRIC_FID] for pair in statistics]
    assert found.tolist() == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize("constant", ["generated", "real"])
def test_a_feature_that_is_constant_in_one_set_counts(constant: str) -> None:
    ours, theirs = normal(50, 2, 0), normal(50, 2, 1)
    (ours if constant == "generated" else theirs)[:, 1] = float(theirs[0, 1])
    [found] = resampled_fid(ours, theirs, 1)
    [one], [other] = drawn(ours, 1, "generated"), drawn(theirs, 1, "real")
    real = Gaussian.fit(other)
    assert float(found) == pytest.approx(squared_distance(Gaussian.fit(one), real, square_root(real.covariance)))


def test_wide_features_are_resampled_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = normal(30, 3, 0), normal(30, 3, 1)
    assert len(resampled_fid(ours, theirs, 40)) == 40
    monkeypatch.setattr(bootstrap, "WIDE", 2)
    assert fid_uncertainty(1.0, ours, theirs, 40)["resamplings"] == bootstrap.FEW == 20
    assert len(resampled_fid(ours, theirs, 12)) == 12


def test_a_factor_gives_the_covariance_whatever_its_rank() -> None:
    for covariance in (torch.cov(normal(20, 4, 0).T), torch.diag(torch.tensor([1.0, 0.0, 2.0]).double())):
        found = factor(covariance)
        assert torch.allclose(found @ found.T, covariance, rtol=1e-12)


def test_resampled_kid_leaves_out_copies() -> None:
    """Compare with all pairs, one by one: within a set those of different images, between the sets all."""
    ours, theirs = normal(12, 3, 0), 0.4 + normal(9, 3, 1)

    def mean(first: torch.Tensor, second: torch.Tensor, *, same: bool) -> float:
        pairs = [(x, y) for x, y in product(first, second) if not (same and torch.equal(x, y))]
        return sum((float(x @ y) / 3 + 1) ** 3 for x, y in pairs) / len(pairs)

    def mmd(one: torch.Tensor, other: torch.Tensor) -> float:
        return mean(one, one, same=True) + mean(other, other, same=True) - 2 * mean(one, other, same=False)

    whole, *found = resampled_kid(ours, theirs, 5).tolist()
    assert whole == pytest.approx(mmd(ours, theirs), rel=1e-10)
    pairs = zip(drawn(ours, 5, "generated"), drawn(theirs, 5, "real"), strict=True)
    assert found == pytest.approx([mmd(*pair) for pair in pairs], rel=1e-10)


def test_resampled_kid_is_that_of_torch_fidelity_in_several_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = normal(80, 4, 0), 0.3 + normal(80, 4, 1)
    wanted = kid_features_to_metric(ours, theirs, kid_subsets=1, kid_subset_size=80, verbose=False)
    found = resampled_kid(ours, theirs, 10)
    assert float(found[0]) == pytest.approx(wanted[KEY_METRIC_KID_MEAN], rel=1e-10)
    monkeypatch.setattr(bootstrap, "CHUNK", 30)
    assert resampled_kid(ours, theirs, 10).tolist() == pytest.approx(found.tolist(), rel=1e-10)


def test_kid_is_resampled_from_the_first_images_of_a_large_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """The draws are as many as the images, so that the error is that of the whole set."""
    ours, theirs = normal(4000, 1, 0), 0.5 + normal(3000, 1, 1)
    error = kid_uncertainty(0.0, ours, theirs, 200)["standard_error"]
    monkeypatch.setattr(bootstrap, "MOST", 1000)
    found = resampled_kid(ours, theirs, 200)
    assert float(found[0]) == pytest.approx(float(resampled_kid(ours[:1000], theirs[:1000], 1)[0]))
    assert float(found[1:].std()) == pytest.approx(error, rel=0.3)


def test_resampled_is_is_that_of_resampled_parts() -> None:
    logits = 3 * normal(103, 5, 0)
    sizes = [10, 10, 10, 11, 10, 10, 11, 10, 10, 11]  # as torch-fidelity splits 103 images
    parts = [drawn(logits, 4, "classes", part, count=size) for part, size in enumerate(sizes)]
    wanted = [
        sum(isc_features_to_metric(part, splits=1)[KEY_METRIC_ISC_MEAN] for part in resampling) / 10
        for resampling in zip(*parts, strict=True)
    ]
    assert resampled_is(logits, 10, 4).tolist() == pytest.approx(wanted, rel=1e-12)


def test_an_interval_contains_the_number_with_and_without_its_bias() -> None:
    """With 11 resamplings the quantile of Student's t is 2.2281 (10 degrees of freedom)."""
    spread = torch.linspace(-1.0, 1.0, 11).double()
    error = math.sqrt(float(spread.square().sum()) / 10)
    for whole, value, bias in ((5.0, 5.0, 0.0), (5.0, 5.0, 0.5), (2.0, 1.75, -0.5), (4.0, 7.0, 0.25)):
        found = uncertainty(value, whole, whole + bias + spread)
        half = 2.2281 * error
        assert found["standard_error"] == pytest.approx(error)
        assert found["low"] == pytest.approx(min(value, value - bias) - half, abs=1e-3)
        assert found["high"] == pytest.approx(max(value, value - bias) + half, abs=1e-3)
        assert found["resamplings"] == 11


def of_fid(seed: int) -> tuple[float, dict[str, float]]:
    """The distance of N(0, I) and N(m, diag(s^2)) is |m|^2 + sum (1 - s)^2, here 2.5."""
    shift, scale = torch.tensor([1.0, -0.5, 0.0]).double(), torch.tensor([1.0, 2.0, 0.5]).double()
    ours, theirs = normal(200, 3, 2 * seed), shift + scale * normal(250, 3, 2 * seed + 1)
    real = Gaussian.fit(theirs)
    value = squared_distance(Gaussian.fit(ours), real, factor(real.covariance))
    return value, fid_uncertainty(value, ours, theirs, RESAMPLINGS)


def of_equal_gaussians(seed: int) -> tuple[float, dict[str, float]]:
    """The distance is 0, and FID of 40 images is far above."""
    ours, theirs = normal(40, 6, 2 * seed), normal(40, 6, 2 * seed + 1)
    real = Gaussian.fit(theirs)
    value = squared_distance(Gaussian.fit(ours), real, factor(real.covariance))
    return value, fid_uncertainty(value, ours, theirs, RESAMPLINGS)


def of_kid(seed: int) -> tuple[float, dict[str, float]]:
    """In one dimension it is (m3 - n3)^2 + 3 (m2 - n2)^2 + 3 (m1 - n1)^2 with the moments of both.

    For N(0, 0.3^2) and N(0.2, 0.3^2) those are 0, 0.09, 0 and 0.2, 0.13, 0.062.
    """
    ours, theirs = 0.3 * normal(150, 1, 2 * seed), 0.2 + 0.3 * normal(150, 1, 2 * seed + 1)
    value = float(resampled_kid(ours, theirs, 1)[0])
    return value, kid_uncertainty(value, ours, theirs, RESAMPLINGS)


def of_is(seed: int) -> tuple[float, dict[str, float]]:
    """The IS of confident predictions is exp of the entropy of the classes' shares."""
    shares = torch.tensor([0.5, 0.3, 0.2])
    classes = torch.multinomial(shares, 600, replacement=True, generator=torch.Generator().manual_seed(seed))
    logits = 100 * torch.eye(3)[classes]
    value = isc_features_to_metric(logits, splits=10)[KEY_METRIC_ISC_MEAN]
    return value, is_uncertainty(value, logits, 10, RESAMPLINGS)


KNOWN = {  # the true value, and the standard error in units of the spread of independent values
    of_fid: (2.5, 1.0),
    of_equal_gaussians: (0.0, 1.9),  # near 0 a resampling varies as much as the number itself, once more
    of_kid: (0.062**2 + 3 * 0.04**2 + 3 * 0.2**2, 1.0),
    of_is: (math.exp(-sum(share * math.log(share) for share in (0.5, 0.3, 0.2))), 1.0),
}


@pytest.mark.parametrize("measured", KNOWN, ids=lambda measured: measured.__name__)
def test_intervals_contain_the_known_value(measured: Callable[[int], tuple[float, dict[str, float]]]) -> None:
    """The share of intervals with the known value, and the standard error beside the spread of independent values."""
    truth, ratio = KNOWN[measured]
    found = [measured(seed) for seed in range(REPETITIONS)]
    assert sum(row["low"] <= truth <= row["high"] for _, row in found) >= COVERED
    assert all(row["low"] <= value <= row["high"] for value, row in found)
    spread = float(torch.tensor([value for value, _ in found]).std())
    assert sum(row["standard_error"] for _, row in found) / REPETITIONS == pytest.approx(ratio * spread, rel=0.2)


def test_the_intervals_are_not_needlessly_wide() -> None:
    """Without a bias, an interval of 95 % is 4 standard errors wide."""
    _, kid = of_kid(0)
    assert kid["high"] - kid["low"] == pytest.approx(4.02 * kid["standard_error"], rel=0.1)


def test_the_interval_of_a_part_contains_the_value_of_all() -> None:
    """FID of 200 of 4,000 images against these 4,000 is above 0, the value of all."""
    pool = normal(4000, 8, 0)
    reference = reference_of(pool, 5 * normal(4000, 3, 1))
    found = scores(extracted(pool[:200], 5 * normal(4000, 3, 1)[:200]), reference, PROTOCOL)
    of_all = scores(extracted(pool, 5 * normal(4000, 3, 1)), reference, PROTOCOL, intervals=False)
    for name, row in found.items():
        assert row["low"] <= of_all[name]["value"] <= row["high"], name
    assert of_all["fid_classifier"]["value"] == pytest.approx(0.0, abs=1e-9)
    assert found["fid_classifier"]["low"] == 0.0
    assert found["fid_classifier"]["value"] > 2 * found["fid_classifier"]["standard_error"]


def test_the_interval_of_is_contains_the_value_without_its_bias() -> None:
    """Ten classes in parts of ten images: each part lacks some of the classes."""
    logits = 100 * torch.eye(10).repeat(10, 1)
    value = isc_features_to_metric(logits, splits=10)[KEY_METRIC_ISC_MEAN]
    found = is_uncertainty(value, logits, 10, 30)
    assert value < 8.0
    assert found["low"] < value < 10.0 <= found["high"]


def test_scores_have_intervals_only_if_wanted() -> None:
    ours, reference = extracted(normal(200, 3, 0), normal(200, 4, 2)), reference_of(normal(180, 3, 1))
    plain = scores(ours, reference, PROTOCOL, intervals=False)
    assert plain == scores(ours, reference, PLAIN)
    found = scores(ours, reference, PROTOCOL)
    assert found == scores(ours, reference, PROTOCOL)
    for name, row in found.items():
        assert row.keys() - plain[name].keys() == {"standard_error", "low", "high", "resamplings"}
        assert plain[name] == {key: row[key] for key in plain[name]}
        assert row["low"] < row["value"] < row["high"]
        assert row["resamplings"] == 30


def test_too_few_resamplings_are_refused() -> None:
    sizes = {"samples": 100, "kid_subsets": 2, "kid_subset_size": 10}
    assert [Fidelity(**sizes, resamplings=count).resamplings for count in (0, 10)] == [0, 10]
    with pytest.raises(ValidationError, match="9 are too few: use 10 or more, or 0"):
        Fidelity(**sizes, resamplings=9)
