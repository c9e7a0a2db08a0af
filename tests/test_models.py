"""The networks of the families and classifiers: sizes, updates, samples and augmentation."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch

from triptych.core.errors import TriptychError
from triptych.core.progress import Progress
from triptych.data.augmentation import shift_and_mirror, shift_images
from triptych.data.dequantization import dequantize
from triptych.evaluation.fidelity.extractors import open_classifier
from triptych.models.classifier import training
from triptych.models.classifier.network import DigitClassifier, build_classifier, load_classifier
from triptych.models.classifier.shipped import shipped_folder
from triptych.models.classifier.training import ClassifierTrainer, LabelledImages
from triptych.models.common.registry import build, load_settings_model
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
    assert order == list(reversed(family.players()))
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


SMALL_MODELS = {
    "vae": ("vae", {"latent": 3, "hidden": [8], "activation": "relu"}, (9, 9)),
    "mlp": (
        "gan",
        {"architecture": "mlp", "latent": 3, "leak": 0.2, "generator": [8], "discriminator": [8]},
        (3, 9, 9),
    ),
    "resnet": (
        "gan",
        {"architecture": "resnet", "latent": 3, "width": 4, "loss_type": "jsd", "critic_steps": 1},
        (64, 64),
    ),
    "resnet in colour": (
        "gan",
        {"architecture": "resnet", "latent": 3, "width": 4, "loss_type": "w1", "critic_steps": 1}
        | {"spectral_normalization": True, "reg_type": "r1gp", "reg_cf": 1.0},
        (3, 64, 64),
    ),
    "realnvp": ("flow", {"architecture": "realnvp", "alpha": 0.05, "couplings": 3, "hidden": [8]}, (3, 9, 9)),
    "nice": ("flow", {"architecture": "nice", "alpha": 0.05, "couplings": 3, "hidden": [8]}, (3, 9, 9)),
    "multiscale": (
        "flow",
        {"architecture": "multiscale", "alpha": 0.05, "couplings": 2, "channels": [4, 4], "blocks": 1},
        (3, 12, 12),
    ),
    "gated": (
        "flow",
        {"architecture": "gated", "alpha": 0.05, "couplings": 2, "channels": [4], "blocks": 1},
        (3, 9, 9),
    ),
    "gated with three scales and learned noise": (
        "flow",
        {"architecture": "gated", "alpha": 0.05, "couplings": 1, "channels": [4, 4, 4], "blocks": 1}
        | {"variational_dequantization": {"couplings": 2, "hidden": [4]}},
        (3, 12, 12),
    ),
}


@pytest.mark.parametrize("name", SMALL_MODELS)
def test_a_model_takes_images_of_other_shapes(name: str) -> None:
    family_name, data, shape = SMALL_MODELS[name]
    torch.manual_seed(0)
    model = load_settings_model(family_name).model_validate(data)
    family = build(family_name, model, shape)
    pixels = torch.randint(0, 2 if family_name == "vae" else 256, (6, *shape)).to(torch.uint8)
    optimizers = {player: torch.optim.SGD(weights, 1e-3) for player, weights in family.players().items()}

    def update(player: str, loss: torch.Tensor) -> None:
        optimizers[player].zero_grad()
        loss.backward()
        optimizers[player].step()

    assert all(value.isfinite().all() for value in family.step(pixels, update).values())
    assert family.sample(torch.randn(4, family.latent)).shape == (4, *shape)
    if family_name == "flow":
        with torch.no_grad():
            for parameter in family.networks.parameters():
                parameter.add_(0.05 * torch.randn_like(parameter))
        assert family.inverse_error(dequantize(pixels.float(), 0.5)) < 1e-5


@pytest.mark.parametrize(("name", "shape"), [("resnet", (48, 48)), ("multiscale", (3, 10, 10))])
def test_a_convolutional_model_says_which_sizes_it_takes(name: str, shape: tuple[int, ...]) -> None:
    family, data, _ = SMALL_MODELS[name]
    model = load_settings_model(family).model_validate(data)
    with pytest.raises(TriptychError, match=r"images of (48 by 48, but .* 32 or 64|10 by 10, but .* multiples of 4)"):
        build(family, model, shape)


def test_a_vae_says_that_it_takes_grey_images() -> None:
    model = load_settings_model("vae").model_validate(SMALL_MODELS["vae"][1])
    with pytest.raises(TriptychError, match=r"has colour images of 32 by 32, but a VAE models grey images"):
        build("vae", model, (3, 32, 32))


def test_loading_a_classifier_leaves_the_global_random_numbers() -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    load_classifier(shipped_folder("mnist-v1"), torch.device("cpu"))
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize(("name", "shape"), [("mnist-v1", (48, 48)), ("cifar10-v1", (3, 48, 48))])
def test_a_shipped_classifier_resizes_images(name: str, shape: tuple[int, ...]) -> None:
    network = load_classifier(shipped_folder(name), torch.device("cpu"))
    own = torch.randint(0, 256, (5, *shape[:-2], network.side, network.side)).to(torch.uint8)
    grown = own.repeat_interleave(2, -1).repeat_interleave(2, -2)
    assert network.features(torch.zeros((2, *shape), dtype=torch.uint8)).shape == network.features(own[:2]).shape
    resized = network.resized(grown)
    assert resized.shape[-2:] == (network.side, network.side)
    assert (resized - network.resized(own)).abs().mean() < 30 < own.float().std()
    extractor = open_classifier(shipped_folder(name), 48, torch.device("cpu"))
    assert extractor.name.endswith(f"on images resized from 48 by 48 to {network.side} by {network.side}")


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


def test_grey_images_are_shifted_and_mirrored_as_each_channel_of_colour_images() -> None:
    grey = torch.randint(256, (20, 9, 9), dtype=torch.uint8)
    torch.manual_seed(0)
    colour = shift_and_mirror(grey[:, None].expand(-1, 3, -1, -1), 2)
    torch.manual_seed(0)
    assert torch.equal(shift_and_mirror(grey, 2), colour[:, 1])


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


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_the_optimiser_of_a_classifier_has_its_settings(tiny: Settings, optimizer: str) -> None:
    changes = {"optimizer": optimizer, "weight_decay": 0.125}
    settings = tiny.classifier("mnist").model_copy(update=changes)
    images = LabelledImages(torch.zeros(8, 28, 28, dtype=torch.uint8), torch.arange(8))
    trainer = ClassifierTrainer(build_classifier(settings.model), settings, 3, images, "float32")
    (group,) = trainer.optimizer.param_groups
    assert group["weight_decay"] == 0.125
    assert isinstance(trainer.optimizer, {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}[optimizer])


def test_label_noise_reaches_the_loss_of_the_discriminator(tiny: Settings) -> None:
    pixels = torch.randint(256, (200, 28, 28), dtype=torch.uint8)
    losses = set()
    for noise in (0.0, 0.0, 0.4):
        settings = tiny.experiment("gan-mnist").model.model_copy(update={"label_noise": noise, "dropout": 0.0})
        torch.manual_seed(0)
        losses.add(float(build("gan", settings, (28, 28)).step(pixels, lambda *_: None)["discriminator_loss"]))
    assert len(losses) == 2


@pytest.mark.parametrize("logit", [-1.0, 1.0])
def test_the_accuracy_of_a_discriminator_counts_real_and_generated_images(tiny: Settings, logit: float) -> None:
    """One that calls all images real, or all generated, is right for a half."""
    family = build("gan", tiny.experiment("gan-mnist").model, (28, 28))
    family.discriminator = lambda pixels: torch.full((len(pixels), 1), logit)
    images = SimpleNamespace(pixels=torch.zeros(6, 28, 28, dtype=torch.uint8))
    assert family.validate(images)["discriminator_accuracy"] == 0.5
