"""The VAE: bounds against exact integrals, importance sampling, measures and errors."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from pydantic import ValidationError
from torch.distributions import Independent, Normal, kl_divergence

from triptych.core.errors import TriptychError
from triptych.evaluation.vae import pictures
from triptych.evaluation.vae.importance import LATENTS_AT_ONCE, PIECE, importance_sampling
from triptych.evaluation.vae.measure import posterior_variance
from triptych.models.common.registry import build
from triptych.models.vae.family import VaeFamily, standard_error
from triptych.models.vae.settings import Model
from triptych.settings.params import Settings

SHAPE = (2, 2)
IMAGES = torch.tensor(list(itertools.product([0, 1], repeat=4)), dtype=torch.uint8).view(-1, *SHAPE)


def vae(scale: float = 1.0, image_shape: tuple[int, ...] = SHAPE, **changes: object) -> VaeFamily:
    """Return a small VAE with random weights."""
    settings = {"latent": 2, "hidden": [8], "activation": "tanh", "decoder_shift": 0.0} | changes
    torch.manual_seed(0)
    family = build("vae", Model.model_validate(settings), image_shape)
    for parameter in family.networks.parameters():
        torch.nn.init.normal_(parameter, std=scale)
    return family


@torch.no_grad()
def exact_log_likelihood(family: VaeFamily, images: torch.Tensor) -> torch.Tensor:
    """Return log p(x), (n,) in nats, by quadrature over the latent plane."""
    axis = torch.linspace(-8, 8, 401)
    plane = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), -1).view(-1, 2)
    log_prior = -plane.square().sum(1) / 2 - math.log(2 * math.pi)
    logits = family.networks.logits(plane).flatten(1).double()
    x = images.flatten(1).double()
    log_p_x = x @ torch.nn.functional.logsigmoid(logits).T + (1 - x) @ torch.nn.functional.logsigmoid(-logits).T
    return (log_p_x + log_prior).logsumexp(1) + 2 * math.log(float(axis[1] - axis[0]))


@pytest.mark.parametrize("planar_layers", [0, 3])
def test_importance_sampling_finds_the_exact_likelihood(planar_layers: int, tmp_path: Path) -> None:
    family = vae(0.7, planar_layers=planar_layers)
    with torch.no_grad():  # with a posterior near the prior, a few thousand draws are enough
        for name, parameter in family.networks.named_parameters():
            if name.startswith(("posterior", "flow")):
                parameter.mul_(0.1 if name.startswith("posterior") else 0.5)
    exact = exact_log_likelihood(family, IMAGES)
    assert exact.exp().sum().item() == pytest.approx(1.0, abs=1e-4)
    found = importance_sampling(family, IMAGES, samples=5000, seed=1, pieces=tmp_path, name="v")
    error = (1 / found.effective_samples - 1 / 5000).sqrt()
    assert ((found.log_likelihood - exact).abs() < 5 * error + 1e-3).all()
    assert (found.effective_samples >= 1 - 1e-9).all()
    assert (found.effective_samples <= 5000).all()


@torch.no_grad()
def test_a_part_of_a_posterior_is_the_posterior_of_its_images() -> None:
    posterior, z = vae(planar_layers=3).networks.encode(IMAGES.float()), torch.randn(16, 5, 2)
    part = posterior[3:7]
    assert torch.equal(part.mean, posterior.mean[3:7])
    assert torch.equal(part.log_variance, posterior.log_variance[3:7])
    for found, whole in zip(part.transform(z[3:7]), posterior.transform(z), strict=True):
        assert torch.allclose(found, whole[3:7])


@pytest.mark.parametrize("planar_layers", [0, 3])
def test_the_bounds_are_ordered(planar_layers: int) -> None:
    family = vae(0.7, planar_layers=planar_layers, importance_samples=10)
    many = IMAGES.repeat(300, 1, 1)
    numbers = family.bound(many)
    exact = -exact_log_likelihood(family, IMAGES).mean().item()
    assert numbers["negative_elbo"] == pytest.approx(numbers["reconstruction"] + numbers["kl"], rel=1e-9)
    assert exact < numbers["negative_iw_bound"] < numbers["negative_elbo"]


@torch.no_grad()
@pytest.mark.parametrize("planar_layers", [0, 3])
def test_the_bound_is_the_sampled_one_with_the_gaussians_kl_in_closed_form(planar_layers: int) -> None:
    """The bounds of one draw differ by KL(q_0 || p) - (log q_0(z_0) - log p(z_0)); the flow adds no difference."""
    family = vae(planar_layers=planar_layers)
    images = IMAGES.float()
    posterior = family.networks.encode(images)
    torch.manual_seed(3)
    reconstruction, kl = family.bound_terms(images)
    torch.manual_seed(3)
    sampled_reconstruction, sampled_kl = (part.squeeze(1) for part in family.sampled_terms(images, posterior, 1))
    torch.manual_seed(3)
    start, log_q = posterior.draw_gaussian(1)
    prior = Independent(Normal(torch.zeros(2), torch.ones(2)), 1)
    gaussian = Independent(Normal(posterior.mean, (posterior.log_variance / 2).exp()), 1)
    assert torch.allclose(log_q, gaussian.log_prob(start.squeeze(1))[:, None], rtol=1e-4, atol=1e-4)
    noise = kl_divergence(gaussian, prior) - (log_q - prior.log_prob(start)).squeeze(1)
    assert torch.allclose(reconstruction, sampled_reconstruction, rtol=1e-5)
    assert torch.allclose(kl - sampled_kl, noise, rtol=1e-4, atol=1e-3)


@torch.no_grad()
def test_draws_of_a_planar_posterior_have_its_density() -> None:
    """Compare q(z|x), from the change of variables, with a histogram of draws."""
    torch.manual_seed(0)
    family = vae(0.8, planar_layers=4)
    z, log_q = family.networks.encode(IMAGES[5:6].float()).draw(400_000)
    side = 0.1
    squares = (z[0] / side).floor().long()
    cells, counts = squares.unique(dim=0, return_counts=True)
    fullest = counts.topk(20).indices
    for cell, count in zip(cells[fullest], counts[fullest], strict=True):
        inside = (squares == cell).all(1)
        density = int(count) / len(squares) / side**2
        assert 1 / (-log_q[0, inside]).exp().mean().item() == pytest.approx(density, rel=5 / int(count) ** 0.5)


@pytest.mark.parametrize(
    ("weights", "effective"),
    [([2.0, 2.0, 2.0, 2.0], 4.0), ([3.0, 1.0, 0.0, 0.0], 1.6), ([0.0, 0.0, 5.0, 0.0], 1.0)],
)
def test_the_effective_sample_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weights: list[float], effective: float
) -> None:
    family, log_weights = vae(), torch.tensor([weights]).log()
    monkeypatch.setattr(family, "sampled_terms", lambda images, posterior, draws: (-log_weights, torch.zeros(1, 4)))
    found = importance_sampling(
        family, torch.zeros(1, *SHAPE, dtype=torch.uint8), samples=4, seed=0, pieces=tmp_path, name="weights"
    )
    assert found.effective_samples.item() == pytest.approx(effective, rel=1e-6)
    assert found.log_likelihood.item() == pytest.approx(math.log(sum(weights) / 4), abs=1e-6)


def test_the_standard_error_of_a_mean() -> None:
    values = torch.tensor([1.0, 2.0, 3.0, 6.0])
    assert standard_error(values) == pytest.approx(math.sqrt((4 + 1 + 0 + 9) / 3) / 2, rel=1e-6)


def test_a_stopped_importance_sampling_continues_after_its_finished_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    family = vae()
    many = IMAGES.repeat(2 * PIECE // len(IMAGES) + 1, 1, 1)
    settings = {"samples": 6, "seed": 1, "name": "v"}
    for folder in ("whole", "stopped"):
        (tmp_path / folder).mkdir()
    whole = importance_sampling(family, many, pieces=tmp_path / "whole", **settings)
    decode, left = family.networks.logits, [3]

    def stops(latents: torch.Tensor) -> torch.Tensor:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        return decode(latents)

    monkeypatch.setattr(family.networks, "logits", stops)
    with pytest.raises(KeyboardInterrupt):
        importance_sampling(family, many, pieces=tmp_path / "stopped", **settings)
    done = sorted((tmp_path / "stopped").iterdir())
    assert len(done) == 1
    stamp = done[0].stat().st_mtime_ns
    monkeypatch.undo()
    torch.rand(3)
    resumed = importance_sampling(family, many, pieces=tmp_path / "stopped", **settings)
    assert done[0].stat().st_mtime_ns == stamp
    assert torch.equal(whole.log_likelihood, resumed.log_likelihood)
    assert torch.equal(whole.effective_samples, resumed.effective_samples)


@pytest.mark.parametrize("samples", [1, 200, 5000])
def test_memory_does_not_grow_with_the_number_of_draws(
    samples: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    family, sizes = vae(), []
    decode = family.networks.logits

    def counted(latents: torch.Tensor) -> torch.Tensor:
        sizes.append(len(latents))
        return decode(latents)

    monkeypatch.setattr(family.networks, "logits", counted)
    importance_sampling(family, IMAGES, samples=samples, seed=0, pieces=tmp_path, name="v")
    assert sum(sizes) == samples * len(IMAGES)
    assert max(sizes) <= LATENTS_AT_ONCE


def test_the_posterior_variance_is_zero_for_unused_latents() -> None:
    family = vae(latent=3, hidden=[])
    layer = family.networks.posterior
    with torch.no_grad():
        layer.weight.zero_()
        layer.bias.zero_()
        layer.weight[0, 0] = 2.0  # the first latent's mean is twice the first pixel minus one
        layer.bias[0] = -1.0
    torch.manual_seed(0)
    variance = posterior_variance(family, IMAGES.repeat(200, 1, 1))
    assert variance[0].item() == pytest.approx(1.0, abs=0.05)
    assert variance[1:].abs().max() < 0.01


def test_importance_weighted_training_minimises_the_importance_weighted_bound() -> None:
    family = vae(0.3, importance_samples=5)
    found = {}

    def update(player: str, loss: torch.Tensor) -> None:
        found[player] = loss

    torch.manual_seed(0)
    quantities = family.step(IMAGES.repeat(50, 1, 1), update)
    assert next(iter(quantities)) == "negative_iw_bound"
    assert quantities["negative_iw_bound"].item() == found["model"].item()
    assert quantities["negative_iw_bound"] < quantities["negative_elbo"]
    gradients = torch.autograd.grad(found["model"], list(family.networks.parameters()))
    assert all(gradient.isfinite().all() and gradient.abs().sum() > 0 for gradient in gradients)


def test_kl_warmup_changes_the_loss_but_not_the_logged_elbo() -> None:
    family = vae(kl_warmup=4.0)
    for epoch, weight in ((0.0, 0.0), (1.0, 0.25), (4.0, 1.0), (9.0, 1.0)):
        family.epoch = epoch
        torch.manual_seed(0)
        found = family.step(IMAGES, lambda player, loss: None)
        assert found["loss"].item() == pytest.approx((found["reconstruction"] + weight * found["kl"]).item())
        assert found["negative_elbo"].item() == pytest.approx((found["reconstruction"] + found["kl"]).item())


def test_the_manifold_shows_the_latent_plane_at_the_priors_quantiles(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Each image holds one pixel: the mean of both quantiles, of which the second counts twice."""
    saved = {}
    monkeypatch.setattr(pictures, "save_grey", lambda figure, path: saved.update({path: figure}))
    weights = torch.tensor([1 / 3, 2 / 3])
    family = SimpleNamespace(
        networks=torch.nn.Linear(1, 1), sample=lambda plane: (torch.special.ndtr(plane) @ weights).view(-1, 1, 1)
    )
    evaluation = SimpleNamespace(
        family=family,
        folder=tmp_path,
        shown_epochs=[1, 3],
        at_epochs=lambda measure, epochs: {epoch: measure(family) for epoch in epochs},
    )
    pictures._draw_manifold(evaluation)
    axes = saved[tmp_path / "U1.15-manifold.png"].axes
    assert [each.get_title() for each in axes] == ["after epoch 1", "after epoch 3"]
    steps = torch.linspace(0, 1, 20, dtype=torch.float64)
    sheet = 255 * (steps / 3 + steps.flip(0)[:, None] * 2 / 3)
    places = [0.5 + 19 * (Normal(0.0, 1.0).cdf(torch.tensor(mark)).item() - 1e-4) / 0.9998 for mark in (-1.0, 1.0)]
    for each in axes:
        assert abs(each.images[0].get_array() - sheet.numpy()).max() < 1
        assert each.images[0].get_extent() == [0, 20, 0, 20]
        for axis in (each.xaxis, each.yaxis):
            assert axis.get_ticklocs().tolist() == pytest.approx([0.5, places[0], 10.0, places[1], 19.5], abs=1e-3)
            assert [label.get_text() for label in axis.get_ticklabels()] == ["-3.72", "-1", "0", "1", "3.72"]


