"""Adversarial losses, penalties and the alternating training step: compared with closed forms and autograd."""

import copy
import math
from collections.abc import Callable
from itertools import count

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.distributions import Normal, kl_divergence

from triptych.objectives import apply_exponential_moving_average, jsd, make_losses, make_train_step, ogp, r1gp, w1

SHAPES = [(6,), (6, 1), (6, 5), (6, 3, 4, 4)]
LOGITS = st.lists(st.floats(-1e4, 1e4), min_size=1, max_size=8)


def samples(shape: tuple[int, ...], seed: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@given(LOGITS, LOGITS)
def test_jsd_is_at_most_log_2_and_finite_at_any_logit(real: list[float], fake: list[float]) -> None:
    cp, cq = (torch.tensor(logits, requires_grad=True) for logits in (real, fake))
    value = jsd(cp, cq)
    assert value.isfinite()
    assert value <= math.log(2) + 1e-6
    assert all(gradient.isfinite().all() for gradient in torch.autograd.grad(value, (cp, cq)))


def test_jsd_at_logits_whose_value_is_known() -> None:
    assert jsd(torch.zeros(3), torch.zeros(3)).item() == pytest.approx(0.0, abs=1e-7)
    assert jsd(torch.full((3,), 1e4), torch.full((3,), -1e4)).item() == pytest.approx(math.log(2))
    assert jsd(torch.full((3,), -1e4), torch.full((3,), 1e4)).item() == pytest.approx((math.log(4) - 2e4) / 2)
    cp, cq = samples((50,), 0), samples((50, 1), 1)
    by_definition = (cp.sigmoid().log().mean() + (-cq).sigmoid().log().mean() + math.log(4)) / 2
    assert jsd(cp, cq).item() == pytest.approx(by_definition.item(), abs=1e-12)


def test_jsd_of_the_best_critic_is_the_divergence() -> None:
    """Compute the bound of two Gaussians by Monte Carlo, and their divergence by quadrature."""
    p, q = Normal(torch.tensor(-1.0).double(), 1.0), Normal(torch.tensor(1.0).double(), 1.5)
    x = torch.linspace(-20, 20, 40_001, dtype=torch.float64)
    mixture = ((p.log_prob(x).exp() + q.log_prob(x).exp()) / 2).log()
    parts = [torch.trapezoid(d.log_prob(x).exp() * (d.log_prob(x) - mixture), x) for d in (p, q)]
    torch.manual_seed(0)
    draws = [d.sample((200_000,)) for d in (p, q)]
    cp, cq = (p.log_prob(z) - q.log_prob(z) for z in draws)
    assert jsd(cp, cq).item() == pytest.approx(float(sum(parts)) / 2, abs=3e-3)
    assert float(sum(parts)) / 2 < float(kl_divergence(p, q))


def test_w1_of_a_linear_critic_is_the_distance_of_the_means() -> None:
    p, q = samples((8, 3), 0), samples((5, 3), 1)
    direction = samples((3,), 2)
    expected = (p.mean(0) - q.mean(0)) @ direction
    assert w1(p @ direction, q @ direction).item() == pytest.approx(expected.item(), abs=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
def test_penalties_of_a_linear_critic(shape: tuple[int, ...]) -> None:
    """C(x) = a x + b has the gradient a everywhere: its norm runs over all dimensions of an example."""
    p, q, a = samples(shape, 0), samples(shape, 1), samples(shape[1:], 2).requires_grad_()

    def critic(x: torch.Tensor) -> torch.Tensor:
        return (x * a).reshape(len(x), -1).sum(1, keepdim=True) + 3

    norm = a.square().sum().sqrt()
    for penalty, expected in ((ogp, (norm - 1).square()), (r1gp, norm.square())):
        found = penalty(p, critic(p), q, critic(q), critic)
        assert found.item() == pytest.approx(expected.item(), abs=1e-10)
        slope, wanted = (torch.autograd.grad(value, a, retain_graph=True)[0] for value in (found, expected))
        assert torch.allclose(slope, wanted, atol=1e-10)


@pytest.mark.parametrize("shape", SHAPES)
def test_penalties_of_a_quadratic_critic(shape: tuple[int, ...]) -> None:
    """C(x) = c |x|^2 / 2 has the gradient c x."""
    p, q, c = samples(shape, 0), samples(shape, 1), torch.tensor(0.7, dtype=torch.float64, requires_grad=True)

    def critic(x: torch.Tensor) -> torch.Tensor:
        return c * x.square().reshape(len(x), -1).sum(1) / 2

    expected = c.square() * p.square().reshape(len(p), -1).sum(1).mean()
    for real in (p, p.clone().requires_grad_()):
        found = r1gp(real, critic(real), q, critic(q), critic)
        assert found.item() == pytest.approx(expected.item(), rel=1e-12)
        slope, wanted = (torch.autograd.grad(value, c, retain_graph=True)[0] for value in (found, expected))
        assert slope.item() == pytest.approx(wanted.item(), rel=1e-12)
    torch.manual_seed(5)
    found = ogp(p, critic(p), q, critic(q), critic)
    torch.manual_seed(5)
    share = torch.rand(len(p), *[1] * (p.dim() - 1), dtype=torch.float64)
    norms = (q + share * (p - q)).reshape(len(p), -1).norm(dim=1)
    assert found.item() == pytest.approx((c * norms - 1).square().mean().item(), rel=1e-10)


def test_the_gradient_of_a_penalty_is_finite_for_a_constant_critic() -> None:
    a = torch.zeros(3, requires_grad=True)
    p, q = torch.randn(4, 3), torch.randn(4, 3)
    for penalty in (ogp, r1gp):
        found = penalty(p, p @ a, q, q @ a, lambda x: x @ a)
        (slope,) = torch.autograd.grad(found, a)
        assert slope.isfinite().all()


def test_a_penalty_is_differentiated_through_the_critic() -> None:
    """Compare the gradient of r1gp of a small network with finite differences."""
    p = samples((3, 2), 0)
    w, v = samples((4, 2), 1).requires_grad_(), samples((4,), 2).requires_grad_()

    def penalty(w: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        def critic(x: torch.Tensor) -> torch.Tensor:
            return (x @ w.T).tanh() @ v

        return r1gp(p, critic(p), p, critic(p), critic)

    assert torch.autograd.gradcheck(penalty, (w, v))


@pytest.mark.parametrize("loss_type", ["jsd", "w1"])
@pytest.mark.parametrize("reg_type", [None, "ogp", "r1gp"])
def test_losses_are_minus_the_metric_plus_the_penalty(loss_type: str, reg_type: str | None) -> None:
    p, q, a = samples((6, 3), 0), samples((6, 3), 1), samples((3,), 2)
    metric, critic_loss = make_losses(loss_type, reg_type, 0.3)

    def critic(x: torch.Tensor) -> torch.Tensor:
        return x @ a

    estimate = {"jsd": jsd, "w1": w1}[loss_type](p @ a, q @ a)
    penalty = {None: 0.0, "ogp": (a.norm() - 1) ** 2, "r1gp": a.norm() ** 2}[reg_type]
    assert metric(p, q, critic).item() == pytest.approx(estimate.item(), abs=1e-12)
    assert critic_loss(p, q, critic).item() == pytest.approx(float(-estimate + 0.3 * penalty), abs=1e-12)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("mmd",), "loss_type"),
        (("jsd", "gp"), "reg_type"),
        (("w1", "ogp", -1.0), "reg_cf"),
        (("w1", "ogp", math.nan), "reg_cf"),
        (("w1", None, math.inf), "reg_cf"),
    ],
)
def test_invalid_arguments_are_refused(arguments: tuple, word: str) -> None:
    with pytest.raises(ValueError, match=word):
        make_losses(*arguments)
    with pytest.raises(ValueError, match=word):
        make_train_step(arguments[0], 1, *arguments[1:])


