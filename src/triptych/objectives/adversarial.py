"""The losses of GANs, gradient penalties (R1 and one-centred), and an alternating training step.

p and q are batches of real and generated samples (n, ...), from one scalar per example to images. cp and cq are the
critic's outputs for them, (n,) or (n, 1). For the Jensen-Shannon divergence the outputs are logits, positive for real.
Every function raises ValueError, with the shapes, if the shapes of its arguments do not fit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, softplus

from triptych.objectives.shapes import require_shapes
from triptych.training.distributed import draw_shard

Critic = Callable[[Tensor], Tensor]
Loss = Callable[[Tensor, Tensor, Critic], Tensor]
Terms = Callable[[Tensor, Tensor, Critic], tuple[Tensor, Tensor]]


def discriminator_loss(real_logits: Tensor, fake_logits: Tensor, label_noise: float = 0.0) -> Tensor:
    """Return -E log D(x) - E log(1 - D(G(z))), a float32 scalar in nats (Goodfellow et al. 2014, equation 1).

    The logits are (n,) or (n, 1), both of the same shape. `label_noise` is the probability that a label is flipped,
    which keeps the discriminator from certainty. The flips are drawn from torch's global generator. The generator's
    loss is `non_saturating`.

    >>> discriminator_loss(torch.zeros(8), torch.zeros(8))  # 2 log 2, for D = 1/2
    tensor(1.3863)
    """
    fits = real_logits.shape == fake_logits.shape
    require_shapes(fits, "equal shapes", real_logits=real_logits, fake_logits=fake_logits)
    _require_outputs(real_logits=real_logits)
    logits = torch.cat([real_logits, fake_logits]).float()
    labels = torch.cat([torch.ones_like(real_logits), torch.zeros_like(fake_logits)]).float()
    if label_noise:
        labels = torch.where(torch.rand_like(labels) < label_noise, 1 - labels, labels)
    return 2 * binary_cross_entropy_with_logits(logits, labels)


def jsd(cp: Tensor, cq: Tensor) -> Tensor:
    """Return (E log s(cp) + E log s(-cq) + log 4) / 2, a scalar in nats, at most log 2; s is the logistic function.

    It is a lower bound of the Jensen-Shannon divergence, and equals it for the best critic, log p - log q (Goodfellow
    et al. 2014, section 4.1).

    >>> jsd(torch.zeros(3), torch.zeros(3)), jsd(torch.tensor([1e4]), torch.tensor([-1e4]))  # 0 and log 2
    (tensor(0.), tensor(0.6931))
    """
    _require_outputs(cp=cp, cq=cq)
    return (math.log(4) - softplus(-cp).mean() - softplus(cq).mean()) / 2


def w1(cp: Tensor, cq: Tensor) -> Tensor:
    """Return E cp - E cq, a scalar.

    For a 1-Lipschitz critic it is a lower bound of the Wasserstein distance (Arjovsky et al. 2017, equation 2).

    >>> w1(torch.tensor([3.0, 1.0]), torch.tensor([0.5]))
    tensor(1.5000)
    """
    _require_outputs(cp=cp, cq=cq)
    return cp.mean() - cq.mean()


def ogp(p: Tensor, cp: Tensor, q: Tensor, cq: Tensor, critic: Critic) -> Tensor:
    """Return the one-centred penalty E (|grad C(x)| - 1)^2, a scalar (Gulrajani et al. 2017, equation 3).

    Each x is a uniform random point on the line between a real and a generated sample. cp and cq are not used.

    >>> ogp(torch.ones(4, 1), None, torch.zeros(4, 1), None, critic=lambda x: 3 * x)  # (3 - 1)^2
    tensor(4.)
    """
    require_shapes(p.shape == q.shape, "equal shapes", p=p, q=q)
    share = draw_shard(torch.rand, len(p), *[1] * (p.dim() - 1), dtype=p.dtype, device=p.device)
    between = torch.lerp(q.detach(), p.detach(), share).requires_grad_()
    return (_gradient(critic(between), between).norm(dim=1) - 1).square().mean()


def r1gp(p: Tensor, cp: Tensor, q: Tensor, cq: Tensor, critic: Critic) -> Tensor:
    """Return the R1 penalty E |grad C(p)|^2 at the real samples, a scalar (Mescheder et al. 2018, equation 9).

    Unlike the paper, it has no factor 1/2. If p requires a gradient, cp is differentiated, which saves a pass of the
    critic. Otherwise the critic is called again. q and cq are not used.

    >>> r1gp(torch.ones(4, 1), None, None, None, critic=lambda x: 3 * x)  # 3^2
    tensor(9.)
    """
    if not p.requires_grad:
        p = p.detach().requires_grad_()
        cp = critic(p)
    return _gradient(cp, p).square().sum(1).mean()


def _gradient(outputs: Tensor, x: Tensor) -> Tensor:
    """Return the gradient of each example's output at that example, (n, d), which can be differentiated again."""
    require_shapes(_one_each(outputs, len(x)), "one output per example, (n,) or (n, 1)", outputs=outputs, x=x)
    (gradient,) = torch.autograd.grad(outputs.sum(), x, create_graph=True)
    return gradient.reshape(len(x), -1)


