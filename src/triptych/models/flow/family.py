"""The normalizing flow as a trainable family: training step, validation and sampling."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor

from triptych.core.errors import DivergenceError
from triptych.data.dequantization import LEVELS
from triptych.models.flow.architectures import build_flow
from triptych.models.flow.dequantization import Dequantize
from triptych.models.flow.settings import Model
from triptych.models.flow.transform import Composition, Flow
from triptych.objectives.flow import bits_per_dimension, log_likelihood
from triptych.objectives.likelihoods import standard_error
from triptych.training.family import Family, Update
from triptych.training.images import HeldOutImages

CHUNK = 500  # images per forward pass in validation
INITIALISATION_IMAGES = 2000  # approximately; training images at equal distances


def build(model: Model, image_shape: tuple[int, ...]) -> FlowFamily:
    """Return a flow with new networks. Raises TriptychError if the architecture does not fit the image."""
    return FlowFamily(build_flow(model, image_shape), model, image_shape)


class FlowFamily(Family):
    """Minimises the negative log-likelihood of 8-bit images, in nats per image, with one draw of noise per image.

    The likelihood is exact for the dequantised image. In expectation it is a lower bound for the 8-bit image.
    """

    first_snapshot: ClassVar[int] = 1
    can_be_graphed = True

    def __init__(self, flow: Flow, model: Model, image_shape: tuple[int, ...]) -> None:
        self.networks, self.architecture = flow, model.architecture
        self.initialises_from_data = model.data_initialisation or model.activation_norm
        self.latent = math.prod(image_shape)

    @property
    def uniform(self) -> bool:
        """Whether the noise of the dequantisation is uniform, so that the stored dequantised images can be used."""
        return isinstance(self.networks.transforms[0], Dequantize)

    @property
    def continuous(self) -> Composition:
        """The flow after the dequantisation: from values (n, *image_shape) in [0, 1) to latents (n, D)."""
        return Composition(self.networks.transforms[1:])

    @property
    def layers(self) -> Composition:
        """The layers alone, from prepared values (n, D) to latents (n, D)."""
        return self.networks.transforms[-1]

    def to_intensities(self, prepared: Tensor) -> Tensor:
        """Return images (n, *image_shape) of intensities from values (n, D) between any two layers."""
        preparation = Flow(self.networks.transforms[:-1])
        return preparation.sample(prepared) / (LEVELS - 1)

    def initialise(self, pixels: Tensor) -> None:
        if self.initialises_from_data:
            chosen = pixels[:: max(1, len(pixels) // INITIALISATION_IMAGES)]
            self.networks.initialise(chosen.to(next(self.networks.parameters()).device))

    def step(self, pixels: Tensor, update: Update) -> dict[str, Tensor]:
        loss = -self.networks.calc_likelihood(pixels).mean()
        update("model", loss)
        negative = loss.detach()
        return {"negative_log_likelihood": negative, "bits_per_dimension": bits_per_dimension(negative, self.latent)}

    def validate(self, images: HeldOutImages) -> dict[str, float]:
        """Return mean bits per dimension, and mean nats per image with standard error, of held-out images."""
        negative = -self.log_likelihoods(images)
        return {
            "bits_per_dimension": float(bits_per_dimension(negative.mean(), self.latent)),
            "negative_log_likelihood": float(negative.mean()),
            "negative_log_likelihood_standard_error": standard_error(negative),
        }

    @torch.no_grad()
    def log_likelihoods(self, images: HeldOutImages) -> Tensor:
        """Return log p of held-out images, (n,) in nats per image, float64 on the CPU.

        With uniform noise, the stored dequantised images are used, which are the same for every model. Raises
        DivergenceError, which names the layer, if a value is not finite.
        """
        if self.uniform:
            parts = images.continuous.split(CHUNK)
            found = [log_likelihood(*self.continuous(part)) + Dequantize.log_det(part) for part in parts]
        else:
            found = [self.networks.calc_likelihood(part) for part in images.pixels.split(CHUNK)]
        nats = torch.cat(found).cpu().double()
        if not nats.isfinite().all():
            place = self.first_non_finite_layer(images.pixels)
            raise DivergenceError(
                f"the likelihood of {int((~nats.isfinite()).sum()):,} of {len(nats):,} {images.split} images is not "
                f"finite{place}"
            )
        return nats

    def first_non_finite_layer(self, pixels: Tensor) -> str:
        for part in pixels.split(CHUNK):
            found = self.networks.first_non_finite(part)
            if found:
                return f", first after {found}"
        return ""

    @torch.no_grad()
    def inverse_error(self, values: Tensor) -> float:
        """Return the largest |y - inverse(forward(y))| of dequantised images y (n, ...) in [0, 1)."""
        flow = self.continuous
        errors = [(flow.inverse(flow(part)[0])[0] - part).abs().max() for part in values.split(CHUNK)]
        return float(torch.stack(errors).max())

    def decode(self, latents: Tensor) -> Tensor:
        """Return the 8-bit levels of the images, as intensities (n, *image_shape), from latents (n, D)."""
        return self.networks.sample(latents) / (LEVELS - 1)
