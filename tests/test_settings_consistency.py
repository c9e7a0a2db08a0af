"""Sections of the settings that contradict one another are refused when `params.yaml` is loaded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from conftest import DIGITS_CLASSIFIER
from triptych.core.errors import TriptychError
from triptych.settings.params import parse


@pytest.mark.parametrize("name", ["baseline", "comparison", "summary", "classifier-mnist", "evaluate-vae-20d"])
@pytest.mark.parametrize(("section", "like"), [("experiments", "vae-20d"), ("studies", "dirac")])
def test_names_of_the_pipelines_own_files_are_refused(params: dict, section: str, like: str, name: str) -> None:
    entries = params[section] | {name: params[section][like]}
    with pytest.raises(TriptychError, match=rf"{section}\.{name}: the pipeline has files of this name; choose another"):
        parse(params | {section: entries})


@pytest.mark.parametrize(
    ("name", "changes", "words"),
    [
        ("digits", {}, "digits: a classifier has the name of its data set; rename it to one of mnist, cifar10"),
        ("binarized_mnist", {}, "binarized_mnist: binarised images have no labels; classify the 8-bit images"),
        ("cifar10", {}, "cifar10.model.architecture: convolutional is for grey images, but cifar10 has colour images"),
        ("mnist", {"batch_size": 10_001}, "mnist.batch_size is 10001, more than the 10000 training images of profile"),
    ],
)
def test_a_classifier_that_its_data_set_does_not_fit_is_refused(
    params: dict, name: str, changes: dict, words: str
) -> None:
    references = {key: value for key, value in params["references"].items() if key != name}
    with pytest.raises(TriptychError, match=f"^params.yaml: classifiers.{words}"):
        parse(params | {"references": references, "classifiers": {name: DIGITS_CLASSIFIER | changes}})


def test_a_batch_of_all_training_images_is_accepted_for_a_classifier(params: dict) -> None:
    references = {"cifar10": params["references"]["cifar10"]}
    settings = parse(
        params | {"references": references, "classifiers": {"mnist": DIGITS_CLASSIFIER | {"batch_size": 10_000}}}
    )
    assert settings.classifiers["mnist"].batch_size == 10_000


def test_a_classifier_of_own_images_needs_labels(params: dict, tmp_path: Path) -> None:
    path, images = tmp_path / "own" / "shapes.npz", np.zeros((60, 28, 28), np.uint8)
    path.parent.mkdir()
    datasets = params["datasets"] | {"shapes": {"images": "own/shapes.npz"}}
    tree = params | {"datasets": datasets, "classifiers": {"shapes": DIGITS_CLASSIFIER}}
    np.savez(path, x_train=images)
    words = r"classifiers\.shapes: own/shapes\.npz has no labels; use an entry of references instead"
    with pytest.raises(TriptychError, match=words):
        parse(tree, data=tmp_path)
    np.savez(path, x_train=images, y_train=np.zeros(60, np.uint8))
    assert "shapes" in parse(tree, data=tmp_path).classifiers
