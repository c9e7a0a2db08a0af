"""The network of published FID, KID and IS, torch-fidelity's `inception-v3-compat`, from verified weights.

torch-fidelity loads any file and unpickles it. This module checks that the file's SHA-256 begins with the digits in the
published file name, and that only tensors are loaded.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3, FeatureExtractorInceptionV3

from triptych.core.downloads import NETWORK_ERRORS, download_file
from triptych.core.errors import TriptychError
from triptych.core.files import atomic_file, expanded, is_file
from triptych.core.hashing import sha256_of_file
from triptych.core.messages import one_line
from triptych.training.reproducible import seeded

NAME = "inception-v3-compat"
LAYERS = ["2048", "logits_unbiased"]  # for FID and KID, and for IS, as in torch-fidelity
VARIABLE = "TRIPTYCH_INCEPTION_WEIGHTS"
FILE = URL_INCEPTION_V3.rsplit("/", 1)[1]
DIGITS = "6726825d"  # the first digits of the published file's SHA-256
TENSORS_ONLY = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"  # makes every torch.load refuse anything but tensors


def find_weights(reference: str) -> Path:
    """Return the file with the published weights: the one that the user names, or torch-fidelity's download.

    Raises TriptychError if the file is missing and cannot be downloaded, or if it is not the published one. The message
    says how the entry `reference` of `references` can use a shipped classifier instead.
    """
    named = os.environ.get(VARIABLE)
    path = expanded(named) if named else Path(torch.hub.get_dir()) / "checkpoints" / FILE
    if named and not is_file(path):
        raise TriptychError(f"{VARIABLE} names {path}, which is not a file: {_advice(reference)}")
    if not is_file(path):
        _download(path, reference)
    if not sha256_of_file(path).startswith(DIGITS):
        raise TriptychError(
            f"{path} is not {FILE} of torch-fidelity's releases, whose SHA-256 begins with {DIGITS}: "
            f"{_advice(reference)}"
        )
    return path


def _download(path: Path, reference: str) -> None:
    """Download the published file to torch-fidelity's folder. It appears there only after its hash was checked."""
    with atomic_file(path) as draft:
        try:
            checksum = download_file(URL_INCEPTION_V3, draft, "sha256")
        except NETWORK_ERRORS as error:
            raise TriptychError(f"{FILE} could not be downloaded ({one_line(error)}): {_advice(reference)}") from None
        if not checksum.startswith(DIGITS):
            raise TriptychError(f"the download of {FILE} does not have its published SHA-256: {_advice(reference)}")


def _advice(reference: str) -> str:
    return (
        f"get {FILE} from torch-fidelity's releases and set {VARIABLE} to its path, "
        f"or set references.{reference}.extractor to a shipped extractor in params.yaml"
    )


def load_inception(weights: Path, device: torch.device) -> FeatureExtractorInceptionV3:
    """Return the network on the device, in evaluation mode, from a file that `find_weights` has checked."""
    with seeded(0, "overwritten by the weights"), _tensors_only():
        return FeatureExtractorInceptionV3(NAME, LAYERS, feature_extractor_weights_path=str(weights)).to(device)


@contextmanager
def _tensors_only() -> Iterator[None]:
    before = os.environ.get(TENSORS_ONLY)
    os.environ[TENSORS_ONLY] = "1"
    try:
        yield
    finally:
        del os.environ[TENSORS_ONLY]
        if before is not None:
            os.environ[TENSORS_ONLY] = before
