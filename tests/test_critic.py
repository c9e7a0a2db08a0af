"""GANs with a critic: networks, updates, and the scores of snapshots."""

from __future__ import annotations

import copy
import math
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from triptych.core.errors import TriptychError
from triptych.evaluation.gan.measure import sentence
from triptych.evaluation.gan.rank_correlation import RankCorrelation, rank_correlation
from triptych.evaluation.snapshot_scores import panel
from triptych.models.common.registry import build
from triptych.models.gan.convolution import PenalisedConv2d
from triptych.models.gan.resnet import ResidualCritic, ResidualGenerator
from triptych.models.gan.synchronized_batch_norm import BatchNorm2d
from triptych.settings.params import Settings, parse
from triptych.training import distributed
from triptych.training.trainer import Duration, Trainer

JSD = ("cifar10-jsd-1", "cifar10-jsd-2", "cifar10-jsd-3")
OTHER_LOSS = [f"{name}-non-saturating" for name in JSD]
FIVE = (*JSD, "cifar10-w1-2", "cifar10-w1-3")
SHAPE = (3, 32, 32)


@pytest.fixture(scope="module")
def full(params: dict) -> Settings:
    return parse(params)


def narrow(settings: Settings, name: str) -> Trainer:
    """Return a trainer of the experiment with width 4."""
    torch.manual_seed(0)
    experiment = settings.experiment(name).at("full")
    family = build("gan", experiment.model_at("quick").model_copy(update={"width": 4}), SHAPE)
    family.networks.train()
    return Trainer(name, family, experiment, Duration(1), settings.runtime)


def pixels(count: int) -> torch.Tensor:
    return torch.randint(0, 256, (count, *SHAPE), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def test_the_five_experiments_have_the_settings_of_the_documents(full: Settings) -> None:
    wanted = {
        "cifar10-jsd-1": ("jsd", "none", 0.0, False),
        "cifar10-jsd-2": ("jsd", "none", 0.0, True),
        "cifar10-jsd-3": ("jsd", "r1gp", 1.0, False),
        "cifar10-w1-2": ("w1", "none", 0.0, True),
        "cifar10-w1-3": ("w1", "r1gp", 1.0, False),
    }
    for name, settings in wanted.items():
        experiment, model = full.experiment(name).at("full"), full.experiment(name).model_at("full")
        assert (model.loss_type, model.reg_type, model.reg_cf, model.spectral_normalization) == settings
        assert (model.latent, model.width, model.critic_steps, model.generator_loss) == (100, 128, 2, "metric")
        assert (experiment.batch_size, experiment.betas, experiment.ema) == (64, [0.0, 0.99], 0.998)
        assert experiment.epochs * experiment.epoch_updates == 100_000
        assert experiment.snapshot_epochs * experiment.epoch_updates == 2_000
        trainer = Trainer(
            name, build("gan", experiment.model_at("quick"), SHAPE), experiment, Duration(1), full.runtime
        )
        trainer.fraction_done, trainer.completed_epochs = 0.5, 100
        rates = {player: trainer.learning_rate(player) for player in ("generator", "critic")}
        assert rates == {"generator": 2e-4, "critic": 4e-4}
        assert {player: optimizer.weight_decay for player, optimizer in trainer.optimizers.items()} == {
            "generator": 0.0, "critic": 1e-6
        }  # fmt: skip


@pytest.mark.parametrize("name", JSD)
def test_the_other_experiments_differ_only_in_the_loss_of_the_generator(full: Settings, name: str) -> None:
    ours, other = full.experiment(name), full.experiment(f"{name}-non-saturating")
    changed = ours.model.model_copy(update={"generator_loss": "non_saturating"})
    assert other.epoch_updates.full == ours.epoch_updates.full
    assert other == ours.model_copy(update={"model": changed, "epoch_updates": other.epoch_updates})


@pytest.mark.parametrize("name", [*FIVE, *OTHER_LOSS])
def test_the_generator_descends_the_loss_of_its_settings(full: Settings, name: str) -> None:
    """The gradient that reaches the generator is that of the metric, or of -log D."""
    trainer = narrow(full, name)
    family, given = trainer.family, {}

    def keep(player: str, loss: torch.Tensor) -> None:
        if player == "generator":
            given["gradient"] = torch.autograd.grad(loss, given["outputs"], retain_graph=True)[0]

    family.critic.register_forward_hook(lambda _, inputs, outputs: given.update(outputs=outputs))
    family.step(pixels(8), keep)
    cq = given["outputs"].detach().requires_grad_()
    if "non-saturating" in name:
        wanted = -cq.sigmoid().log().mean()
    elif "jsd" in name:
        wanted = (1 - cq.sigmoid()).log().mean() / 2
    else:
        wanted = -cq.mean()
    torch.testing.assert_close(given["gradient"], torch.autograd.grad(wanted, cq)[0])


def test_the_networks_are_those_of_sngan_for_32_pixels() -> None:
    """Convolutions (inputs, outputs, kernel) of Miyato et al. 2018, table 4, in order; a shortcut ends its block."""

    def convolutions(network: torch.nn.Module) -> list[tuple[int, int, int]]:
        return [
            (m.in_channels, m.out_channels, m.kernel_size[0])
            for m in network.modules()
            if isinstance(m, torch.nn.Conv2d)
        ]

    generator, critic = ResidualGenerator(100, 8, SHAPE), ResidualCritic(8, SHAPE, spectral=False, penalised=False)
    assert convolutions(generator) == [(8, 8, 3), (8, 8, 3), (8, 8, 1)] * 3 + [(8, 3, 3)]
    assert (generator.start.in_features, generator.start.out_features) == (100, 8 * 16)
    assert convolutions(critic) == [
        (3, 8, 3), (8, 8, 3), (3, 8, 1), (8, 8, 3), (8, 8, 3), (8, 8, 1), (8, 8, 3), (8, 8, 3), (8, 8, 3), (8, 8, 3)
    ]  # fmt: skip
    assert sum(isinstance(m, torch.nn.BatchNorm2d) for m in generator.modules()) == 7
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in critic.modules())
    images = generator(torch.randn(5, 100))
    assert images.shape == (5, *SHAPE)
    assert images.abs().max() <= 1
    assert critic(images).shape == (5,)


