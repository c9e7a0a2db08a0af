"""The numbers of planar flows, M3.7 and M3.9, per configuration."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from triptych.objectives.likelihoods import standard_error
from triptych.objectives.planar import loss1, loss2
from triptych.studies.base import StudyEvaluation
from triptych.studies.planar.densities import BOX, DENSITIES, STEP, grid
from triptych.studies.planar.planar_flow import PlanarFlow
from triptych.studies.planar.settings import Settings
from triptych.studies.planar.training import configurations, data_set, load_flows
from triptych.training.reproducible import generator

INVERTED = 2000  # samples for the error of the inverse
CHUNK = 10_000  # points at a time
OF_SAMPLES = {
    "held_out.negative_log_likelihood": "mean of -log q in nats over fresh samples of the density, with its standard "
    "error; q is the density that the flow has learned",
    "training.negative_log_likelihood": "the same mean over the data set that the flow was fitted to",
    "entropy": "entropy of the density in nats, by quadrature: the lower bound of the expected negative log-likelihood",
    "above_entropy": "held-out negative log-likelihood minus the entropy, in nats",
    "kl": "KL(p || q) in nats: mean of log p - log q over the same fresh samples; it estimates the difference above "
    "with less noise",
    "integral": f"integral of q over |z1| < {BOX[0]:g}, |z2| < {BOX[1]:g}, on a grid of step {STEP:g}: 1 minus the "
    "mass outside",
    "inverse_error": "largest |x - inverse(forward(x))| over some fresh samples, in float64",
}
OF_DENSITY = {
    "loss": "mean of log q + u in nats over fresh samples of the flow, with its standard error; u is the energy",
    "kl": "KL(q || p) in nats, with its standard error: the loss plus the log normaliser, by quadrature",
    "log_normaliser": "log of the integral of exp(-u), by quadrature",
    "share_on_left_arc": "share of these samples with z1 < 0; half of the density lies there",
}


def measure(evaluation: StudyEvaluation) -> dict[str, object]:
    """Return the numbers of each configuration in nats: likelihoods and entropy, or divergence from the density."""
    settings, flows = evaluation.settings, load_flows(evaluation)
    fitted_to_samples = settings.fitted_to == "samples"
    measure_flow = _of_samples if fitted_to_samples else _of_density
    numbers = {
        name: measure_flow(flows[name], density, settings) for name, (density, _) in configurations(settings).items()
    }
    return {
        **numbers,
        "headline": "held_out.negative_log_likelihood" if fitted_to_samples else "kl",
        "headline_is": "negative log-likelihood, nats" if fitted_to_samples else "KL to the density, nats",
        "numbers_are": OF_SAMPLES if fitted_to_samples else OF_DENSITY,
    }


def headline_numbers(flows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return the KL divergence in nats, averaged over the flows."""
    return {"kl": sum(flow["kl"] for flow in flows) / len(flows)}


@torch.no_grad()
def _of_samples(flow: PlanarFlow, name: str, settings: Settings) -> dict[str, object]:
    density = DENSITIES[name]
    held_out = density.sample(settings.evaluation_samples, generator(settings.seed, "held-out samples", name))
    entropy, losses = density.entropy(), _negative_log_likelihood(flow, held_out)
    found = held_out[:INVERTED]
    back, _ = flow.inverse(flow(found)[0])
    return {
        "held_out": _mean("negative_log_likelihood", losses),
        "training": _mean("negative_log_likelihood", _negative_log_likelihood(flow, data_set(settings, name).double())),
        "entropy": entropy,
        "above_entropy": float(losses.mean()) - entropy,
        **_mean("kl", losses - density.energy(held_out) - density.log_normaliser()),
        "integral": math.exp(float((-_negative_log_likelihood(flow, grid())).logsumexp(0))) * STEP**2,
        "inverse_error": {"value": float((back - found).abs().max()), "samples": len(found)},
    }


@torch.no_grad()
def _of_density(flow: PlanarFlow, name: str, settings: Settings) -> dict[str, object]:
    density = DENSITIES[name]
    source = generator(settings.seed, "fresh base points", name)
    z0 = torch.randn(settings.evaluation_samples, 2, generator=source, dtype=torch.float64)
    z, log_det = flow(z0)
    losses, log_normaliser = loss2(density.energy(z)[:, None], z0[:, None], log_det[:, None]), density.log_normaliser()
    loss = _mean("loss", losses)
    numbers = {
        **loss,
        "kl": float(losses.mean()) + log_normaliser,
        "kl_standard_error": loss["loss_standard_error"],
        "log_normaliser": log_normaliser,
    }
    if name == "arcs":
        numbers["share_on_left_arc"] = float((z[:, 0] < 0).double().mean())
    return numbers


def _negative_log_likelihood(flow: PlanarFlow, points: Tensor) -> Tensor:
    """Return -log q (n,) in nats of points (n, 2)."""
    mapped = map(flow, points.split(CHUNK))
    return torch.cat([loss1(x[:, None], log_det[:, None]) for x, log_det in mapped])


def _mean(name: str, values: Tensor) -> dict[str, float | int]:
    return {
        name: float(values.mean()),
        f"{name}_standard_error": standard_error(values),
        "samples": len(values),
    }
