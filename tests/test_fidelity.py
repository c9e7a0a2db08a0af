"""FID, KID and IS: torch-fidelity's own numbers, under our protocol."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch_fidelity
from torch_fidelity.registry import FEATURE_EXTRACTORS_REGISTRY

from triptych.config import Fidelity, Settings
from triptych.errors import TriptychError
from triptych.evaluation.fidelity import FEATURES, LOGITS, ByteImages, ClassifierExtractor, Reference, extract, measure
from triptych.evaluation.images import quantize
from triptych.models.classifier.network import DigitClassifier

PROTOCOL = Fidelity(samples=200, kid_subsets=7, kid_subset_size=60, confidence=0.9)


def images(count: int, seed: int, top: int = 256) -> torch.Tensor:
    return torch.randint(0, top, (count, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def test_our_numbers_are_torch_fidelitys(tiny: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    classifier = DigitClassifier(tiny.classifier("mnist").model)
    fake, real = images(200, 1), images(150, 2, top=200)

    class Registered(ClassifierExtractor):
        def __init__(self, name: str, features: list[str], **_: object) -> None:
            super().__init__(classifier)
            self.name, self.features_list = name, features

        def forward(self, input: torch.Tensor) -> tuple[torch.Tensor, ...]:
            found = dict(zip((FEATURES, LOGITS), super().forward(input), strict=True))
            return tuple(found[name] for name in self.features_list)

    monkeypatch.setitem(FEATURE_EXTRACTORS_REGISTRY, "ours", Registered)
    theirs = torch_fidelity.calculate_metrics(
        input1=ByteImages(fake), input2=ByteImages(real), feature_extractor="ours", cuda=False, isc=True,
        fid=True, kid=True, kid_subsets=7, kid_subset_size=60, cache=False, save_cpu_ram=True, verbose=False,
    )  # fmt: skip
    ours = measure(extract(classifier, fake), Reference(extract(classifier, real), "mnist/test", "a test"), PROTOCOL)
    assert ours["fid_classifier"]["value"] == pytest.approx(theirs["frechet_inception_distance"], rel=1e-4)
    assert ours["kid_classifier"]["value"] == pytest.approx(theirs["kernel_inception_distance_mean"], rel=1e-3)
    assert ours["is_classifier"]["value"] == pytest.approx(theirs["inception_score_mean"], rel=1e-6)
    assert ours["fid_classifier"] | {"value": 0} == {
        "value": 0, "samples": 200, "reference": "mnist/test", "reference_images": 150, "extractor": "a test"
    }  # fmt: skip


def test_fid_of_gaussians_with_a_known_distance() -> None:
    """|mu1 - mu2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)), for diagonal covariances: sum of (sigma1 - sigma2)^2."""
    rng = np.random.default_rng(0)
    shift, scale = np.array([1.0, -2.0, 0.5]), np.array([2.0, 0.5, 1.5])
    first = torch.from_numpy(rng.standard_normal((200_000, 3)))
    second = torch.from_numpy(rng.standard_normal((200_000, 3)) * scale + shift)
    logits = torch.zeros(200_000, 10)
    found = measure(
        {FEATURES: first, LOGITS: logits}, Reference({FEATURES: second, LOGITS: logits}, "r", "e"), PROTOCOL
    )
    assert found["fid_classifier"]["value"] == pytest.approx((shift**2).sum() + ((1 - scale) ** 2).sum(), rel=0.02)
    assert found["is_classifier"]["value"] == pytest.approx(1.0)


def test_inception_score_of_sure_and_even_predictions_is_the_number_of_classes() -> None:
    sure = {FEATURES: torch.randn(1000, 3), LOGITS: 100 * torch.eye(10).repeat(100, 1)}
    found = measure(sure, Reference(sure, "r", "e"), PROTOCOL)
    assert found["is_classifier"]["value"] == pytest.approx(10.0, rel=0.05)
    assert found["fid_classifier"]["value"] == pytest.approx(0.0, abs=1e-6)


def test_recognised_is_the_share_of_sure_predictions() -> None:
    """Two classes at logits +-x/2: the likelier has probability sigmoid(x), 0.9 at x = log 9."""
    edge = math.log(9)
    logits = torch.tensor([[edge + 0.01, 0.0], [edge - 0.01, 0.0], [0.0, 5.0], [0.0, 0.0]]).repeat(50, 1)
    real = torch.tensor([[9.0, 0.0]]).repeat(100, 1)
    features = torch.randn(200, 3)
    reference = Reference({FEATURES: features, LOGITS: real}, "r", "e")
    found = measure({FEATURES: features, LOGITS: logits}, reference, PROTOCOL)["recognised"]
    assert (found["value"], found["real_images"], found["confidence"], found["samples"]) == (0.5, 1.0, 0.9, 200)


def test_a_collapse_shows_in_the_classes() -> None:
    """Even over ten classes the entropy is log 10; all of one class, 0; halves, log 2."""
    features, even = torch.randn(500, 3), torch.eye(10).repeat(50, 1)
    reference = Reference({FEATURES: features, LOGITS: even}, "r", "e")
    for logits, classes, entropy in (
        (even, 10, math.log(10)),
        (torch.eye(10)[:2].repeat(250, 1), 2, math.log(2)),
        (torch.eye(10)[:1].repeat(500, 1), 1, 0.0),
    ):
        found = measure({FEATURES: features, LOGITS: logits}, reference, PROTOCOL)["classes"]
        assert (found["value"], found["samples"]) == (classes, 500)
        assert found["entropy"] == pytest.approx(entropy, abs=1e-12)
        assert found["real_images"] == pytest.approx(math.log(10))


def test_nan_never_becomes_a_score(tiny: Settings) -> None:
    broken = torch.rand(4, 28, 28)
    broken[1, 2, 3] = float("nan")
    with pytest.raises(TriptychError, match=r"samples of x: 25\.0% of the images hold NaN"):
        quantize(broken, "samples of x")
    with pytest.raises(TypeError, match="uint8"):
        extract(DigitClassifier(tiny.classifier("mnist").model), torch.rand(4, 28, 28))


def test_quantisation_rounds_and_clamps() -> None:
    assert quantize(torch.tensor([[[-0.1, 0.0, 0.4999 / 255, 0.5001 / 255, 1.0, 1.2]]]), "x").tolist() == [
        [[0, 0, 0, 1, 255, 255]]
    ]


def test_too_few_samples_are_refused() -> None:
    few = {FEATURES: torch.randn(20, 3), LOGITS: torch.randn(20, 10)}
    with pytest.raises(TriptychError, match="kid_subset_size"):
        measure(few, Reference(few, "r", "e"), PROTOCOL)
