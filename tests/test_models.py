"""The networks of the families and classifiers: sizes, updates, samples and augmentation."""

from __future__ import annotations

import math

import pytest
import torch

from triptych.core.progress import Progress
from triptych.data.augmentation import shift_and_mirror, shift_images
from triptych.models.classifier import training
from triptych.models.classifier.network import DigitClassifier, build_classifier
from triptych.models.classifier.training import ClassifierTrainer, LabelledImages
from triptych.models.common.registry import build
from triptych.settings.params import Settings, parse
from triptych.training.trainer import Duration, Trainer


def test_an_untrained_vae_starts_near_784_log_2(params: dict) -> None:
    torch.manual_seed(0)
    family = build("vae", parse(params).experiment("vae-20d").model, (28, 28))
    bound = family.bound((torch.rand(200, 28, 28) < 0.13).to(torch.uint8))
    assert bound["negative_elbo"] == pytest.approx(784 * math.log(2), abs=15)
    assert bound["negative_elbo"] == pytest.approx(bound["reconstruction"] + bound["kl"], rel=1e-9)


def test_linear_layers_have_the_sizes_of_the_documents(params: dict) -> None:
    settings = parse(params)

    def layers(name: str) -> list[tuple[int, int]]:
        experiment = settings.experiment(name)
        networks = build(experiment.family, experiment.model_at("full"), (28, 28)).networks
        return [(m.in_features, m.out_features) for m in networks.modules() if isinstance(m, torch.nn.Linear)]

    assert layers("vae-20d") == [(784, 500), (500, 40), (20, 500), (500, 784)]
    assert layers("gan-mnist") == [
        (100, 128), (128, 256), (256, 512), (512, 1024), (1024, 784), (784, 512), (512, 256), (256, 1)
    ]  # fmt: skip
    assert layers("realnvp-mnist") == [(392, 1024), (1024, 1024), (1024, 784)] * 8


@pytest.mark.parametrize("name", ["vae-20d", "gan-mnist", "realnvp-mnist"])
def test_an_update_changes_only_the_parameters_of_its_player(tiny: Settings, name: str) -> None:
    torch.manual_seed(0)
    experiment = tiny.experiment(name)
    family = build(experiment.family, experiment.model, (28, 28))
    pixels = torch.randint(0, 256, (50, 28, 28), dtype=torch.uint8)
    pixels = (pixels > 127).to(torch.uint8) if experiment.family == "vae" else pixels
    trainer = Trainer(name, family, experiment, Duration(1), tiny.runtime)
    family.networks.train()
    order = []

    def update(player: str, loss: torch.Tensor) -> None:
        before = {key: value.clone() for key, value in family.networks.named_parameters()}
        trainer.update(player, loss)
        moved = {key for key, value in family.networks.named_parameters() if not torch.equal(value, before[key])}
        own = {id(parameter) for parameter in family.players()[player]}
        assert moved
        assert all(id(dict(family.networks.named_parameters())[key]) in own for key in moved)
        order.append(player)

    quantities = family.step(pixels, update)
    assert order == list(reversed(family.players())) if name == "gan-mnist" else ["model"]
    assert all(value.isfinite() and not value.requires_grad for value in quantities.values())


@pytest.mark.parametrize("name", ["vae-20d", "gan-mnist", "realnvp-mnist"])
def test_samples_are_reproducible_intensities(tiny: Settings, name: str) -> None:
    torch.manual_seed(0)
    experiment = tiny.experiment(name)
    family = build(experiment.family, experiment.model, (28, 28))
    latents = family.draw_latents(7, torch.Generator().manual_seed(5))
    images = family.sample(latents, chunk=3)
    assert images.shape == (7, 28, 28)
    assert images.min() >= 0
    assert images.max() <= 1
    assert torch.equal(images, family.sample(latents, chunk=3))
    assert torch.allclose(images, family.sample(latents, chunk=7), atol=1e-5)


def test_classifier_and_its_shifts(tiny: Settings) -> None:
    network = DigitClassifier(tiny.classifier("mnist").model).eval()
    pixels = torch.randint(0, 256, (3, 28, 28), dtype=torch.uint8)
    assert network(pixels).shape == (3, 10)
    assert network.features(pixels).shape == (3, 16)
    shifted = shift_images(pixels, 2, -1)
    assert torch.equal(shifted[:, 2:, :-1], pixels[:, :-2, 1:])
    assert not shifted[:, :2].any()
    assert not shifted[:, :, -1].any()
    assert torch.equal(shift_images(pixels, 0, 0), pixels)


def test_the_residual_classifier_and_its_augmentation(tiny: Settings) -> None:
    torch.manual_seed(0)
    network = build_classifier(tiny.classifier("cifar10").model).eval()
    pixels = torch.randint(0, 256, (6, 3, 32, 32), dtype=torch.uint8)
    assert network(pixels).shape == (6, 10)
    assert network.features(pixels).shape == (6, 8)
    assert torch.allclose(network(pixels), network.head(network.features(pixels)))
    assert torch.equal(network.label(pixels), network(pixels).argmax(1))
    assert torch.equal(
        shift_and_mirror(pixels[:1].expand(50, -1, -1, -1), 0).unique(dim=0).flip(-1).unique(dim=0),
        torch.stack([pixels[0], pixels[0].flip(-1)]).unique(dim=0),
    )
    ramp = torch.arange(32, dtype=torch.uint8).expand(200, 3, 32, 32)  # each pixel holds its column
    moved = shift_and_mirror(ramp, 4)[:, 0, 0].int()
    seen = {tuple(row) for row in moved.tolist()}
    rows = [
        [abs(column - shift) if column - shift < 32 else 62 - (column - shift) for column in range(32)]
        for shift in range(-4, 5)
    ]
    assert seen == {tuple(row) for row in rows} | {tuple(row[::-1]) for row in rows}


def test_a_classifier_repeats_the_random_numbers_of_an_epoch_only(
    tiny: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, numbers = tiny.classifier("mnist").model_copy(update={"batch_size": 4}), []
    images = LabelledImages(torch.zeros(8, 28, 28, dtype=torch.uint8), torch.arange(8))
    trainer = ClassifierTrainer(build_classifier(settings.model), settings, 3, images, "float32")
    trainer.start_schedule(0)
    monkeypatch.setattr(training, "_augmented", lambda pixels, _: numbers.append(float(torch.rand(()))) or pixels)
    for epoch in (1, 2, 1):
        trainer.train_epoch(epoch, Progress("c", 24, 0))
    assert numbers[:2] == numbers[4:]
    assert len({*numbers}) == 4