def test_a_step_with_kl_warmup_cannot_be_graphed() -> None:
    assert vae().can_be_graphed
    assert not vae(kl_warmup=2.0).can_be_graphed


def test_planar_layers_do_not_change_the_other_initial_weights(tiny: Settings) -> None:
    """The same seed gives encoder and decoder the same weights, with and without planar layers."""
    model = tiny.experiment("vae-20d").model
    torch.manual_seed(0)
    plain = build("vae", model, (28, 28)).networks.state_dict()
    torch.manual_seed(0)
    planar = build("vae", model.model_copy(update={"planar_layers": 2}), (28, 28)).networks.state_dict()
    assert all(torch.equal(planar[name], value) for name, value in plain.items())
    assert planar["flow.weight"].shape == (2 * (2 * model.latent + 1), 32)


def test_a_new_planar_posterior_equals_the_gaussian() -> None:
    settings = {"latent": 3, "hidden": [8], "activation": "tanh", "decoder_shift": 0.0}
    bounds = []
    for planar_layers in (0, 4):
        torch.manual_seed(0)
        family = build("vae", Model.model_validate(settings | {"planar_layers": planar_layers}), SHAPE)
        torch.manual_seed(1)
        bounds.append(family.bound(IMAGES))
    assert bounds[0] == pytest.approx(bounds[1], rel=1e-6)


@pytest.mark.parametrize(
    "wrong",
    [
        {"latent": 0},
        {"planar_layers": -1},
        {"importance_samples": 0},
        {"kl_warmup": -1.0},
        {"kl_warmup": 2.0, "importance_samples": 5},
        {"activation": "sine"},
    ],
)
def test_impossible_models_are_refused(wrong: dict) -> None:
    settings = {"latent": 2, "hidden": [8], "activation": "tanh", "decoder_shift": 0.0}
    Model.model_validate(settings)
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        Model.model_validate(settings | wrong)


def test_grey_images_are_refused() -> None:
    family = vae()
    with pytest.raises(TriptychError, match="pixels of 0 and 1, but the largest pixel is 200"):
        family.bound(IMAGES * 200)
    with pytest.raises(TriptychError, match="pixels of 0 and 1"):
        family.encode(IMAGES * 200, 1)
