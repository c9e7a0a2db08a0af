"""The losses of Wasserstein and Jensen-Shannon GANs, their gradient penalties, and one step of alternating training.

p and q are batches of real and generated samples, (n, ...) of any shape from one scalar an example to images; cp and cq
are the critic's outputs for them, (n,) or (n, 1), logits for the Jensen-Shannon divergence, positive for real.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from triptych.training.distributed import draw_shard

Critic = Callable[[Tensor], Tensor]
Loss = Callable[[Tensor, Tensor, Critic], Tensor]
Terms = Callable[[Tensor, Tensor, Critic], tuple[Tensor, Tensor]]


def jsd(cp: Tensor, cq: Tensor) -> Tensor:
    """(E log s(cp) + E log s(-cq) + log 4) / 2, in nats; s is the logistic function.

    A lower bound of the Jensen-Shannon divergence, tight at the best critic log p - log q (Goodfellow et al. 2014,
    section 4.1); at most log 2.
    """
    return (math.log(4) - softplus(-cp).mean() - softplus(cq).mean()) / 2


def w1(cp: Tensor, cq: Tensor) -> Tensor:
    """E cp - E cq: a lower bound of the Wasserstein distance where the critic is 1-Lipschitz (Arjovsky et al. 2017)."""
    return cp.mean() - cq.mean()


def ogp(p: Tensor, cp: Tensor, q: Tensor, cq: Tensor, critic: Critic) -> Tensor:
    """E (|grad C(x)| - 1)^2 at random points between p and q: one-centred (Gulrajani et al. 2017, equation 3).

    One uniform draw an example places x on the line between its real and its generated sample. cp and cq are not used.
    Raises ValueError if p and q differ in shape.
    """
    if p.shape != q.shape:
        raise ValueError(f"ogp pairs real with generated samples, but their shapes are {(*p.shape,)} and {(*q.shape,)}")
    share = draw_shard(torch.rand, len(p), *[1] * (p.dim() - 1), dtype=p.dtype, device=p.device)
    between = torch.lerp(q.detach(), p.detach(), share).requires_grad_()
    return (_gradient(critic(between), between).norm(dim=1) - 1).square().mean()


def r1gp(p: Tensor, cp: Tensor, q: Tensor, cq: Tensor, critic: Critic) -> Tensor:
    """E |grad C(p)|^2 at the real samples: zero-centred (Mescheder et al. 2018, equation 9, without the half).

    Differentiates cp where p requires a gradient, which saves a pass of the critic, and otherwise asks the critic anew.
    q and cq are not used.
    """
    if not p.requires_grad:
        p = p.detach().requires_grad_()
        cp = critic(p)
    return _gradient(cp, p).square().sum(1).mean()


def _gradient(outputs: Tensor, x: Tensor) -> Tensor:
    """The gradient of each example's output at that example, flattened, (n, d), differentiable in turn."""
    (gradient,) = torch.autograd.grad(outputs.sum(), x, create_graph=True)
    return gradient.reshape(len(x), -1)


METRICS = {"jsd": jsd, "w1": w1}
PENALTIES = {"ogp": ogp, "r1gp": r1gp}


def make_losses(loss_type: str, reg_type: str | None = None, reg_cf: float = 1.0) -> tuple[Loss, Loss]:
    """`metric(p, q, critic)`, what the critic estimates, and `critic_loss(p, q, critic)`, what the critic minimises.

    The critic's loss is minus the metric, plus `reg_cf` times the penalty. `loss_type` is jsd or w1, `reg_type` ogp,
    r1gp or None. The metric of jsd is the estimate of the divergence, and what is reported; its generator does not
    descend it but the non-saturating loss (see `generator_loss`). Raises ValueError for other names, and for a
    coefficient that is negative or not finite.
    """
    terms = critic_terms(loss_type, reg_type, reg_cf)
    distance = METRICS[loss_type]

    def metric(p: Tensor, q: Tensor, critic: Critic) -> Tensor:
        return distance(critic(p), critic(q))

    def critic_loss(p: Tensor, q: Tensor, critic: Critic) -> Tensor:
        loss, _ = terms(p, q, critic)
        return loss

    return metric, critic_loss


