"""torch-fidelity's `inception-v3-compat`: the network of published FID, KID and IS, from weights that are checked.

torch-fidelity itself takes whatever file it is given and unpickles it. Here the file's SHA-256 must begin with the
digits that its publisher put into its name, and nothing but tensors is read from it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from ssl import SSLError
from urllib.error import URLError

import torch
from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3, FeatureExtractorInceptionV3

from triptych.core.errors import TriptychError
from triptych.core.files import disk_errors, expanded, is_file
from triptych.core.hashing import sha256_of_file
from triptych.training.reproducible import seeded

NAME = "inception-v3-compat"
LAYERS = ["2048", "logits_unbiased"]  # of FID and KID, and of IS, as torch-fidelity chooses them
VARIABLE = "TRIPTYCH_INCEPTION_WEIGHTS"
FILE = URL_INCEPTION_V3.rsplit("/", 1)[1]
DIGITS = "6726825d"  # the SHA-256 of the published file begins so
TENSORS_ONLY = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"  # tells torch.load to unpickle nothing, whoever calls it


def find_weights(reference: str) -> Path:
    """The file with the published weights: the one that the user names, or torch-fidelity's download.

    Raises TriptychError, which says how the entry `reference` of `references` can do without, if there is no such file
    and no network, or if a file is not the published one.
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
    """The published file to where torch-fidelity keeps it; it takes its name only when whole and checked."""
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(URL_INCEPTION_V3, str(path), hash_prefix=DIGITS, progress=False)
        except (URLError, HTTPException, ConnectionError, TimeoutError, SSLError, RuntimeError) as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise TriptychError(f"{FILE} could not be downloaded ({reason}): {_advice(reference)}") from None


def _advice(reference: str) -> str:
    return (
        f"get {FILE} from torch-fidelity's releases and set {VARIABLE} to its path, "
        f"or go on with references.{reference}.extractor: classifier in params.yaml"
    )


def load_inception(weights: Path, device: torch.device) -> FeatureExtractorInceptionV3:
    """The network on the device, in evaluation mode, from a file that `find_weights` has checked."""
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
