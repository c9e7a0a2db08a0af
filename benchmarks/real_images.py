"""Numbers of real images in place of samples: `python benchmarks/real_images.py`, in a project with profile `full`.

It prints the FID of the binary test images against the grey ones, and how near validation images are to training
images. `histories/real_images.csv` has the rows of docs/results.md and docs/fidelity.md. First run `triptych repro
prepare@binarized_mnist prepare@cifar10 reference@mnist`. It takes five minutes on one thread, most of them for the
features of CIFAR-10.
"""

import csv
import sys
from collections.abc import Iterator
from pathlib import Path

import torch

import triptych
from triptych.data.prepared import PreparedData
from triptych.evaluation.fidelity.copying import compare_distances, nearest
from triptych.evaluation.fidelity.extractors import FEATURES, open_classifier
from triptych.models.classifier.shipped import shipped_folder
from triptych.repository.project import Project

COPYING = {"mnist": "mnist-v1", "cifar10": "cifar10-v1"}


def fid_of_binary_images(project: Project) -> dict[str, object]:
    """Return the FID of the binary test images against those of mnist/test."""
    images = PreparedData.open(project.prepared("binarized_mnist")).images("test") * 255
    value = triptych.score(images, "mnist").loc["fid_classifier", "value"]
    return {"images": "binarized_mnist/test", "number": "fid_classifier", "value": f"{value:.4f}"}


def copying(project: Project, dataset: str) -> Iterator[dict[str, object]]:
    """Yield share and C_T of the validation images of a data set, as the evaluation measures them of samples."""
    data = PreparedData.open(project.prepared(dataset))
    side = data.manifest["image_shape"][-1]
    extractor = open_classifier(shipped_folder(COPYING[dataset]), side, torch.device("cpu"))
    train, valid, test = (
        extractor.extract(torch.from_numpy(data.images(split)))[FEATURES] for split in ("train", "valid", "test")
    )
    found = compare_distances(nearest(valid, train).distance, nearest(test, train).distance)
    for number, value in found.items():
        yield {"images": f"{dataset}/valid", "number": f"copying.{number}", "value": f"{value:.4f}"}


if __name__ == "__main__":
    here = Project.find(Path.cwd())
    rows = [fid_of_binary_images(here), *(row for dataset in COPYING for row in copying(here, dataset))]
    writer = csv.DictWriter(sys.stdout, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
