"""FID, KID, IS, precision and recall: equal to torch-fidelity, and to known values."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch_fidelity
from torch.utils.data import Dataset
from torch_fidelity.metric_fid import KEY_METRIC_FID, fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.registry import FEATURE_EXTRACTORS_REGISTRY

from triptych.core.errors import TriptychError
from triptych.evaluation.fidelity.extractors import (
    CLASS_LOGITS,
    FEATURES,
    LOGITS,
    ClassifierExtractor,
    Extractor,
    Features,
)
from triptych.evaluation.fidelity.frechet import Gaussian, square_root, squared_distance
from triptych.evaluation.fidelity.measures import measure_fidelity, precision_and_recall, scores
from triptych.evaluation.fidelity.metric_names import name_of
from triptych.evaluation.fidelity.reference_statistics import Origin, ReferenceStatistics
from triptych.evaluation.settings import Fidelity
from triptych.evaluation.uint8_images import to_uint8
from triptych.models.classifier.network import DigitClassifier
from triptych.settings.params import Settings

PROTOCOL = Fidelity(samples=200, kid_subsets=7, kid_subset_size=60, resamplings=0, confidence=0.9)
ORIGIN = Origin(
    dataset="mnist", split="test", images=1, image_shape=[28, 28], data_sha256="d", kind="classifier",
    extractor="a test", weights_sha256="w", classifier="a test", classifier_sha256="w",
)  # fmt: skip


class ByteImages(Dataset):
    """Images as a data set for torch-fidelity."""

    def __init__(self, images: torch.Tensor) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> torch.Tensor:
        return self.images[index]


def images(count: int, seed: int, top: int = 256) -> torch.Tensor:
    return torch.randint(0, top, (count, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def extracted(features: torch.Tensor, logits: torch.Tensor | None = None) -> Features:
    logits = torch.zeros(len(features), 10) if logits is None else logits
    return {FEATURES: features, LOGITS: logits, CLASS_LOGITS: logits}


def reference_of(features: torch.Tensor, logits: torch.Tensor | None = None) -> ReferenceStatistics:
    return ReferenceStatistics.of(extracted(features, logits), ORIGIN)


def test_kid_is_the_unbiased_mmd_of_a_cubic_kernel() -> None:
    """Compare with Binkowski et al. (2018, equation 4), pair by pair, with subsets as large as the sets."""
    torch.manual_seed(0)
    ours, theirs = torch.randn(60, 3).double(), 0.5 + torch.randn(60, 3).double()

    def mean(first: torch.Tensor, second: torch.Tensor, *, same: bool) -> float:
        pairs = [(x, y) for i, x in enumerate(first) for j, y in enumerate(second) if not (same and i == j)]
        return sum((float(x @ y) / 3 + 1) ** 3 for x, y in pairs) / len(pairs)

    wanted = mean(ours, ours, same=True) + mean(theirs, theirs, same=True) - 2 * mean(ours, theirs, same=False)
    kid = scores(extracted(ours), reference_of(theirs), PROTOCOL)["kid_classifier"]
    assert (kid["value"], kid["standard_deviation"]) == pytest.approx((wanted, 0.0), rel=1e-9, abs=1e-12)


def test_all_measures_equal_those_of_torch_fidelity(tiny: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    classifier = DigitClassifier(tiny.classifier("mnist").model)
    fake, real = images(200, 1), images(150, 2, top=200)

    class Registered(ClassifierExtractor):
        def __init__(self, name: str, features: list[str], **_: object) -> None:
            super().__init__(classifier, name, features)

        def forward(self, input: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return tuple(values.double() for values in super().forward(input))

    monkeypatch.setitem(FEATURE_EXTRACTORS_REGISTRY, "ours", Registered)
    theirs = torch_fidelity.calculate_metrics(
        input1=ByteImages(fake), input2=ByteImages(real), feature_extractor="ours", cuda=False, isc=True, fid=True,
        kid=True, prc=True, kid_subsets=7, kid_subset_size=60, cache=False, save_cpu_ram=True, verbose=False,
    )  # fmt: skip
    extractor = Extractor(ClassifierExtractor(classifier), "classifier", "a test", "w")
    found, of_real = (extractor.extract(part) for part in (fake, real))
    ours = measure_fidelity(
        {**found, CLASS_LOGITS: found[LOGITS]},
        ReferenceStatistics.of({**of_real, CLASS_LOGITS: of_real[LOGITS]}, ORIGIN),
        PROTOCOL,
    )
    for name, key in {
        "fid_classifier": "frechet_inception_distance",
        "kid_classifier": "kernel_inception_distance_mean",
        "is_classifier": "inception_score_mean",
        "precision_classifier": "precision",
        "recall_classifier": "recall",
    }.items():
        assert ours[name]["value"] == pytest.approx(theirs[key], rel=1e-6)
    assert ours["fid_classifier"] | {"value": 0} == {
        "value": 0, "samples": 200, "reference": "mnist/test", "reference_images": 150, "extractor": "a test"
    }  # fmt: skip
    few = scores(found, reference_of(of_real[FEATURES]), PROTOCOL)
    assert few == {name: ours[name] for name in ("fid_classifier", "kid_classifier", "is_classifier")}


@pytest.mark.parametrize(
    ("count", "real", "constant", "tolerance"),
    [(500, 600, 0, 1e-9), (500, 600, 5, 1e-7), (500, 20, 0, 1e-7), (20, 600, 0, 1e-7), (20, 30, 5, 1e-7)],
)
def test_the_symmetric_form_equals_torch_fidelity(count: int, real: int, constant: int, tolerance: float) -> None:
    """Compare for 64 features, some of them constant, and also for fewer images than features.

    The exact value needs no root of a covariance: tr (S1 S2)^(1/2) is the nuclear norm of X1 X2', where X are the
    centred features divided by the root of n - 1.
    """
    rng = np.random.default_rng(count)
    spread = rng.standard_normal((64, 64)) * np.exp(-np.arange(64) / 8)
    ours = torch.from_numpy(rng.standard_normal((count, 64)) @ spread)
    theirs = torch.from_numpy(1.3 * rng.standard_normal((real, 64)) @ spread + 0.1)
    ours[:, :constant] = theirs[:, :constant] = 0.0
    statistics = [fid_features_to_statistics(part) for part in (ours, theirs)]
    expected = fid_statistics_to_metric(*statistics, verbose=False)[KEY_METRIC_FID]
    reference = reference_of(theirs)
    found = squared_distance(Gaussian.fit(ours), reference.gaussian, reference.root)
    assert found == pytest.approx(expected, rel=tolerance)
    first, second = ((part - part.mean(0)) / (len(part) - 1) ** 0.5 for part in (ours, theirs))
    norms = first.square().sum() + second.square().sum() - 2 * torch.linalg.svdvals(first @ second.T).sum()
    truth = float((ours.mean(0) - theirs.mean(0)).square().sum() + norms)
    assert found == pytest.approx(truth, rel=tolerance)


def test_the_distance_of_known_gaussians() -> None:
    """For two dimensions tr (S1 S2)^(1/2) = (tr S1 S2 + 2 (det S1 S2)^(1/2))^(1/2), whether or not they commute."""
    first = Gaussian(torch.tensor([1.0, -2.0]).double(), torch.tensor([[2.0, 0.5], [0.5, 1.0]]).double())
    second = Gaussian(torch.tensor([0.5, 1.0]).double(), torch.tensor([[1.0, -0.8], [-0.8, 3.0]]).double())
    product = first.covariance @ second.covariance
    root_trace = (product.trace() + 2 * product.det().sqrt()).sqrt()
    traces = first.covariance.trace() + second.covariance.trace()
    expected = float((first.mean - second.mean).square().sum() + traces - 2 * root_trace)
    assert squared_distance(first, second, square_root(second.covariance)) == pytest.approx(expected, rel=1e-12)
    line = Gaussian(first.mean, torch.tensor([[4.0, 0.0], [0.0, 0.0]]).double())  # constant along the second axis
    assert squared_distance(line, line, square_root(line.covariance)) == pytest.approx(0.0, abs=1e-12)


def test_fid_of_samples_of_gaussians_with_a_known_distance() -> None:
    """|mu1 - mu2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)), for diagonal covariances: sum of (sigma1 - sigma2)^2."""
    rng = np.random.default_rng(0)
    shift, scale = np.array([1.0, -2.0, 0.5]), np.array([2.0, 0.5, 1.5])
    first = torch.from_numpy(rng.standard_normal((200_000, 3)))
    second = torch.from_numpy(rng.standard_normal((200_000, 3)) * scale + shift)
    found = scores(extracted(first), reference_of(second), PROTOCOL)
    assert found["fid_classifier"]["value"] == pytest.approx((shift**2).sum() + ((1 - scale) ** 2).sum(), rel=0.02)
    assert found["is_classifier"]["value"] == pytest.approx(1.0)


def test_the_inception_score_of_confident_uniform_predictions_is_the_number_of_classes() -> None:
    features, logits = torch.randn(1000, 3), 100 * torch.eye(10).repeat(100, 1)
    found = scores(extracted(features, logits), reference_of(features, logits), PROTOCOL)
    assert found["is_classifier"]["value"] == pytest.approx(10.0, rel=0.05)
    assert found["fid_classifier"]["value"] == pytest.approx(0.0, abs=1e-6)


def test_precision_and_recall_of_clusters() -> None:
    """Real images form two distant clusters. Samples of one cluster have precision 1 and recall 1/2."""
    points = torch.rand(400, 2, generator=torch.Generator().manual_seed(0)).double()
    real = torch.cat([points[:100], points[100:200] + 50])
    for ours, precision, recall in ((real, 1.0, 1.0), (points[200:] + 900, 0.0, 0.0)):
        found = precision_and_recall(extracted(ours), reference_of(real))
        assert (found["precision_classifier"]["value"], found["recall_classifier"]["value"]) == (precision, recall)
    found = precision_and_recall(extracted(points[:100]), reference_of(real))
    assert (found["precision_classifier"]["value"], found["recall_classifier"]["value"]) == (1.0, 0.5)
    assert found["recall_classifier"] | {"value": 0} == {
        "value": 0, "neighbours": 3, "samples": 100, "reference": "mnist/test", "reference_images": 200,
        "extractor": "a test",
    }  # fmt: skip


def test_recognised_is_the_share_of_confident_predictions() -> None:
    """With two classes and a difference x of logits the larger probability is sigmoid(x): 0.9 for x = log 9."""
    edge = math.log(9)
    logits = torch.tensor([[edge + 0.01, 0.0], [edge - 0.01, 0.0], [0.0, 5.0], [0.0, 0.0]]).repeat(50, 1)
    features = torch.randn(200, 3)
    reference = reference_of(features[:100], torch.tensor([[9.0, 0.0]]).repeat(100, 1))
    found = measure_fidelity(extracted(features, logits), reference, PROTOCOL)["recognised"]
    assert (found["value"], found["real_images"], found["confidence"], found["samples"]) == (0.5, 1.0, 0.9, 200)


def test_a_collapse_reduces_the_classes() -> None:
    """The entropy is log 10 for ten equal shares, log 2 for two, and 0 for a single class."""
    features, even = torch.randn(500, 3), torch.eye(10).repeat(50, 1)
    reference = reference_of(features, even)
    for logits, classes, entropy in (
        (even, 10, math.log(10)),
        (torch.eye(10)[:2].repeat(250, 1), 2, math.log(2)),
        (torch.eye(10)[:1].repeat(500, 1), 1, 0.0),
    ):
        found = measure_fidelity(extracted(features, logits), reference, PROTOCOL)["classes"]
        assert (found["value"], found["samples"]) == (classes, 500)
        assert found["entropy"] == pytest.approx(entropy, abs=1e-12)
        assert found["real_images"] == 10
        assert found["real_entropy"] == pytest.approx(math.log(10))


def test_classes_are_not_counted_if_the_classifier_knows_other_ones() -> None:
    features, logits = torch.randn(200, 3), torch.eye(10).repeat(20, 1)
    reference = reference_of(features, logits)
    counted = measure_fidelity(extracted(features, logits), reference, PROTOCOL)
    uncounted = replace(reference, names_classes=False)
    found = measure_fidelity(extracted(features, logits), uncounted, PROTOCOL)
    absent = uncounted.not_defined(labelled=False)
    assert set(counted) - set(found) == set(absent) == {"recognised", "classes"}
    assert absent["classes"].startswith("no labels: ")
    assert "no labels" not in uncounted.not_defined(labelled=True)["classes"]
    assert reference.not_defined(labelled=True) == {}


def test_values_that_are_no_intensities_are_refused(tiny: Settings) -> None:
    broken = torch.rand(4, 28, 28)
    broken[1, 2, 3] = float("nan")
    with pytest.raises(TriptychError, match=r"samples of x: 25\.0% of the images hold NaN"):
        to_uint8(broken, "samples of x")
    with pytest.raises(TriptychError, match=r"x: intensities from -1 to 0\.5, but they must lie in \[0, 1\]"):
        to_uint8(torch.tensor([[[-1.0, 0.5]]]), "samples of x")
    classifier = ClassifierExtractor(DigitClassifier(tiny.classifier("mnist").model))
    with pytest.raises(TypeError, match="uint8"):
        Extractor(classifier, "classifier", "a test", "w").extract(torch.rand(4, 28, 28))


def test_to_uint8_rounds_and_clamps_rounding_errors() -> None:
    assert to_uint8(torch.tensor([[[-1e-6, 0.0, 0.4999 / 255, 0.5001 / 255, 1.0, 1.001]]]), "x").tolist() == [
        [[0, 0, 0, 1, 255, 255]]
    ]


def test_few_samples_make_subsets_smaller_and_three_are_refused() -> None:
    few = extracted(torch.randn(20, 3))
    found = scores(few, reference_of(few[FEATURES]), PROTOCOL, intervals=False)
    assert found["kid_classifier"]["subset_size"] == 20
    assert scores(extracted(torch.randn(5, 3)), reference_of(few[FEATURES]), PROTOCOL)["is_classifier"]["parts"] == 5
    with pytest.raises(TriptychError, match="more than 3 images"):
        precision_and_recall(extracted(torch.randn(3, 3)), reference_of(few[FEATURES]))


@pytest.mark.parametrize(
    "changed",
    [
        {"dataset": "cifar10"},
        {"split": "train"},
        {"images": 2},
        {"data_sha256": "e"},
        {"kind": "inception"},
        {"weights_sha256": "x"},
        {"classifier_sha256": "x"},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_other_data_or_weights_change_the_key(changed: dict) -> None:
    assert ORIGIN.model_copy(update=changed).checksum != ORIGIN.checksum == ORIGIN.model_copy().checksum


def test_a_reference_is_loaded_unchanged_or_refused(tmp_path: Path) -> None:
    features = torch.randn(50, 6)
    made = replace(reference_of(features), validation={"fid_classifier": {"value": 1.5, "samples": 40}})
    made.save(tmp_path)
    found = ReferenceStatistics.load(tmp_path)
    assert (found.origin, found.validation) == (made.origin, made.validation)
    assert torch.equal(found.root @ found.root, made.root @ made.root)
    protocol = PROTOCOL.model_copy(update={"kid_subset_size": 20})
    row = scores(extracted(torch.randn(80, 6)), found, protocol)["fid_classifier"]
    assert (row["real_images"], row["real_samples"]) == (1.5, 40)
    statistics = tmp_path / "statistics.safetensors"
    content = bytearray(statistics.read_bytes())
    content[-1] ^= 1
    statistics.write_bytes(content)
    with pytest.raises(TriptychError, match=r"statistics\.safetensors is damaged"):
        ReferenceStatistics.load(tmp_path)


def test_images_of_another_shape_are_not_compared() -> None:
    reference = reference_of(torch.randn(9, 3))
    reference.require_shape((28, 28), "experiments.x.reference")
    with pytest.raises(TriptychError, match=r"experiments\.x\.reference: images of shape \[3, 32, 32\]"):
        reference.require_shape((3, 32, 32), "experiments.x.reference")


def test_features_are_computed_without_tf32() -> None:
    """TF32 would round a GPU's convolutions to ten bits."""
    seen = []

    class Watching(torch.nn.Linear):
        def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            seen.append(torch.backends.cudnn.allow_tf32)
            return (super().forward(pixels.flatten(1).float()),) * 2

    before = torch.backends.cudnn.allow_tf32
    Extractor(Watching(784, 3), "classifier", "a test", "w").extract(images(2, 0))
    assert seen == [False]
    assert torch.backends.cudnn.allow_tf32 == before


def test_names_contain_the_extractor() -> None:
    assert name_of("fid", {"fid_classifier": 1.0}) == "fid_classifier"
    assert name_of("fid", {"fid_classifier": "not defined: measured with another extractor", "fid": 1.0}) == "fid"
    with pytest.raises(KeyError):
        name_of("fid", {"kid": 1.0})
