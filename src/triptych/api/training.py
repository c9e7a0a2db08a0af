"""Train a model on images in memory, outside any pipeline."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import ValidationError

from triptych.core.errors import DivergenceError, TriptychError
from triptych.core.settings_types import PROFILES, Profile, first_problem, key_path, resolve, shown
from triptych.core.tracker import Tracker
from triptych.data.array_images import LABEL, model_pixels, to_levels
from triptych.data.image_shapes import image_shape, in_words
from triptych.inference.trained_model import TrainedModel
from triptych.settings.consistency import check_training
from triptych.settings.experiment import Experiment
from triptych.settings.recipes import SettingsError
from triptych.stages.prepare import write_prepared
from triptych.stages.train import train as run
from triptych.training.settings import Runtime

if TYPE_CHECKING:
    from triptych.inference.trained_model import Images

DATA = "images"  # the name of data in memory
BUDGETS = ("epochs", "epoch_updates", "snapshot_epochs")  # keys that params.yaml has by profile
HELD_OUT = 10  # every tenth image is held out
LEAST = 2  # images for training and for validation, which have standard deviations


def train(
    settings: Mapping[str, Any],
    images: Images,
    valid: Images | None = None,
    *,
    profile: Profile = "full",
    device: str = "auto",
    threads: int = 1,
    folder: str | Path | None = None,
) -> TrainedModel:
    """Train a model on images, and return it.

    `settings` has the keys of an entry of `experiments` in params.yaml together with those of its recipe, as in
    `triptych.load(...).settings`. Of a value by profile, that of `profile` counts. `dataset` and `reference` are not
    needed. `images` are NumPy or PyTorch arrays (n, h, w) or (n, 3, h, w), square, with 8 to 64 pixels per side: uint8
    from 0 to 255, floats from 0 to 1, or bool; a VAE takes only (n, h, w) with black and white pixels. `valid` are
    held-out images for the validation after each epoch; without them, a random tenth of `images` is held out. The same
    settings, images and `threads` give the same model. `device` is `auto`, `cpu`, `cuda` or `mps`.

    Without `folder`, no file is left behind, and the model's name is `model`. With it, the model folder is written
    there, for `triptych.load`. In `settings` of the model, `dataset` and `reference` are `images`. Raises
    TriptychError, one sentence, if a setting or the images are not usable, or if the training diverges.

    >>> settings = {
    ...     "family": "vae", "seed": 0, "epochs": 2, "batch_size": 50, "learning_rate": 1e-3,
    ...     "model": {"latent": 2, "hidden": [32], "activation": "tanh"},
    ... }
    >>> images = np.random.default_rng(0).random((200, 28, 28)) > 0.9
    >>> model = triptych.train(settings, images)
    >>> model.history.index.tolist()
    [0, 1, 2]
    >>> model.sample(4).shape
    (4, 28, 28)
    """
    experiment, target = _experiment(settings, profile), Path(folder) if folder else None
    if target and target.exists():
        raise TriptychError(f"{target} exists: choose a folder that does not exist")
    runtime, pieces = _runtime(device, threads), _pieces(images, valid, experiment)
    try:
        check_training(["settings"], experiment, profile, len(pieces["train"]))
    except SettingsError as error:
        raise TriptychError(key_path(error.place) + error.words) from None
    with TemporaryDirectory() as temporary:
        output = target or Path(temporary) / "model"
        _run(experiment, profile, runtime, pieces, output=output, temporary=Path(temporary))
        return TrainedModel.read(output, device, output.name)


def _run(
    experiment: Experiment,
    profile: Profile,
    runtime: Runtime,
    pieces: Mapping[str, np.ndarray],
    *,
    output: Path,
    temporary: Path,
) -> None:
    """Run the stage `train` on data that it finds in a temporary folder."""
    data, pixels = temporary / "data", experiment.model.pixels
    data.mkdir()
    write_prepared(
        data,
        {split: (part, None) for split, part in pieces.items()},
        name=DATA,
        source="images in memory",
        binarization="static" if pixels == "binary" else "none",
        dequantization="uniform" if pixels == "dequantized" else "none",
        seed=experiment.seed,
    )
    try:
        run(
            name=output.name,
            experiment=experiment,
            profile=profile,
            runtime=runtime,
            data=data,
            output=output,
            checkpoints=temporary / "checkpoints",
            code="in memory",
            tracker=Tracker(),
        )
    except DivergenceError as error:
        problem, _, _ = str(error).partition("; ")  # the rest names params.yaml, and files that are deleted
        raise DivergenceError(f"{problem}; lower learning_rate or set gradient_clip in the settings") from None


def _experiment(settings: Mapping[str, Any], profile: Profile) -> Experiment:
    if profile not in PROFILES:
        raise TriptychError(f"profile is {profile!r}; use {' or '.join(PROFILES)}")
    if not isinstance(settings, Mapping):
        raise TriptychError(f"settings is {shown(settings)}: use a mapping with keys such as family and epochs")
    values = {**resolve(settings, profile), "dataset": DATA, "reference": DATA}
    for key in BUDGETS:
        if values.get(key) is not None:
            values[key] = dict.fromkeys(PROFILES, values[key])
    return _validated(Experiment, values, "settings")


def _runtime(device: str, threads: int) -> Runtime:
    values = {"device": device, "threads": threads, "processes": 1, "precision": "float32", "channels_last": False}
    return _validated(Runtime, values | {"compile": False, "checkpoint_seconds": 1e9}, "")


def _validated(section: type, values: Mapping[str, Any], place: str) -> Any:  # noqa: ANN401 (a section)
    """Return the section with these values. Raises TriptychError, one sentence, at the first key that is wrong."""
    try:
        return section.model_validate(values)
    except ValidationError as error:
        path, reason = first_problem(error)
        keys = [place, *(path[:-1] if path and path[-1] in PROFILES else path)]
        raise TriptychError(f"{key_path(list(filter(None, keys)))}: {' '.join(reason.split())}") from None


def _pieces(images: Images, valid: Images | None, experiment: Experiment) -> dict[str, np.ndarray]:
    """Return the pixels of each split, uint8 (n, ...); the test split is empty."""
    levels = to_levels(images, LABEL)
    shape, binary = image_shape(levels.shape, LABEL), experiment.model.pixels == "binary"
    if reason := experiment.model.misfit(shape):
        raise TriptychError(f"{LABEL} holds {in_words(shape)}, but {reason}")
    pixels = model_pixels(levels, LABEL, shape, binary=binary)
    if valid is not None:
        held_out = model_pixels(valid, "the array of held-out images", shape, binary=binary)
    else:
        order = np.random.default_rng(experiment.seed).permutation(len(pixels))
        count = max(LEAST, len(pixels) // HELD_OUT)
        held_out, pixels = pixels[np.sort(order[:count])], pixels[np.sort(order[count:])]
    for kind, part in (("training", pixels), ("held-out", held_out)):
        if len(part) < LEAST:
            raise TriptychError(f"{len(part)} {kind} images are too few: use {LEAST} or more")
    return {"train": pixels, "valid": held_out, "test": held_out[:0]}