def test_invalid_steps_and_averages_are_refused() -> None:
    with pytest.raises(ValueError, match="critic_inner_iters is 0"):
        make_train_step("jsd", 0)
    with pytest.raises(ValueError, match=r"alpha_ema is 1\.5"):
        make_train_step("jsd", alpha_ema=1.5)
    with pytest.raises(ValueError, match="alpha is -0.1"):
        apply_exponential_moving_average(nn.Linear(2, 2), nn.Linear(2, 2), -0.1)
    with pytest.raises(ValueError, match=r"their parameters: \['bias'\]"):
        apply_exponential_moving_average(nn.Linear(2, 3), nn.Linear(2, 3, bias=False))


def test_an_average_of_other_shapes_changes_nothing() -> None:
    source, target = (nn.Sequential(nn.Linear(2, 2), nn.Linear(2, size)) for size in (1, 3))
    before = copy.deepcopy(target.state_dict())
    with pytest.raises(ValueError, match=r"source has shape \(1, 2\), target has shape \(3, 2\); use equal 1.weight"):
        apply_exponential_moving_average(source, target)
    assert all(torch.equal(value, before[name]) for name, value in target.state_dict().items())


@pytest.mark.parametrize("generator_loss", ["hinge", None])
def test_an_unknown_loss_of_the_generator_is_refused(generator_loss: str | None) -> None:
    with pytest.raises(ValueError, match=f"generator_loss with jsd is {generator_loss!r}; known: metric, non_satu"):
        make_train_step("jsd", generator_loss=generator_loss)
    with pytest.raises(ValueError, match="generator_loss with w1 is 'non_saturating'; known: metric$"):
        make_train_step("w1", generator_loss="non_saturating")


