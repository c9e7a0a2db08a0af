"""Networks: shapes of the documents, exact inverses, log determinants against autograd, and who learns from what."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from triptych.config import Settings, parse
from triptych.models.classifier import DigitClassifier, shift_images
from triptych.models.flow.coupling import AffineCoupling, checkerboard
from triptych.models.flow.transform import Composition
from triptych.models.registry import build
from triptych.objectives.flow import log_likelihood
from triptych.training.loop import Trainer


def randomised(module: torch.nn.Module, scale: float = 0.5) -> torch.nn.Module:
    """Zero-initialised last layers prove nothing: give every weight a random value."""
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=scale)
    return module


@given(rows=st.integers(2, 4), columns=st.integers(2, 4), depth=st.integers(1, 4), seed=st.integers(0, 10**6))
def test_couplings_invert_and_their_log_determinant_is_autograds(
    rows: int, columns: int, depth: int, seed: int
) -> None:
    torch.manual_seed(seed)
    shape = (rows, columns)
    flow = randomised(Composition(AffineCoupling(checkerboard(shape, index % 2), [8]) for index in range(depth)))
    x = torch.randn(2, rows * columns) * 3
    z, log_det = flow(x)
    back, inverse_log_det = flow.inverse(z)
    assert torch.allclose(back, x, atol=1e-3, rtol=1e-4)
    assert torch.allclose(inverse_log_det, -log_det, atol=1e-3)
    for index in range(2):
        jacobian = torch.autograd.functional.jacobian(lambda row: flow(row[None])[0][0], x[index])
        assert torch.allclose(torch.linalg.slogdet(jacobian.double()).logabsdet.float(), log_det[index], atol=1e-3)


def test_realnvp_inverts_images_to_1e_5(params: dict) -> None:
    torch.manual_seed(0)
    settings = parse(params).experiment("realnvp-mnist")
    family = build("flow", settings.model, (28, 28))
    for module in family.networks.modules():
        if isinstance(module, torch.nn.Linear):
            torch.nn.init.normal_(module.weight, std=0.3 / math.sqrt(module.in_features))
    values = (torch.randint(0, 256, (4, 28, 28)) + torch.rand(4, 28, 28)) / 256
    assert family.inverse_error(values.clamp(max=1 - 2**-24)) <= 1e-5
    z, log_det = family.to_base(values)
    assert not torch.allclose(z, family.logit.forward(values.flatten(1))[0], atol=0.1)
    assert log_det.isfinite().all()


def test_a_coupling_starts_as_the_identity_and_moves_half() -> None:
    coupling = AffineCoupling(checkerboard((4, 4), 0), [8])
    x = torch.randn(3, 16)
    z, log_det = coupling(x)
    assert torch.equal(z, x)
    assert log_det.tolist() == [0.0, 0.0, 0.0]
    z, _ = randomised(coupling)(x)
    mask = checkerboard((4, 4), 0)
    assert torch.equal(z[:, mask], x[:, mask])
    assert (z[:, ~mask] != x[:, ~mask]).all()


def test_the_reduced_coupling_is_the_masked_formula() -> None:
    """z = b x + (1 - b)(x exp(s(b x)) + t(b x)), by a full-width network that holds the reduced one."""
    torch.manual_seed(1)
    mask = checkerboard((2, 3), 1)
    coupling = randomised(AffineCoupling(mask, [7]))
    first, last = coupling.network[0], coupling.network[-1]
    x, b = torch.randn(5, 6), mask.float()
    wide_in = torch.zeros(7, 6).index_copy(1, coupling.kept, first.weight)
    hidden = torch.relu((b * x) @ wide_in.T + first.bias)
    raw_scale, raw_shift = (hidden @ last.weight.T + last.bias).chunk(2, dim=1)
    scale = torch.zeros(5, 6).index_copy(1, coupling.moved, raw_scale.tanh() * coupling.factor)
    shift = torch.zeros(5, 6).index_copy(1, coupling.moved, raw_shift)
    z, log_det = coupling(x)
    assert torch.allclose(z, b * x + (1 - b) * (x * scale.exp() + shift), atol=1e-5)
    assert torch.allclose(log_det, ((1 - b) * scale).sum(1), atol=1e-5)


def test_a_flow_integrates_to_one() -> None:
    torch.manual_seed(2)
    flow = randomised(Composition(AffineCoupling(checkerboard((1, 2), index % 2), [6]) for index in range(3)))
    axis = torch.linspace(-30, 30, 1201)
    grid = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), -1).view(-1, 2)
    with torch.no_grad():
        mass = log_likelihood(*flow(grid)).double().exp().sum() * (axis[1] - axis[0]) ** 2
    assert mass.item() == pytest.approx(1.0, abs=2e-3)


def test_an_untrained_vae_starts_near_784_log_2(params: dict) -> None:
    torch.manual_seed(0)
    family = build("vae", parse(params).experiment("vae-20d").model, (28, 28))
    bound = family.bound((torch.rand(200, 28, 28) < 0.13).to(torch.uint8))
    assert bound["negative_elbo"] == pytest.approx(784 * math.log(2), abs=15)
    assert bound["negative_elbo"] == pytest.approx(bound["reconstruction"] + bound["kl"], rel=1e-9)


def test_sizes_of_the_documents(params: dict) -> None:
    settings = parse(params)

    def layers(name: str) -> list[tuple[int, int]]:
        experiment = settings.experiment(name)
        networks = build(experiment.family, experiment.model, (28, 28)).networks
        return [(m.in_features, m.out_features) for m in networks.modules() if isinstance(m, torch.nn.Linear)]

    assert layers("vae-20d") == [(784, 500), (500, 40), (20, 500), (500, 784)]
    assert layers("gan-mnist") == [
        (100, 128), (128, 256), (256, 512), (512, 1024), (1024, 784), (784, 512), (512, 256), (256, 1)
    ]  # fmt: skip
    assert layers("realnvp-mnist") == [(392, 1024), (1024, 1024), (1024, 784)] * 8


@pytest.mark.parametrize("name", ["vae-20d", "gan-mnist", "realnvp-mnist"])
def test_each_player_learns_from_its_own_loss_alone(tiny: Settings, name: str) -> None:
    torch.manual_seed(0)
    experiment = tiny.experiment(name)
    family = build(experiment.family, experiment.model, (28, 28))
    pixels = torch.randint(0, 256, (50, 28, 28), dtype=torch.uint8)
    pixels = (pixels > 127).to(torch.uint8) if experiment.family == "vae" else pixels
    trainer = Trainer(name, family, experiment, 1, tiny.runtime)
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
def test_samples_are_intensities_and_repeat(tiny: Settings, name: str) -> None:
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
    network = DigitClassifier(tiny.classifier("mnist")).eval()
    pixels = torch.randint(0, 256, (3, 28, 28), dtype=torch.uint8)
    assert network(pixels).shape == (3, 10)
    assert network.features(pixels).shape == (3, 16)
    shifted = shift_images(pixels, 2, -1)
    assert torch.equal(shifted[:, 2:, :-1], pixels[:, :-2, 1:])
    assert not shifted[:, :2].any()
    assert not shifted[:, :, -1].any()
    assert torch.equal(shift_images(pixels, 0, 0), pixels)