def test_spectral_normalisation_brings_the_largest_singular_value_to_one() -> None:
    torch.manual_seed(0)
    critic = ResidualCritic(8, SHAPE, spectral=True, penalised=False).train()
    for _ in range(60):
        critic(torch.randn(1, *SHAPE))
    critic.eval()
    layers = [m for m in critic.modules() if isinstance(m, torch.nn.Conv2d | torch.nn.Linear)]
    for layer in layers:
        assert float(torch.linalg.matrix_norm(layer.weight.detach().flatten(1), 2)) == pytest.approx(1.0, abs=0.02)
    assert len(layers) == 11
    before = {name: value.clone() for name, value in critic.state_dict().items()}
    critic(torch.randn(2, *SHAPE))
    assert all(torch.equal(value, before[name]) for name, value in critic.state_dict().items())


@pytest.mark.parametrize("size", [1, 3])
def test_a_penalised_convolution_and_its_derivatives_equal_those_of_pytorch(size: int) -> None:
    torch.manual_seed(0)
    ours, theirs = (kind(3, 4, size, padding=size // 2).double() for kind in (PenalisedConv2d, torch.nn.Conv2d))
    theirs.load_state_dict(ours.state_dict())
    images = torch.randn(2, 3, 6, 5, dtype=torch.float64, requires_grad=True)

    def convolve(images: torch.Tensor, *parameters: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(ours, dict(zip(("weight", "bias"), parameters, strict=True)), (images,))

    torch.testing.assert_close(ours(images), theirs(images))
    given = (images, *(parameter.detach().requires_grad_() for parameter in ours.parameters()))
    assert torch.autograd.gradcheck(convolve, given)
    assert torch.autograd.gradgradcheck(convolve, given)
    found = []
    for layer in (
        ours,
        theirs,
    ):  # a power of the output, so that second derivatives with respect to the filters are not 0
        (gradient,) = torch.autograd.grad(layer(images).pow(3).sum(), images, create_graph=True)
        found.append(torch.autograd.grad(gradient.square().sum(), [images, *layer.parameters()]))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)


def test_a_penalised_critic_in_mixed_precision_is_close_to_float32(full: Settings) -> None:
    found = []
    for precision in ("float32", "bf16"):
        trainer = narrow(full, "cifar10-jsd-3")
        trainer.runtime = trainer.runtime.model_copy(update={"precision": precision})
        critic, real = trainer.family.critic, pixels(8).float() / 127.5 - 1
        with trainer.mixed_precision():
            loss, _ = trainer.family.terms(real, -real, critic)
        found.append(torch.cat([each.flatten() for each in torch.autograd.grad(loss, list(critic.parameters()))]))
    assert found[1].dtype == torch.float32
    assert (found[0] - found[1]).norm() < 0.02 * found[0].norm()


@pytest.mark.parametrize("name", [*FIVE, *OTHER_LOSS])
def test_a_step_updates_the_critic_twice_on_new_images_and_the_generator_once(full: Settings, name: str) -> None:
    trainer = narrow(full, name)
    family, moves, seen = trainer.family, [], []
    family.critic.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach().clone()))

    def update(player: str, loss: torch.Tensor) -> None:
        before = {key: value.clone() for key, value in family.networks.named_parameters()}
        trainer.update(player, loss)
        moved = {key.split(".")[0] for key, value in family.networks.named_parameters() if not value.equal(before[key])}
        assert moved == {player}
        moves.append(player)

    images = pixels(8)
    quantities = family.step(images, update)
    assert moves == ["critic", "critic", "generator"]
    real = [batch for batch in seen if any(torch.equal(batch, half.float() / 127.5 - 1) for half in images.split(4))]
    assert len(real) == 2
    assert not torch.equal(real[0], real[1])
    assert list(quantities) == ["critic_loss", "metric", "generator_loss"]
    assert not any(value.requires_grad for value in quantities.values())
    if "-3" in name:
        assert quantities["critic_loss"] > -quantities["metric"]
    else:
        assert quantities["critic_loss"] == pytest.approx(-float(quantities["metric"]))
    assert all(parameter.grad is None for parameter in family.networks.parameters())


