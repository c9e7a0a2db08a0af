"""The residual networks of SNGAN for images of 32 by 32 pixels (Miyato et al. 2018, table 4).

For 64 by 64 pixels, both networks have one more block that doubles or halves the size.
"""

from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, relu
from torch.nn.utils.parametrizations import spectral_norm

from triptych.data.image_shapes import Shape
from triptych.models.gan.convolution import PenalisedConv2d
from triptych.models.gan.synchronized_batch_norm import BatchNorm2d

START = 4  # height and width of the generator's first feature map


def doublings(image_shape: Shape) -> int:
    """Return how often the generator doubles height and width.

    >>> doublings((3, 32, 32))
    3
    """
    return (image_shape[-1] // START).bit_length() - 1


def channels(image_shape: Shape) -> int:
    """Return the number of channels of an image, 1 if it is grey."""
    return image_shape[0] if len(image_shape) == 3 else 1


def convolution(inputs: int, outputs: int, size: int = 3, kind: type[nn.Conv2d] = nn.Conv2d) -> nn.Conv2d:
    """Return a convolution that keeps the image's size, with Xavier initialisation (Glorot and Bengio 2010)."""
    layer = kind(inputs, outputs, size, padding=size // 2)
    nn.init.xavier_uniform_(layer.weight, 2**0.5 if size > 1 else 1.0)
    nn.init.zeros_(layer.bias)
    return layer


class UpBlock(nn.Module):
    """A residual block that doubles height and width.

    The main branch is: batch norm, ReLU, upsampling, convolution, batch norm, ReLU, convolution.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(BatchNorm2d(channels) for _ in range(2))
        self.convolutions = nn.ModuleList(convolution(channels, channels) for _ in range(2))
        self.shortcut = convolution(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.convolutions[0](interpolate(relu(self.norms[0](x)), scale_factor=2))
        return self.convolutions[1](relu(self.norms[1](h))) + interpolate(self.shortcut(x), scale_factor=2)


class ResidualGenerator(nn.Module):
    """A linear layer, upsampling blocks and a convolution with tanh."""

    def __init__(self, latent: int, width: int, image_shape: Shape) -> None:
        super().__init__()
        self.grey = len(image_shape) == 2
        self.start = nn.Linear(latent, width * START * START)
        nn.init.xavier_uniform_(self.start.weight)
        nn.init.zeros_(self.start.bias)
        self.blocks = nn.Sequential(*(UpBlock(width) for _ in range(doublings(image_shape))))
        self.norm, self.last = BatchNorm2d(width), convolution(width, channels(image_shape))

    def forward(self, latents: Tensor) -> Tensor:
        """Return images (n, *image_shape) in (-1, 1) from latents (n, latent)."""
        h = self.start(latents)
        h = self.blocks(h.view(len(h), -1, START, START))
        images = self.last(relu(self.norm(h))).tanh()
        return images.squeeze(1) if self.grey else images


class CriticBlock(nn.Module):
    """A residual block of two convolutions, which halves height and width if `down`.

    The first block has no ReLU before its first convolution. The shortcut's pooling comes before its 1 by 1
    convolution, which gives the same function as the other order from a quarter of the pixels.
    """

    def __init__(self, inputs: int, outputs: int, kind: type[nn.Conv2d], *, down: bool, first: bool = False) -> None:
        super().__init__()
        self.down, self.first = down, first
        self.convolutions = nn.ModuleList(
            [convolution(inputs, outputs, kind=kind), convolution(outputs, outputs, kind=kind)]
        )
        self.shortcut = convolution(inputs, outputs, 1, kind) if down else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        h = self.convolutions[1](relu(self.convolutions[0](x if self.first else relu(x))))
        if not self.down:
            return h + x
        return avg_pool2d(h, 2) + self.shortcut(avg_pool2d(x, 2))


class ResidualCritic(nn.Module):
    """Residual blocks, sum pooling and a linear layer, without normalisation of activations.

    The first blocks halve the size to 8 by 8, and two blocks follow. With `spectral`, each weight matrix is divided by
    its largest singular value, which one step of power iteration estimates in each forward pass in training mode.
    `penalised` says that the loss has a gradient penalty.
    """

    def __init__(self, width: int, image_shape: Shape, *, spectral: bool, penalised: bool) -> None:
        super().__init__()
        self.grey = len(image_shape) == 2
        kind = PenalisedConv2d if penalised else nn.Conv2d
        self.blocks = nn.Sequential(
            CriticBlock(channels(image_shape), width, kind, down=True, first=True),
            *(CriticBlock(width, width, kind, down=True) for _ in range(doublings(image_shape) - 2)),
            CriticBlock(width, width, kind, down=False),
            CriticBlock(width, width, kind, down=False),
        )
        self.last = nn.Linear(width, 1)
        nn.init.xavier_uniform_(self.last.weight)
        nn.init.zeros_(self.last.bias)
        if spectral:
            for module in self.modules():
                if isinstance(module, nn.Conv2d | nn.Linear):
                    spectral_norm(module)

    def forward(self, images: Tensor) -> Tensor:
        """Return the critic's values (n,), larger for real images, from images (n, *image_shape)."""
        h = relu(self.blocks(images.unsqueeze(1) if self.grey else images)).sum((2, 3))
        return self.last(h).squeeze(1).float()
