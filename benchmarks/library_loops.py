"""Training with another library: a program for the interpreter of its environment, which prints images per second.

pythae has a trainer, which is used with two workers. nflows and normflows have none, so their flows are trained by the
plain loop. The networks of both map the unchanged half of the dimensions to the parameters of the other half, as in
Triptych; normflows splits the vector into halves and not by a checkerboard.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from plain_loops.data import WORKERS, batches, dequantized
from plain_loops.vae import Encoder as PlainEncoder
from plain_loops.vae import perceptron

PIXELS, WARM = 784, 10


def pythae_vae(hidden: list[int], latent: int, activation: type[nn.Module]) -> nn.Module:
    """Return pythae's VAE of binary images, with fully connected networks."""
    from pythae.models import VAE, VAEConfig
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder

    class Encoder(BaseEncoder):
        def __init__(self) -> None:
            super().__init__()
            self.plain = PlainEncoder(hidden, latent, activation)

        def forward(self, x: Tensor) -> ModelOutput:
            mean, log_variance = self.plain(x.flatten(1))
            return ModelOutput(embedding=mean, log_covariance=log_variance)

    class Decoder(BaseDecoder):
        def __init__(self) -> None:
            super().__init__()
            back = list(reversed(hidden))
            layers = perceptron([latent, *back], activation)
            self.layers = nn.Sequential(*layers, nn.Linear(back[-1], PIXELS), nn.Sigmoid())

        def forward(self, z: Tensor) -> ModelOutput:
            return ModelOutput(reconstruction=self.layers(z).view(-1, 1, 28, 28))

    config = VAEConfig(input_dim=(1, 28, 28), latent_dim=latent, reconstruction_loss="bce")
    return VAE(config, encoder=Encoder(), decoder=Decoder())


def pythae(settings: dict[str, Any], pixels: Tensor) -> float:
    """Return images per second of its trainer, from a callback at each step."""
    from pythae.data.datasets import BaseDataset
    from pythae.trainers import BaseTrainer, BaseTrainerConfig
    from pythae.trainers.training_callbacks import TrainingCallback

    logging.disable(logging.CRITICAL)
    batch, stamps = settings["batch_size"], []

    class Stamps(TrainingCallback):
        def on_train_step_end(self, training_config: object, **_: object) -> None:
            stamps.append(time.perf_counter())

    images = pixels[: 200 * batch].float().view(-1, 1, 28, 28)
    trainer = BaseTrainer(
        pythae_vae(settings["hidden"], settings["latent"], nn.Tanh),
        train_dataset=BaseDataset(images, torch.zeros(len(images))),
        training_config=BaseTrainerConfig(
            output_dir=settings["folder"],
            num_epochs=1,
            per_device_train_batch_size=batch,
            train_dataloader_num_workers=WORKERS,
            learning_rate=settings["learning_rate"],
            optimizer_cls="Adam",
            no_cuda=True,
        ),
        callbacks=[Stamps()],
    )
    trainer.train()
    return batch * (len(stamps) - 1 - WARM) / (stamps[-1] - stamps[WARM])


def nflows(settings: dict[str, Any], pixels: Tensor) -> float:
    """Return images per second of its RealNVP couplings."""
    from nflows.distributions import StandardNormal
    from nflows.flows import Flow
    from nflows.nn.nets import MLP
    from nflows.transforms import AffineCouplingTransform, CompositeTransform

    board = (torch.arange(28)[:, None] + torch.arange(28)).flatten() % 2

    class Network(MLP):
        def __init__(self, inputs: int, outputs: int) -> None:
            super().__init__((inputs,), (outputs,), settings["hidden"], activation=torch.relu)

        def forward(self, inputs: Tensor, _: None) -> Tensor:
            return super().forward(inputs)

    couplings = [AffineCouplingTransform((board + index) % 2, Network) for index in range(settings["couplings"])]
    flow = Flow(CompositeTransform(couplings), StandardNormal([PIXELS]))
    return _loop(settings, pixels, flow, lambda x: -flow.log_prob(x).mean())


def normflows(settings: dict[str, Any], pixels: Tensor) -> float:
    """Return images per second of its affine coupling blocks."""
    import normflows as nf

    flows: list[nn.Module] = []
    for _ in range(settings["couplings"]):
        network = nf.nets.MLP([PIXELS // 2, *settings["hidden"], PIXELS], init_zeros=True)
        flows += [nf.flows.AffineCouplingBlock(network, scale_map="exp"), nf.flows.Permute(PIXELS, mode="swap")]
    model = nf.NormalizingFlow(nf.distributions.DiagGaussian(PIXELS, trainable=False), flows)
    return _loop(settings, pixels, model, model.forward_kld)


def _loop(settings: dict[str, Any], pixels: Tensor, model: nn.Module, loss_of: Any) -> float:  # noqa: ANN401
    optimizer = torch.optim.Adam(model.parameters(), lr=settings["learning_rate"])
    alpha, loader = settings["alpha"], batches(pixels, dequantized, settings["batch_size"])

    def step() -> None:
        x = next(loader) * (1 - alpha) + alpha / 2
        optimizer.zero_grad()
        loss = loss_of(torch.log(x) - torch.log1p(-x))
        loss.backward()
        optimizer.step()
        loss.item()

    for _ in range(WARM):
        step()
    began, steps = time.perf_counter(), 0
    while time.perf_counter() - began < settings["seconds"]:
        step()
        steps += 1
    return steps * settings["batch_size"] / (time.perf_counter() - began)


def main() -> None:
    """Train the model of the settings, which are JSON in the first argument."""
    settings = json.loads(sys.argv[1])
    torch.set_num_threads(settings["threads"])
    pixels = torch.from_numpy(np.load(settings["pixels"], allow_pickle=False))
    print({"pythae": pythae, "nflows": nflows, "normflows": normflows}[settings["library"]](settings, pixels))


if __name__ == "__main__":
    main()