def test_the_estimate_on_held_out_images_does_not_depend_on_chunks(full: Settings) -> None:
    trainer = narrow(full, "cifar10-w1-2")
    family = trainer.family
    family.networks.eval()

    class Images:
        pixels = pixels(300)

    with torch.no_grad():
        torch.manual_seed(5)
        found = family.validate(Images())
        torch.manual_seed(5)
        latents = torch.cat([torch.randn(count, family.latent) for count in (250, 50)])
        real = family.critic(Images.pixels.float() / 127.5 - 1)
        fake = family.critic(family.generator(latents))
    assert found["metric"] == pytest.approx(float(real.mean() - fake.mean()), abs=1e-4)
    assert found["generator_loss"] == pytest.approx(float(-fake.mean()), abs=1e-4)


@pytest.mark.parametrize(("name", "parts"), [("cifar10-jsd-2", 2), ("cifar10-jsd-3", 1)])
def test_a_penalised_critic_is_not_compiled(full: Settings, name: str, parts: int) -> None:
    family = narrow(full, name).family
    assert len(family.compiled()) == parts
    assert family.compiled()[0] is family.generator


def test_batch_normalisation_in_two_processes_is_that_of_the_whole_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    batch = 2 * torch.randn(8, 3, 5, 4) + torch.arange(8.0)[:, None, None, None]
    own, other = batch.chunk(2)
    of_other = torch.stack([other.mean((0, 2, 3)), other.var((0, 2, 3), correction=0)])
    monkeypatch.setattr(distributed, "world_size", lambda: 2)
    monkeypatch.setattr(distributed, "all_gather", lambda of_own: torch.stack([of_own, of_other]))
    ours, theirs = BatchNorm2d(3), torch.nn.BatchNorm2d(3)
    for layer in (ours, theirs):
        layer.weight.data, layer.bias.data = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([0.0, 1.0, -1.0])
    assert torch.allclose(ours(own), theirs(batch)[:4], atol=1e-5)
    for found, wanted in zip(ours.state_dict().values(), theirs.state_dict().values(), strict=True):
        assert torch.allclose(found, wanted, rtol=1e-6)
    assert torch.allclose(ours.eval()(own), theirs.eval()(own), atol=1e-5)


def test_rank_correlation_and_its_interval() -> None:
    rng = np.random.default_rng(0)
    first = rng.standard_normal(30)
    second = first + rng.standard_normal(30)
    second[:4] = second[4]  # ties
    found, rho = rank_correlation(first.tolist(), second.tolist()), spearmanr(first, second).statistic
    assert found.value == pytest.approx(rho, abs=1e-12)
    half = 1.96 * math.sqrt((1 + rho**2 / 2) / 27)
    assert (math.atanh(found.low), math.atanh(found.high)) == pytest.approx(
        (math.atanh(rho) - half, math.atanh(rho) + half), abs=1e-4
    )
    halves = rank_correlation([1, 2, 4, 3], [0, 0, 1, 1]), rank_correlation([0, 0, 1, 1], [1, 2, 4, 3])
    assert [each.value for each in halves] == pytest.approx([0.8**0.5] * 2)
    agreeing, nearly = rank_correlation([1, 2, 3, 4], [1, 4, 9, 16]), rank_correlation([1, 2, 3, 4], [1, 2, 4, 3])
    assert (agreeing.value, agreeing.low, agreeing.high) == (1.0, pytest.approx(nearly.low, abs=1e-12), 1.0)
    assert agreeing.low < 0  # four pairs are too few for a significant correlation
    assert rank_correlation([1, 2, 3, 4], [4, 3, 2, 1]) == RankCorrelation(-1.0, -1.0, -agreeing.low, 2 / 24)
    assert rank_correlation([*range(10)], [*range(10)]).low > 0.9
    assert rank_correlation([1, 2, 3], [1, 2, 3]) is None
    assert rank_correlation([1, 1, 1, 1], [1, 2, 3, 4]) is None


