"""A trained experiment in Python: draw, encode, decode and reconstruct images, and compute their likelihood."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from triptych.core.errors import TriptychError
from triptych.core.file_names import HISTORY, MANIFEST
from triptych.core.json_files import Document, read_json
from triptych.core.json_schemas import read_document
from triptych.data.array_images import LABEL, model_pixels
from triptych.data.image_shapes import SPLITS
from triptych.data.prepared import PreparedData
from triptych.evaluation.uint8_images import to_uint8
from triptych.inference.sampling import draw
from triptych.models.common.load import load_family
from triptych.models.common.manifest import ModelManifest
from triptych.models.common.registry import FAMILIES, load_settings_model
from triptych.repository.project import Project
from triptych.training.history import History, read_history
from triptych.training.images import HeldOutImages

if TYPE_CHECKING:
    from types import ModuleType

    import numpy as np
    import pandas as pd
    import torch
    from numpy.typing import ArrayLike, NDArray
    from torch import nn

    from triptych.training.family import Family

    Images = ArrayLike | torch.Tensor
    """Images of the model's shape (n, h, w) or (n, 3, h, w): uint8 from 0 to 255, floats from 0 to 1, or bool."""


@dataclass(frozen=True, eq=False, repr=False)
class TrainedModel:
    """A trained experiment. `triptych.load` and `triptych.train` return it.

    Images come in as NumPy or PyTorch arrays of shape (n, h, w) or (n, 3, h, w): uint8 from 0 to 255, floats from 0 to
    1, or bool. A VAE takes black and white images only. Images come out as NumPy uint8 arrays from 0 to 255, latents as
    float32 and likelihoods as float64. Every method raises TriptychError, one sentence, for other input, and for a
    quantity that the model's family does not have.
    """

    name: str
    family: Family
    manifest: Document
    _history: History = field(default_factory=list)
    _results: Mapping[str, float] = field(default_factory=dict)
    _project: Project | None = None

    @classmethod
    def read(
        cls,
        folder: Path,
        device: str,
        name: str,
        results: Mapping[str, float] | None = None,
        project: Project | None = None,
    ) -> Self:
        """Read a model folder; `results` are the numbers of its evaluation by name, and `project` has its images.

        Raises TriptychError if the folder is missing or damaged.
        """
        from triptych.training.machine import pick_device

        if read_json(folder / MANIFEST).get("family") not in FAMILIES:
            raise TriptychError(f"{folder} holds no trained experiment: name a folder such as models/vae-20d")
        manifest = read_document(folder / MANIFEST, ModelManifest)
        history = read_history(folder / HISTORY) if (folder / HISTORY).exists() else []
        return cls(name, load_family(folder, pick_device(device)), manifest, history, results or {}, project)

    def __repr__(self) -> str:
        settings, size = self.settings, " by ".join(map(str, self.image_shape))
        return f"<{self.name}: {FAMILIES[settings['family']].title}, images {size}, {settings['epochs']} epochs>"

    @property
    def settings(self) -> dict[str, Any]:
        """The settings that the model was trained with: its entry of params.yaml and its recipe, for its profile.

        >>> triptych.load("vae-20d").settings["family"]
        'vae'
        """
        return self.manifest["settings"]

    @property
    def image_shape(self) -> tuple[int, ...]:
        """The shape of one image, (h, w) or (3, h, w).

        >>> triptych.load("vae-20d").image_shape
        (28, 28)
        """
        return tuple(self.manifest["data"]["image_shape"])

    @property
    def latent(self) -> int:
        """The number of latent dimensions.

        >>> triptych.load("realnvp-mnist").latent  # one per pixel
        784
        """
        return self.family.latent

    @property
    def networks(self) -> nn.Module:
        """The networks, for use with PyTorch: in evaluation mode, on the device of `triptych.load`.

        A VAE has `encode(images)`, for float images of 0 and 1, and `logits(latents)`, but no `forward`. A GAN has one
        network per player. A flow maps images with levels from 0 to 255 to latents and log determinants.

        >>> list(dict(triptych.load("gan-mnist").networks.named_children()))
        ['generator', 'discriminator']
        """
        return self.family.networks

    @property
    def history(self) -> pd.DataFrame:
        """The course of training, one row per epoch. Row 0 describes the untrained model.

        >>> list(triptych.load("gan-mnist").history.columns)[:2]
        ['train_discriminator_loss', 'train_generator_loss']
        """
        import pandas as pd

        if not self._history:
            raise TriptychError(f"{self.name} comes without {HISTORY}: load it from the project that trained it")
        return pd.DataFrame(self._history).set_index("epoch")

    @property
    def metrics(self) -> pd.Series:
        """The numbers of the evaluation by the name that `results.json` and MLflow give them.

        >>> float(triptych.load("vae-20d").metrics["test.elbo"]) < 0  # nats per image
        True
        """
        import pandas as pd

        if not self._results:
            raise TriptychError(
                f"{self.name} is not evaluated: if it is an experiment in params.yaml, run "
                f"`triptych repro evaluate@{self.name}`, else measure it with triptych.score and log_likelihood"
            )
        return pd.Series(dict(self._results), name=self.name)

    def images(self, split: str = "test") -> NDArray[np.uint8]:
        """Return the images of a split that the model was trained and measured on: `train`, `valid` or `test`.

        Binarised pixels are 0 or 255. Only an experiment that is loaded from its project has images.

        >>> triptych.load("vae-20d").images("test").shape[1:]
        (28, 28)
        """
        import torch

        if split not in SPLITS:
            raise TriptychError(f"images: split is {split!r}; use {', '.join(SPLITS)}")
        facts = self.manifest["data"]
        folder = self._project.prepared(facts["dataset"]) if self._project else None
        if not folder or not folder.exists():
            raise TriptychError(f"{self.name} comes without images: load an experiment from a project with its data")
        data = PreparedData.open(folder)
        if data.checksum != facts["sha256"]:
            raise TriptychError(f"{folder} has changed since {self.name} was trained: run `triptych repro`")
        return HeldOutImages(data, split, torch.device("cpu")).eight_bit.numpy()

    def sample(self, n: int, seed: int = 0) -> NDArray[np.uint8]:
        """Return `n` new images, the same as those of `triptych sample` for this number and this seed.

        A VAE gives the means of its pixels, in shades of grey, not draws of black and white pixels.

        >>> triptych.load("gan-mnist").sample(16, seed=0).shape
        (16, 28, 28)
        """
        _require_whole("sample: n", n, 1)
        _require_whole("sample: seed", seed, 0)
        return draw(self.family, n, seed)

    def decode(self, latents: ArrayLike | torch.Tensor) -> NDArray[np.uint8]:
        """Return the images of latents (n, latent). A VAE gives the means of its pixels.

        >>> model = triptych.load("gan-mnist")
        >>> model.decode(np.zeros((1, model.latent))).shape
        (1, 28, 28)
        """
        import numpy as np
        import torch

        try:
            array = latents if isinstance(latents, torch.Tensor) else np.ascontiguousarray(latents)
            points = torch.as_tensor(array)
            if points.is_complex():
                raise TypeError("complex")
            points = points.to(self._device, torch.float32)
        except (TypeError, ValueError):
            raise TriptychError(f"latents are no array of numbers: give an array (n, {self.latent})") from None
        if points.dim() != 2 or points.shape[1] != self.latent or not len(points):
            raise TriptychError(f"latents have the shape {(*points.shape,)}, but {self.name} needs (n, {self.latent})")
        if not points.isfinite().all():
            raise TriptychError("latents hold NaN or infinity: use finite values")
        return to_uint8(self.family.sample(points), "decoded images").numpy()

    def encode(self, images: Images) -> NDArray[np.float32]:
        """Return the latents (n, latent) of images: of a VAE the mean of the posterior, of a flow the exact latents.

        With planar layers, a VAE gives the mean of its Gaussian after these layers. A flow encodes each pixel in the
        middle of its 8-bit level. A GAN has no encoder.

        >>> model = triptych.load("realnvp-mnist")
        >>> model.encode(model.sample(2)).shape
        (2, 784)
        """
        return self._inference("encode").encode(self.family, self._pixels(images)).float().cpu().numpy()

    def reconstruct(self, images: Images) -> NDArray[np.uint8]:
        """Return the images that `decode` gives for `encode(images)`. A flow returns the images unchanged.

        >>> model = triptych.load("realnvp-mnist")
        >>> images = model.sample(2)
        >>> int(np.abs(model.reconstruct(images).astype(int) - images).max())
        0
        """
        return self.decode(self.encode(images))

    def log_likelihood(self, images: Images, seed: int = 0, draws: int | None = None) -> NDArray[np.float64]:
        """Return log p(x) of each image, (n,) in nats; in expectation a lower bound that grows with `draws`.

        `draws` is the number of draws of the posterior for a VAE, by default 200, and of the dequantisation noise for a
        flow, by default 1. The values are Monte Carlo estimates: that of an image also depends on `seed` and on the
        other images. A GAN has no likelihood.

        >>> model = triptych.load("vae-20d")
        >>> model.log_likelihood(model.sample(3) > 127, draws=50).shape
        (3,)
        """
        _require_whole("log_likelihood: seed", seed, 0)
        if draws is not None:
            _require_whole("log_likelihood: draws", draws, 1)
        function, pixels = self._inference("log_likelihood").log_likelihood, self._pixels(images)
        nats = function(self.family, pixels, seed, *([] if draws is None else [draws]))
        if not nats.isfinite().all():
            raise TriptychError(f"{self.name}: the likelihood of {int((~nats.isfinite()).sum())} images is not finite")
        return nats.numpy()

    @property
    def _device(self) -> torch.device:
        return next(self.networks.parameters()).device

    def _inference(self, wanted: str) -> ModuleType:
        family = self.settings["family"]
        if found := FAMILIES[family].inference:
            return import_module(found)
        others = " or ".join(name for name, entry in FAMILIES.items() if entry.inference)
        raise TriptychError(f"{self.name} has no {wanted}: its family {family} has none; load a {others}")

    def _pixels(self, images: Images) -> torch.Tensor:
        import torch

        binary = load_settings_model(self.settings["family"]).pixels == "binary"
        pixels = model_pixels(images, LABEL, self.image_shape, binary=binary)
        return torch.from_numpy(pixels).to(self._device)


def _require_whole(label: str, value: object, least: int) -> None:
    if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
        raise TriptychError(f"{label} is {value!r}; use a whole number of {least} or more")
