"""Operations and bytes that an update needs, counted from the settings, independent of the implementation.

Matrix products: the forward pass of a layer, its gradient by the weights and its gradient by the input need equally
many multiply-adds; the gradient by the input is not needed if the input is data. Memory: the streams of the optimiser
and of the averaging, and about five streams of each activation (written and read in the forward pass; value and
gradient read and gradient written in the backward pass). Savings by caches are not subtracted.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from triptych_loop import TriptychLoop

FLOAT = 4  # bytes
ADAM, EMA, ELEMENTWISE = 7, 3, 5  # streams per parameter, per averaged parameter, and per activation
PIXELS, COLOURS, SIDE = 784, 3, 32


@dataclass(frozen=True)
class Work:
    """Floating point operations (a multiply-add counts as two) and bytes of one update."""

    flops: float
    bytes: float


@dataclass(frozen=True)
class Network:
    """Per image: multiply-adds of a forward pass, those of the first layer, and activations."""

    products: int
    first: int
    activations: int

    def trained(self) -> int:
        """Multiply-adds of forward and backward pass if the input is data."""
        return 3 * self.products - self.first

    def passed(self) -> int:
        """Multiply-adds of the forward pass and of the gradient by the input alone."""
        return 2 * self.products


def perceptron(sizes: list[int]) -> Network:
    """Return the counts of linear layers from sizes[0] to sizes[-1]."""
    products = [inputs * outputs for inputs, outputs in pairwise(sizes)]
    return Network(sum(products), products[0], sum(sizes))


def work(loop: TriptychLoop) -> Work:
    """Return the work of one update of an experiment."""
    model, batch = loop.model, loop.experiment.batch_size
    products, activations = _COUNTS[getattr(model, "architecture", "vae")](model)
    averaged = sum(parameter.numel() for parameter in loop.family.averaged.parameters())
    streams = ADAM * loop.parameters + EMA * averaged * bool(loop.experiment.ema)
    if loop.family.batches_per_step > 1:  # additional steps of the critic
        streams += ADAM * (loop.family.batches_per_step - 1) * (loop.parameters - averaged)
    return Work(2.0 * batch * products, FLOAT * (streams + ELEMENTWISE * batch * activations))


def _vae(model: Any) -> tuple[int, int]:  # noqa: ANN401 (a family's own settings)
    encoder = perceptron([PIXELS, *model.hidden, 2 * model.latent])
    decoder = perceptron([model.latent, *reversed(model.hidden), PIXELS])
    return encoder.trained() + 3 * decoder.products, encoder.activations + decoder.activations


def _coupled(model: Any, outputs: int) -> tuple[int, int]:  # noqa: ANN401
    coupling = perceptron([PIXELS // 2, *model.hidden, outputs])
    products = 3 * model.couplings * coupling.products - coupling.first
    return products, model.couplings * (coupling.activations + PIXELS) + 4 * PIXELS


def _mlp_gan(model: Any) -> tuple[int, int]:  # noqa: ANN401
    generator = perceptron([model.latent, *model.generator, PIXELS])
    discriminator = perceptron([PIXELS, *model.discriminator, 1])
    products = generator.products + 2 * discriminator.trained() + generator.trained() + discriminator.passed()
    return products, 2 * generator.activations + 3 * discriminator.activations


def _resnet_gan(model: Any) -> tuple[int, int]:  # noqa: ANN401
    generator, critic = _generator(model.latent, model.width), _critic(model.width)
    step = generator.products + 2 * critic.trained()
    if model.reg_cf:  # the gradient by the input, and its two derivatives
        step += 3 * critic.products
    products = model.critic_steps * step + generator.trained() + critic.passed()
    critic_passes = 2 * model.critic_steps + 1
    return products, (model.critic_steps + 1) * generator.activations + critic_passes * critic.activations


def _convolution(side: int, inputs: int, outputs: int, size: int = 3) -> int:
    return side * side * size * size * inputs * outputs


def _generator(latent: int, width: int) -> Network:
    start = latent * 16 * width
    products, activations = start + _convolution(SIDE, width, COLOURS), 16 * width
    for side in (4, 8, 16):
        products += 2 * _convolution(2 * side, width, width) + _convolution(side, width, width, 1)
        activations += 2 * side * side * width + 4 * (2 * side) ** 2 * width
    return Network(products, start, activations + SIDE * SIDE * (2 * width + COLOURS))


def _critic(width: int) -> Network:
    first = _convolution(SIDE, COLOURS, width) + _convolution(SIDE, COLOURS, width, 1)
    half, quarter = SIDE // 2, SIDE // 4
    products = first + _convolution(SIDE, width, width)
    products += 2 * _convolution(half, width, width) + _convolution(half, width, width, 1)
    products += 4 * _convolution(quarter, width, width) + width
    activations = 4 * SIDE * SIDE * width + 5 * half * half * width + 8 * quarter * quarter * width
    return Network(products, first, activations)


_COUNTS = {
    "vae": _vae,
    "realnvp": lambda model: _coupled(model, PIXELS),
    "nice": lambda model: _coupled(model, PIXELS // 2),
    "mlp": _mlp_gan,
    "resnet": _resnet_gan,
}
