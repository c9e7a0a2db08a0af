"""Measures with Inception, with random weights in torch-fidelity's format."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
import torch_fidelity
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

from test_fidelity import ORIGIN, ByteImages
from triptych.core.errors import TriptychError
from triptych.core.hashing import sha256_of_file
from triptych.evaluation.fidelity import inception
from triptych.evaluation.fidelity.extractors import CLASS_LOGITS, LOGITS, open_inception
from triptych.evaluation.fidelity.measures import precision_and_recall, scores
from triptych.evaluation.fidelity.reference_statistics import ReferenceStatistics
from triptych.evaluation.settings import Fidelity

PROTOCOL = Fidelity(samples=10, kid_subsets=3, kid_subset_size=5, confidence=0.9)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights that keep the differences between images through all layers."""
    path = tmp_path_factory.mktemp("weights") / "random.pth"
    torch.save({}, path)
    torch.manual_seed(0)
    with pytest.MonkeyPatch.context() as patch:  # torch-fidelity builds no network without weights
        patch.setattr(FeatureExtractorInceptionV3, "load_state_dict", lambda *_: None)
        network = FeatureExtractorInceptionV3(inception.NAME, inception.LAYERS, str(path))
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight)
    network.fc.weight.data *= 50
    torch.save(network.state_dict(), path)
    return path


@pytest.fixture
def published(weights: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the file, with its hash registered as that of the published file."""
    monkeypatch.setattr(inception, "DIGITS", sha256_of_file(weights)[:8])
    monkeypatch.setenv(inception.VARIABLE, str(weights))
    return weights


def pictures(count: int, seed: int, contrast: int) -> torch.Tensor:
    """Return uint8 images (count, 3, 32, 32) of coarse patterns, which still differ after the pooling."""
    source = torch.Generator().manual_seed(seed)
    coarse = torch.randint(0, contrast, (count, 3, 4, 4), dtype=torch.uint8, generator=source)
    return coarse.repeat_interleave(8, 2).repeat_interleave(8, 3)


@pytest.mark.slow
def test_measures_with_inception_equal_those_of_torch_fidelity(published: Path) -> None:
    fake, real = pictures(10, 1, 256), pictures(6, 2, 180)
    theirs = torch_fidelity.calculate_metrics(
        input1=ByteImages(fake), input2=ByteImages(real), feature_extractor="inception-v3-compat",
        feature_extractor_weights_path=str(published), cuda=False, isc=True, fid=True, kid=True, prc=True,
        kid_subsets=3, kid_subset_size=5, cache=False, save_cpu_ram=True, verbose=False,
    )  # fmt: skip
    extractor = open_inception("cifar10", CPU)
    found, of_real = extractor.extract(fake), extractor.extract(real)
    origin = ORIGIN.model_copy(update={"kind": extractor.kind, "extractor": extractor.name})
    reference = ReferenceStatistics.of({**of_real, CLASS_LOGITS: of_real[LOGITS]}, origin)
    ours = scores(found, reference, PROTOCOL) | precision_and_recall(found, reference)
    assert ours["fid"]["value"] == pytest.approx(theirs["frechet_inception_distance"], rel=1e-6)
    assert ours["kid"]["value"] == pytest.approx(theirs["kernel_inception_distance_mean"], rel=1e-4)  # float32 there
    assert ours["is"]["value"] == pytest.approx(theirs["inception_score_mean"], rel=1e-9)
    assert ours["precision"]["value"] == pytest.approx(theirs["precision"])
    assert ours["recall"]["value"] == pytest.approx(theirs["recall"])
    assert ours["fid"]["extractor"] == f"inception-v3-compat (weights {sha256_of_file(published)[:8]})"


def test_grey_images_are_repeated_in_three_channels(published: Path) -> None:
    grey = pictures(2, 3, 256)[:, 0]
    extractor = open_inception("mnist", CPU)
    found, expected = extractor.extract(grey), extractor.extract(grey[:, None].repeat(1, 3, 1, 1))
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_an_unknown_weights_file_is_refused(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(inception.VARIABLE, str(weights))
    with pytest.raises(TriptychError, match=r"random\.pth is not weights-inception-2015-12-05-6726825d\.pth"):
        inception.find_weights("cifar10")
    monkeypatch.setenv(inception.VARIABLE, str(tmp_path / "nowhere.pth"))
    with pytest.raises(TriptychError, match=r"TRIPTYCH_INCEPTION_WEIGHTS names .*nowhere\.pth, which is not a file"):
        inception.find_weights("cifar10")


def test_without_weights_and_network_the_error_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise URLError("Name or service not known")

    monkeypatch.delenv(inception.VARIABLE, raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("urllib.request.urlopen", unreachable)
    with pytest.raises(TriptychError) as caught:
        inception.find_weights("cifar10")
    sentence = str(caught.value)
    for word in (
        inception.FILE,
        inception.VARIABLE,
        "references.cifar10.extractor to a shipped extractor",
        "not known",
    ):
        assert word in sentence
    assert "\n" not in sentence


def test_a_download_is_verified_and_stored_in_the_folder_of_torch_fidelity(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(inception.VARIABLE, raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(inception, "URL_INCEPTION_V3", weights.as_uri())
    with pytest.raises(TriptychError, match="does not have its published SHA-256"):
        inception.find_weights("cifar10")
    monkeypatch.setattr(inception, "DIGITS", sha256_of_file(weights)[:8])
    assert inception.find_weights("cifar10") == tmp_path / "hub" / "checkpoints" / inception.FILE


def test_only_tensors_are_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Trap:
        def __reduce__(self) -> tuple:
            return os.mkdir, (str(tmp_path / "sprung"),)

    torch.save({"fc.weight": Trap()}, tmp_path / "trap.pth")
    monkeypatch.delenv(inception.TENSORS_ONLY, raising=False)
    with pytest.raises(Exception, match="Weights only load failed"):
        inception.load_inception(tmp_path / "trap.pth", CPU)
    assert not (tmp_path / "sprung").exists()
    assert inception.TENSORS_ONLY not in os.environ