def _require_outputs(**outputs: Tensor) -> None:
    """Raise ValueError unless each is (n,) or (n, 1), for an n of its own."""
    fits = all(each.dim() and _one_each(each, len(each)) for each in outputs.values())
    require_shapes(fits, "one output per example, (n,) or (n, 1)", **outputs)


def _one_each(outputs: Tensor, examples: int) -> bool:
    return outputs.shape in ((examples,), (examples, 1))


def jsd_of_generated(cq: Tensor) -> Tensor:
    """Return E log s(-cq) / 2, a scalar in nats: the part of `jsd` that depends on the generator.

    >>> jsd_of_generated(torch.zeros(3))  # -log(2) / 2
    tensor(-0.3466)
    """
    _require_outputs(cq=cq)
    return -softplus(cq).mean() / 2


def w1_of_generated(cq: Tensor) -> Tensor:
    """Return -E cq, a scalar: the part of `w1` that depends on the generator.

    >>> w1_of_generated(torch.tensor([3.0, 1.0]))
    tensor(-2.)
    """
    _require_outputs(cq=cq)
    return -cq.mean()


def non_saturating(cq: Tensor) -> Tensor:
    """Return -E log s(cq), a scalar in nats: the usual loss of a GAN's generator (Goodfellow et al. 2014, section 3).

    Unlike `jsd_of_generated`, it has a large gradient where the critic rejects the samples.

    >>> non_saturating(torch.zeros(3))  # log 2
    tensor(0.6931)
    """
    _require_outputs(cq=cq)
    return softplus(-cq).mean()


METRICS = {"jsd": jsd, "w1": w1, "JSD": jsd, "W1": w1}
"""By Triptych's names and by those of the course's code; `PENALTIES` has both, too."""
PENALTIES = {None: None, "ogp": ogp, "r1gp": r1gp, "GP": ogp, "R1": r1gp}
GENERATOR_LOSSES = {
    jsd: {"metric": jsd_of_generated, "non_saturating": non_saturating},
    w1: {"metric": w1_of_generated},
}
"""By the critic's metric and by name."""


def make_losses(loss_type: str, reg_type: str | None = None, reg_cf: float = 1.0) -> tuple[Loss, Loss]:
    """Return the functions `metric(p, q, critic)` and `critic_loss(p, q, critic)`, both with scalar values.

    The metric is the critic's estimate of the distance between p and q, and the loss for the generator. The critic's
    loss is minus the metric, plus `reg_cf` times the penalty. `loss_type` is jsd or w1, `reg_type` is ogp, r1gp or
    None; the course's code calls them JSD, W1, GP and R1. Raises ValueError for other names, and if the coefficient is
    negative or not finite.

    >>> metric, critic_loss = make_losses("w1", "r1gp", reg_cf=0.5)
    >>> critic_loss(torch.ones(4, 1), torch.zeros(4, 1), lambda x: 3 * x).item()  # -3 + 0.5 * 3^2
    1.5
    """
    terms = critic_terms(loss_type, reg_type, reg_cf)

    def metric(p: Tensor, q: Tensor, critic: Critic) -> Tensor:
        return METRICS[loss_type](critic(p), critic(q))

    def critic_loss(p: Tensor, q: Tensor, critic: Critic) -> Tensor:
        return terms(p, q, critic)[0]

    return metric, critic_loss


def critic_terms(loss_type: str, reg_type: str | None, reg_cf: float) -> Terms:
    """Return the function `terms(p, q, critic)`: the critic's loss and the metric, detached, from one pass per batch.

    Raises ValueError like `make_losses`.
    """
    distance, penalty = _look_up("loss_type", loss_type, METRICS), _look_up("reg_type", reg_type, PENALTIES)
    if not (math.isfinite(reg_cf) and reg_cf >= 0):
        raise ValueError(f"reg_cf is {reg_cf}; use a finite number, 0 or more")

    def terms(p: Tensor, q: Tensor, critic: Critic) -> tuple[Tensor, Tensor]:
        if penalty is r1gp:
            p = p.detach().requires_grad_()
        cp, cq = critic(p), critic(q)
        metric = distance(cp, cq)
        loss = -metric if penalty is None else -metric + reg_cf * penalty(p, cp, q, cq, critic)
        return loss, metric.detach()

    return terms