@pytest.mark.parametrize(("ours", "courses"), [("jsd", "JSD"), ("w1", "W1")])
@pytest.mark.parametrize(("penalty", "courses_penalty"), [("ogp", "GP"), ("r1gp", "R1")])
def test_the_names_of_the_courses_code(ours: str, courses: str, penalty: str, courses_penalty: str) -> None:
    p, q, a = samples((6, 3), 0), samples((6, 3), 1), samples((3,), 2)
    found = []
    for arguments in ((ours, penalty, 0.3), (courses, courses_penalty, 0.3)):
        torch.manual_seed(0)
        found.append([loss(p, q, lambda x: (x @ a).square()).item() for loss in make_losses(*arguments)])
    assert found[0] == found[1]
    one, other = (make_train_step(loss, 1, None, generator_loss="metric") for loss in (ours, courses))
    assert trained(one) == trained(other)


def test_moving_average_by_its_definition() -> None:
    source, target = (nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)) for _ in range(2))
    source(torch.randn(10, 2))
    before = {name: value.clone() for name, value in target.named_parameters()}
    apply_exponential_moving_average(source, target, alpha=0.9)
    for name, value in target.named_parameters():
        assert torch.allclose(value, 0.9 * before[name] + 0.1 * source.get_parameter(name))
    for name, buffer in target.named_buffers():
        assert torch.equal(buffer, source.get_buffer(name))


class PointGenerator(nn.Module):
    """A generator of one learned point, which counts its calls."""

    def __init__(self) -> None:
        super().__init__()
        self.theta, self.calls = nn.Parameter(torch.tensor([1.0])), 0

    def forward(self, count: int) -> torch.Tensor:
        self.calls += 1
        return self.theta.expand(count, 1)


def trained(step: Callable) -> tuple[float, float]:
    """Return the weight of a linear critic, and the generated point, after three steps with data at 2."""
    critic, generator = nn.Linear(1, 1, bias=False), PointGenerator()
    critic.weight.data.fill_(0.5)
    optimizers = [torch.optim.SGD(player.parameters(), lr=0.1) for player in (critic, generator)]
    for _ in range(3):
        step((torch.full((4, 1), 2.0) for _ in count()), critic, optimizers[0], generator, None, optimizers[1])
    return critic.weight.item(), generator.theta.item()


@pytest.mark.parametrize("inner", [1, 3])
@pytest.mark.parametrize(
    ("loss_type", "generator_loss"), [("jsd", "metric"), ("jsd", "non_saturating"), ("w1", "metric")]
)
def test_a_step_updates_the_critic_and_then_the_generator(loss_type: str, generator_loss: str, inner: int) -> None:
    """Compare with a step by hand: C(x) = psi x, data at 2, generated at theta, gradient descent at rate 0.1."""
    critic, generator = nn.Linear(1, 1, bias=False), PointGenerator()
    critic.weight.data.fill_(0.5)
    judged = copy.deepcopy(generator)
    numbers = count()
    batches = (torch.full((4, 1), 2.0) for _ in numbers)
    optimizers = [torch.optim.SGD(player.parameters(), lr=0.1) for player in (critic, generator)]
    step = make_train_step(loss_type, inner, "r1gp", 0.05, alpha_ema=0.75, generator_loss=generator_loss)
    found = step(batches, critic, optimizers[0], generator, judged, optimizers[1])
    psi, theta = 0.5, 1.0
    for _ in range(inner):
        real, fake = 1 / (1 + math.exp(2 * psi)), 1 / (1 + math.exp(-theta * psi))
        slope = 2.0 - theta if loss_type == "w1" else (2 * real - theta * fake) / 2
        psi -= 0.1 * (-slope + 0.05 * 2 * psi)
    generated = 1 / (1 + math.exp(-theta * psi))
    pull = {"w1metric": psi, "jsdmetric": psi * generated / 2, "jsdnon_saturating": psi * (1 - generated)}[
        loss_type + generator_loss
    ]
    assert critic.weight.item() == pytest.approx(psi, rel=1e-6)
    assert generator.theta.item() == pytest.approx(theta + 0.1 * pull, rel=1e-6)
    assert judged.theta.item() == pytest.approx(0.75 * theta + 0.25 * generator.theta.item(), rel=1e-6)
    assert generator.calls == inner + 1
    assert next(numbers) == inner, "each update of the critic takes the next batch"
    assert set(found) == {"metric", "critic_loss", "generator_loss"}
    assert not any(value.requires_grad for value in found.values())


