"""What an update must compute and move, counted from the settings: the same whatever the library makes of it.

Matrix products: a layer's forward pass, its gradient by the weights and its gradient by the input take as many
multiply-adds each; the last is not needed where the input is data. Memory: what each optimiser and the averaging must
stream, and the elementwise work on activations, roughly five streams of each (out and back in of the forward pass;
value and gradient in, gradient out of the backward pass). What a layer of the GPU or a cache saves is not subtracted.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ours import Training

FLOAT = 4  # bytes
ADAM, EMA, ELEMENTWISE = 7, 3, 5  # streams: of each parameter, of each averaged one, of each activation
PIXELS, COLOURS, SIDE = 784, 3, 32


@dataclass(frozen=True)
class Work:
    """Of one update: floating point operations, a multiply-add as two, and bytes."""

    flops: float
    bytes: float


@dataclass(frozen=True)
class Network:
    """Of one image: multiply-adds of a forward pass, those of the layers that see the input, and activations."""

    products: int
    first: int
    activations: int

    def trained(self) -> int:
        """Forward and backward, from data."""
        return 3 * self.products - self.first

    def passed(self) -> int:
        """Forward, and backward to the input alone."""
        return 2 * self.products


def perceptron(sizes: list[int]) -> Network:
    """Linear layers from sizes[0] to sizes[-1]."""
    products = [inputs * outputs for inputs, outputs in pairwise(sizes)]
    return Network(sum(products), products[0], sum(sizes))


def work(training: Training) -> Work:
    """Of one update of the experiment."""
    model, batch = training.model, training.experiment.batch_size
    products, activations = _COUNTS[getattr(model, "architecture", "vae")](model)
    averaged = sum(parameter.numel() for parameter in training.family.averaged.parameters())
    streams = ADAM * training.parameters + EMA * averaged * bool(training.experiment.ema)
    if training.family.batches_a_step > 1:  # of the critic, which moves as often
        streams += ADAM * (training.family.batches_a_step - 1) * (training.parameters - averaged)
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
    forger = perceptron([model.latent, *model.generator, PIXELS])
    judge = perceptron([PIXELS, *model.discriminator, 1])
    products = forger.products + 2 * judge.trained() + forger.trained() + judge.passed()
    return products, 2 * forger.activations + 3 * judge.activations


def _resnet_gan(model: Any) -> tuple[int, int]:  # noqa: ANN401
    forger, judge = _generator(model.latent, model.width), _critic(model.width)
    step = forger.products + 2 * judge.trained()
    if model.reg_cf:  # the gradient by the input, and both derivatives of that
        step += 3 * judge.products
    products = model.critic_steps * step + forger.trained() + judge.passed()
    looks = 2 * model.critic_steps + 1
    return products, (model.critic_steps + 1) * forger.activations + looks * judge.activations


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