@pytest.mark.parametrize("second", [[5, 4, 3, 2, 1], [1, 3, 2, 5, 4], [2, 1, 1, 3, 3]])
def test_the_permutation_test_counts_all_orders(second: list[int]) -> None:
    first = [1, 2, 3, 4, 5]
    products = np.array([np.dot(first, order) for order in permutations(second)])
    p = 2 * min(np.mean(products <= np.dot(first, second)), np.mean(products >= np.dot(first, second)))
    assert rank_correlation(first, second).p == pytest.approx(min(p, 1))


def test_the_permutation_test_of_many_pairs_is_near_the_t_test() -> None:
    rng = np.random.default_rng(3)
    first = rng.standard_normal(30)
    second = 0.4 * first + rng.standard_normal(30)
    found = rank_correlation(first.tolist(), second.tolist())
    assert found.p == pytest.approx(spearmanr(first, second).pvalue, rel=0.2)
    assert rank_correlation(first.tolist(), second.tolist()) == found


def test_the_sentence_follows_from_the_permutation_test() -> None:
    rising = sentence(rank_correlation([1, 2, 3, 4, 5], [5, 4, 3, 2, 1]), 5)
    assert "rises when FID falls (Spearman's rho -1.00, p = 0.017 by a permutation test, 5 trained snap" in rising
    falling = sentence(RankCorrelation(0.8, -0.1, 0.9, 0.02), 50)
    assert "falls when FID falls (Spearman's rho 0.80" in falling
    assert all(each.endswith("as independent, but those of one training are not") for each in (rising, falling))
    assert "do not show whether" in sentence(RankCorrelation(0.5, 0.1, 0.9, 0.06), 50)
    assert "p cannot be below 0.083, and p < 0.05 needs 5 or more" in sentence(
        rank_correlation([1, 2, 3, 4], [4, 3, 2, 1]), 4
    )
    assert sentence(None, 2).startswith("2 trained snapshots are too few")
    assert "is not defined" in sentence(None, 6)


def test_a_panel_has_the_estimates_and_the_fids_of_all_snapshots(tmp_path: Path) -> None:
    path = tmp_path / "snapshots.csv"
    path.write_text("epoch,update,w1,fid,is\n1,20,3.5,200,2\n2,40,2.5,100,3\n", encoding="utf-8")
    found = panel("x", path)
    assert (found.updates, found.metric, found.fid) == ([20, 40], [3.5, 2.5], [200, 100])
    assert ("W1" in found.metric_label, found.fid_label) == (True, "FID")


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("players", {"judge": {"learning_rate": 1e-3, "weight_decay": 0.0}}, "players.judge: .*generator and critic"),
        ("model/reg_cf", 0.5, "none goes with 0"),
        ("model/dropout", 0.1, "dropout does not belong to architecture resnet"),
        ("model/loss_type", "hinge", "loss_type"),
        ("model/generator_loss", "hinge", "generator_loss"),
        ("model/critic_steps", 0, "critic_steps"),
        ("epoch_updates", {"quick": 0, "full": 5}, "epoch_updates"),
    ],
)
def test_an_error_names_the_impossible_setting(params: dict, key: str, value: object, words: str) -> None:
    data = copy.deepcopy(params)
    *path, last = ["experiments", "cifar10-jsd-2", *key.split("/")]
    place = data
    for part in path:
        place = place[part]
    place[last] = value
    with pytest.raises(TriptychError, match=words):
        parse(data)


def test_only_jsd_has_a_non_saturating_loss(params: dict) -> None:
    data = copy.deepcopy(params)
    data["experiments"]["cifar10-w1-2"]["model"]["generator_loss"] = "non_saturating"
    with pytest.raises(
        TriptychError, match=r"experiments\.cifar10-w1-2\.model: generator_loss is non_saturating, which"
    ):
        parse(data)
    data = copy.deepcopy(params)
    data["experiments"]["gan-mnist"]["model"]["generator_loss"] = "metric"
    with pytest.raises(TriptychError, match="generator_loss does not belong to architecture mlp"):
        parse(data)