def generator_loss_of(loss_type: str, generator_loss: str = "metric") -> Callable[[Tensor], Tensor]:
    """Return the generator's loss as a function of the critic's outputs `cq` for generated samples, with scalar values.

    `generator_loss` is metric, for the part of the metric that depends on the generator, or non_saturating, which
    belongs to jsd. Raises ValueError for other names.
    """
    losses = GENERATOR_LOSSES[_look_up("loss_type", loss_type, METRICS)]
    return _look_up(f"generator_loss with {loss_type}", generator_loss, losses)


def _look_up(key: str, name: str | None, known: Mapping[str | None, Any]) -> Any:  # noqa: ANN401 (functions)
    """Return the function of this name. Raises ValueError, with the argument `key` and the known names."""
    if name not in known:
        raise ValueError(f"{key} is {name!r}; known: {', '.join(map(str, known))}")
    return known[name]


@torch.no_grad()
def apply_exponential_moving_average(source: nn.Module, target: nn.Module, alpha: float = 0.998) -> None:
    """Set target <- alpha target + (1 - alpha) source for every parameter, and copy the buffers.

    Buffers, such as the running statistics of batch normalisation, are averages already. Raises ValueError if alpha is
    not in [0, 1], or if the modules differ in the names or shapes of their parameters.

    >>> target = nn.PReLU(init=0.0)
    >>> apply_exponential_moving_average(nn.PReLU(init=1.0), target, alpha=0.75)
    >>> target.weight.item()
    0.25
    """
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha is {alpha}; use a number between 0 and 1")
    sources, targets = dict(source.named_parameters()), dict(target.named_parameters())
    if sources.keys() != targets.keys():
        raise ValueError(f"source and target differ in their parameters: {sorted(sources.keys() ^ targets.keys())}")
    for name, value in targets.items():
        require_shapes(value.shape == sources[name].shape, f"equal {name}", source=sources[name], target=value)
    for name, value in targets.items():
        value.lerp_(sources[name], 1 - alpha)
    buffers = dict(source.named_buffers())
    for name, buffer in target.named_buffers():
        buffer.copy_(buffers[name])


def make_train_step(
    loss_type: str,
    critic_inner_iters: int = 1,
    reg_type: str | None = None,
    reg_cf: float = 1.0,
    alpha_ema: float | None = None,
    *,
    generator_loss: str = "metric",
) -> Callable[..., dict[str, Tensor]]:
    """Return `train_step(train_data_iter, critic, critic_optim, generator, test_generator, generator_optim)`.

    A step updates the critic `critic_inner_iters` times, each time on the iterator's next batch and as many new
    samples, and then the generator once, on the loss `generator_loss_of(loss_type, generator_loss)`. `generator(n)`
    returns n samples. With `alpha_ema` the test generator, which is only evaluated, is updated by
    `apply_exponential_moving_average`. Neither player receives gradients from the update of the other.

    The step returns detached scalars: `metric` and `critic_loss` of the critic's last update, and `generator_loss`.
    Raises ValueError like `make_losses` and `generator_loss_of`, for fewer than one critic update, and for an alpha
    outside [0, 1].
    """
    terms, loss_of = critic_terms(loss_type, reg_type, reg_cf), generator_loss_of(loss_type, generator_loss)
    if critic_inner_iters < 1:
        raise ValueError(f"critic_inner_iters is {critic_inner_iters}; use 1 or more")
    if alpha_ema is not None and not 0 <= alpha_ema <= 1:
        raise ValueError(f"alpha_ema is {alpha_ema}; use a number between 0 and 1")

    def train_step(  # noqa: PLR0917 (the documents' signature)
        train_data_iter: Iterator[Tensor],
        critic: nn.Module,
        critic_optim: torch.optim.Optimizer,
        generator: nn.Module,
        test_generator: nn.Module | None,
        generator_optim: torch.optim.Optimizer,
    ) -> dict[str, Tensor]:
        for _ in range(critic_inner_iters):
            p = next(train_data_iter)
            with torch.no_grad():
                q = generator(len(p)).detach()  # the generator may return a parameter of its own
            critic_loss, metric = terms(p, q, critic)
            critic_optim.zero_grad()
            critic_loss.backward()
            critic_optim.step()
        loss = loss_of(critic(generator(len(p))))
        generator_optim.zero_grad()
        trained = [parameter for group in generator_optim.param_groups for parameter in group["params"]]
        loss.backward(inputs=[parameter for parameter in trained if parameter.requires_grad])
        generator_optim.step()
        if alpha_ema is not None and test_generator is not None:
            apply_exponential_moving_average(generator, test_generator, alpha_ema)
        return {"metric": metric, "critic_loss": critic_loss.detach(), "generator_loss": loss.detach()}

    return train_step
