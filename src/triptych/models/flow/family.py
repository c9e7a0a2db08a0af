"""The flow as the loop sees it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from triptych.data.transforms import LEVELS, Dequantize, Logit
from triptych.models.base import Family, Update
from triptych.models.flow.coupling import AffineCoupling, checkerboard
from triptych.models.flow.transform import Composition
from triptych.objectives.flow import bits_per_dimension, log_likelihood

if TYPE_CHECKING:
    from triptych.models.flow.settings import Model
    from triptych.training.images import HeldOutImages

CHUNK = 500


class FlowFamily(Family):
    """Minimises the exact negative log-likelihood of dequantised images, in nats per image."""

    first_snapshot: ClassVar[int] = 1

    def __init__(self, flow: Composition, alpha: float, image_shape: tuple[int, ...]) -> None:
        self.networks, self.logit, self.image_shape = flow, Logit(alpha), image_shape
        self.latent = math.prod(image_shape)

    def to_base(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Latents (n, d) and log |det dz/dy| (n,) in nats, from dequantised images (n, ...) in [0, 1)."""
        logits, log_det = self.logit.forward(values.flatten(1))
        latents, flow_log_det = self.networks(logits)
        return latents, log_det + flow_log_det

    def from_base(self, latents: Tensor) -> Tensor:
        """Dequantised images (n, *image_shape) from latents (n, d): the exact inverse of `to_base`."""
        logits, _ = self.networks.inverse(latents)
        return self.logit.inverse(logits)[0].view(-1, *self.image_shape)

    def nats(self, values: Tensor, dequantization_log_det: float) -> Tensor:
        """log p of the 8-bit images behind dequantised `values`, (n,): a lower bound, tight for one draw of noise."""
        latents, log_det = self.to_base(values)
        return log_likelihood(latents, log_det + dequantization_log_det)

    def step(self, pixels: Tensor, update: Update) -> dict[str, Tensor]:
        values, log_det = Dequantize().forward(pixels.float(), torch.rand(pixels.shape, device=pixels.device))
        loss = -self.nats(values, log_det).mean()
        update("model", loss)
        negative = loss.detach()
        return {"negative_log_likelihood": negative, "bits_per_dimension": bits_per_dimension(negative, self.latent)}

    def validate(self, images: HeldOutImages) -> dict[str, float]:
        return self.likelihood(images.continuous)

    @torch.no_grad()
    def likelihood(self, values: Tensor) -> dict[str, float]:
        """Mean bits per dimension and nats per image of dequantised images, with the standard error of the nats."""
        constant = -self.latent * math.log(LEVELS)
        nats = -torch.cat([self.nats(chunk, constant) for chunk in values.split(CHUNK)]).cpu().double()
        return {
            "bits_per_dimension": float(bits_per_dimension(nats.mean(), self.latent)),
            "negative_log_likelihood": float(nats.mean()),
            "negative_log_likelihood_standard_error": float(nats.std() / len(nats) ** 0.5),
        }

    @torch.no_grad()
    def inverse_error(self, values: Tensor) -> float:
        """Largest |y - inverse(forward(y))| over the images, in units of full intensity."""
        return float((self.from_base(self.to_base(values)[0]) - values).abs().max())

    def decode(self, latents: Tensor) -> Tensor:
        """The 8-bit levels that the latents stand for, as intensities."""
        return Dequantize().inverse(self.from_base(latents)) / (LEVELS - 1)


def build(model: Model, image_shape: tuple[int, ...]) -> FlowFamily:
    """A freshly initialised RealNVP: couplings on a checkerboard and its reverse, by turns."""
    couplings = (AffineCoupling(checkerboard(image_shape, index % 2), model.hidden) for index in range(model.couplings))
    return FlowFamily(Composition(couplings), model.alpha, image_shape)