def test_players_receive_no_gradients_from_each_other() -> None:
    critic, generator = nn.Linear(1, 1), PointGenerator()
    critic.bias.requires_grad_(False)
    seen: list[tuple[torch.Tensor | None, torch.Tensor | None]] = []

    class Watching(torch.optim.SGD):
        def step(self) -> None:
            seen.append(tuple(None if p.grad is None else p.grad.clone() for p in (critic.weight, generator.theta)))
            super().step()

    players = Watching([critic.weight], lr=0.1), Watching(generator.parameters(), lr=0.1)
    step = make_train_step("jsd", 2, "ogp", 1.0)
    step((torch.randn(4, 1) for _ in count()), critic, players[0], generator, None, players[1])
    (first, none), (second, still_none), (kept, received) = seen
    assert none is None
    assert still_none is None
    assert first is not None
    assert torch.equal(kept, second)
    assert received.any()
    assert critic.weight.requires_grad
    assert not critic.bias.requires_grad


@pytest.mark.parametrize("loss_type", ["jsd", "w1"])
def test_the_generator_descends_the_metric(loss_type: str) -> None:
    """The document's `make_losses` returns the metric as the loss for the generator."""
    critic, generator = nn.Sequential(nn.Linear(1, 4), nn.Tanh(), nn.Linear(4, 1)), PointGenerator()
    p = torch.full((4, 1), 2.0)
    players = torch.optim.SGD(critic.parameters(), lr=0.0), torch.optim.SGD(generator.parameters(), lr=0.1)
    metric, _ = make_losses(loss_type)
    (wanted,) = torch.autograd.grad(metric(p, generator(4), critic), generator.theta)
    make_train_step(loss_type)((p for _ in count()), critic, players[0], generator, None, players[1])
    assert generator.theta.grad.item() == pytest.approx(wanted.item(), rel=1e-6)
    assert wanted.item() != 0


def test_an_interrupted_generator_leaves_the_critic_trainable() -> None:
    critic, generator = nn.Linear(1, 1), PointGenerator()
    players = torch.optim.SGD(critic.parameters(), lr=0.1), torch.optim.SGD(generator.parameters(), lr=0.1)
    step, whole = make_train_step("jsd"), generator.forward

    def interrupted(count: int) -> torch.Tensor:
        if torch.is_grad_enabled():  # the generator's half of the step
            raise KeyboardInterrupt
        return whole(count)

    generator.forward = interrupted
    with pytest.raises(KeyboardInterrupt):
        step((torch.randn(4, 1) for _ in count()), critic, players[0], generator, None, players[1])
    generator.forward = whole
    before = critic.weight.item()
    assert all(parameter.requires_grad for parameter in critic.parameters())
    step((torch.randn(4, 1) for _ in count()), critic, players[0], generator, None, players[1])
    assert critic.weight.item() != before


def test_a_generator_that_returns_its_parameter_receives_nothing_from_the_critics_update() -> None:
    critic, generator = nn.Linear(1, 1), nn.Module()
    generator.register_parameter("theta", nn.Parameter(torch.ones(4, 1)))
    generator.forward = lambda count: generator.theta
    seen = []

    class Watching(torch.optim.SGD):
        def step(self) -> None:
            seen.append(generator.theta.grad)
            super().step()

    players = Watching(critic.parameters(), lr=0.1), torch.optim.SGD(generator.parameters(), lr=0.1)
    make_train_step("w1", 2)((torch.randn(4, 1) for _ in count()), critic, players[0], generator, None, players[1])
    assert seen == [None, None]
    assert torch.allclose(generator.theta.grad, -critic.weight.detach().expand(4, 1) / 4)
