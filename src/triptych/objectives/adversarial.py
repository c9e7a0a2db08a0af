"""The losses of GANs, gradient penalties (R1 and one-centred), and an alternating training step.

p and q are batches of real and generated samples (n, ...), from one scalar per example to images. cp and cq are the
critic's outputs for them, (n,) or (n, 1). For the Jensen-Shannon divergence the outputs are logits, positive for real.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, softplus

from triptych.training.distributed import draw_shard

Critic = Callable[[Tensor], Tensor]
Loss = Callable[[Tensor, Tensor, Critic], Tensor]
Terms = Callable[[Tensor, Tensor, Critic], tuple[Tensor, Tensor]]


def discriminator_loss(real_logits: Tensor, fake_logits: Tensor, label_noise: float = 0.0) -> Tensor:
    """Return -E log D(x) - E log(1 - D(G(z))), a scalar in nats (Goodfellow et al. 2014, equation 1).

    The logits are (n,) or (n, 1), both of the same shape. `label_noise` is the probability that a label is flipped,
    which keeps the discriminator from certainty. The flips are drawn from torch's global generator. The generator's
    loss is `non_saturating`.

    >>> discriminator_loss(torch.zeros(8), torch.zeros(8))  # 2 log 2, for D = 1/2
    tensor(1.3863)
    """
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
    return (math.log(4) - softplus(-cp).mean() - softplus(cq).mean()) / 2


def w1(cp: Tensor, cq: Tensor) -> Tensor:
    """Return E cp - E cq, a scalar.

    For a 1-Lipschitz critic it is a lower bound of the Wasserstein distance (Arjovsky et al. 2017, equation 2).

    >>> w1(torch.tensor([3.0, 1.0]), torch.tensor([0.5]))
    tensor(1.5000)
    """
    return cp.mean() - cq.mean()


def ogp(p: Tensor, cp: Tensor, q: Tensor, cq: Tensor, critic: Critic) -> Tensor:
    """Return the one-centred penalty E (|grad C(x)| - 1)^2, a scalar (Gulrajani et al. 2017, equation 3).

    Each x is a uniform random point on the line between a real and a generated sample. cp and cq are not used. Raises
    ValueError if p and q differ in shape.

    >>> ogp(torch.ones(4, 1), None, torch.zeros(4, 1), None, critic=lambda x: 3 * x)  # (3 - 1)^2
    tensor(4.)
    """
    if p.shape != q.shape:
        raise ValueError(f"ogp pairs real with generated samples, but their shapes are {(*p.shape,)} and {(*q.shape,)}")
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
    (gradient,) = torch.autograd.grad(outputs.sum(), x, create_graph=True)
    return gradient.reshape(len(x), -1)


METRICS = {"jsd": jsd, "w1": w1}
PENALTIES = {"ogp": ogp, "r1gp": r1gp}


def make_losses(loss_type: str, reg_type: str | None = None, reg_cf: float = 1.0) -> tuple[Loss, Loss]:
    """Return the functions `metric(p, q, critic)` and `critic_loss(p, q, critic)`, both with scalar values.

    The metric is the critic's estimate of the distance between p and q. The critic's loss is minus the metric, plus
    `reg_cf` times the penalty. `loss_type` is jsd or w1, `reg_type` is ogp, r1gp or None. The generator's losses are
    `GENERATOR_LOSSES`: for jsd it is not the metric. Raises ValueError for other names, and if the coefficient is
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
    if loss_type not in METRICS:
        raise ValueError(f"loss_type is {loss_type!r}; known: {', '.join(METRICS)}")
    if reg_type is not None and reg_type not in PENALTIES:
        raise ValueError(f"reg_type is {reg_type!r}; known: {', '.join(PENALTIES)}, or None")
    if not (math.isfinite(reg_cf) and reg_cf >= 0):
        raise ValueError(f"reg_cf is {reg_cf}; use a finite number, 0 or more")
    distance, penalty = METRICS[loss_type], PENALTIES.get(reg_type)

    def terms(p: Tensor, q: Tensor, critic: Critic) -> tuple[Tensor, Tensor]:
        if penalty is r1gp:
            p = p.detach().requires_grad_()
        cp, cq = critic(p), critic(q)
        metric = distance(cp, cq)
        loss = -metric if penalty is None else -metric + reg_cf * penalty(p, cp, q, cq, critic)
        return loss, metric.detach()

    return terms


def non_saturating(cq: Tensor) -> Tensor:
    """Return the generator's loss -E log s(cq), a scalar in nats (Goodfellow et al. 2014, section 3).

    >>> non_saturating(torch.zeros(3))  # log 2
    tensor(0.6931)
    """
    return softplus(-cq).mean()


def lowest_mean(cq: Tensor) -> Tensor:
    """Return the generator's loss -E cq, a scalar: the part of w1 that depends on the generator.

    >>> lowest_mean(torch.tensor([3.0, 1.0]))
    tensor(-2.)
    """
    return -cq.mean()


GENERATOR_LOSSES = {"jsd": non_saturating, "w1": lowest_mean}


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
    if {name: value.shape for name, value in sources.items()} != {name: value.shape for name, value in targets.items()}:
        raise ValueError("source and target differ in the names or shapes of their parameters")
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
) -> Callable[..., dict[str, Tensor]]:
    """Return `train_step(train_data_iter, critic, critic_optim, generator, test_generator, generator_optim)`.

    A step updates the critic `critic_inner_iters` times, each time on the iterator's next batch and as many new
    samples, and then the generator once. `generator(n)` returns n samples. With `alpha_ema` the test generator, which
    is only evaluated, is updated by `apply_exponential_moving_average`. Neither player receives gradients from the
    update of the other.

    The step returns detached scalars: `metric` and `critic_loss` of the critic's last update, and `generator_loss`.
    Raises ValueError like `make_losses`, for fewer than one critic update, and for an alpha outside [0, 1].
    """
    terms = critic_terms(loss_type, reg_type, reg_cf)
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
                q = generator(len(p))
            critic_loss, metric = terms(p, q, critic)
            critic_optim.zero_grad()
            critic_loss.backward()
            critic_optim.step()
        trainable = [parameter for parameter in critic.parameters() if parameter.requires_grad]
        for parameter in trainable:
            parameter.requires_grad_(False)
        loss = GENERATOR_LOSSES[loss_type](critic(generator(len(p))))
        generator_optim.zero_grad()
        loss.backward()
        generator_optim.step()
        for parameter in trainable:
            parameter.requires_grad_(True)
        if alpha_ema is not None and test_generator is not None:
            apply_exponential_moving_average(generator, test_generator, alpha_ema)
        return {"metric": metric, "critic_loss": critic_loss.detach(), "generator_loss": loss.detach()}

    return train_step