def critic_terms(loss_type: str, reg_type: str | None, reg_cf: float) -> Terms:
    """`terms(p, q, critic)`: the critic's loss and, detached, the metric in it, from one look of the critic at each.

    Raises ValueError as `make_losses` does.
    """
    if loss_type not in METRICS:
        raise ValueError(f"loss_type is {loss_type!r}; known: {', '.join(METRICS)}")
    if reg_type is not None and reg_type not in PENALTIES:
        raise ValueError(f"reg_type is {reg_type!r}; known: {', '.join(PENALTIES)}, or None")
    if not (math.isfinite(reg_cf) and reg_cf >= 0):
        raise ValueError(f"reg_cf is {reg_cf}: a penalty's coefficient is finite and not negative")
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
    """-E log s(cq), in nats (Goodfellow et al. 2014, section 3)."""
    return softplus(-cq).mean()


def lowest_mean(cq: Tensor) -> Tensor:
    """-E cq: what of W1 depends on the generator."""
    return -cq.mean()


def generator_loss(loss_type: str) -> Callable[[Tensor], Tensor]:
    """What the generator minimises, from cq: the non-saturating loss for jsd, the metric itself for w1."""
    return {"jsd": non_saturating, "w1": lowest_mean}[loss_type]


@torch.no_grad()
def apply_exponential_moving_average(source: nn.Module, target: nn.Module, alpha: float = 0.998) -> None:
    """target <- alpha target + (1 - alpha) source, for every parameter; buffers are copied.

    Buffers, such as the running statistics of batch normalisation, are averages already. Raises ValueError if alpha is
    not in [0, 1] or if the two differ in their parameters.
    """
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha is {alpha}: the share that stays lies between 0 and 1")
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
    """`train_step(train_data_iter, critic, critic_optim, generator, test_generator, generator_optim)`.

    A step updates the critic `critic_inner_iters` times, each on the iterator's next batch and on as many fresh
    samples, and then the generator once. `generator(n)` gives n samples. With `alpha_ema` the test generator, used for
    judging alone, follows by `apply_exponential_moving_average`; without, it is left as it is. Neither player receives
    gradients from the other's update.

    The step returns detached scalars: `metric` and `critic_loss` as the critic's last update found them, and
    `generator_loss`. Raises ValueError for what `make_losses` refuses, for fewer than one critic update and for an
    alpha outside [0, 1].
    """
    terms = critic_terms(loss_type, reg_type, reg_cf)
    if critic_inner_iters < 1:
        raise ValueError(f"critic_inner_iters is {critic_inner_iters}: the critic needs at least one update a step")
    if alpha_ema is not None and not 0 <= alpha_ema <= 1:
        raise ValueError(f"alpha_ema is {alpha_ema}: the share that stays lies between 0 and 1")
    follow = None if alpha_ema is None else partial(apply_exponential_moving_average, alpha=alpha_ema)
    forger_loss = generator_loss(loss_type)

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
            loss, metric = terms(p, q, critic)
            critic_optim.zero_grad()
            loss.backward()
            critic_optim.step()
        learned = [parameter for parameter in critic.parameters() if parameter.requires_grad]
        for parameter in learned:
            parameter.requires_grad_(False)
        forged = forger_loss(critic(generator(len(p))))
        generator_optim.zero_grad()
        forged.backward()
        generator_optim.step()
        for parameter in learned:
            parameter.requires_grad_(True)
        if follow and test_generator is not None:
            follow(generator, test_generator)
        return {"metric": metric, "critic_loss": loss.detach(), "generator_loss": forged.detach()}

    return train_step
