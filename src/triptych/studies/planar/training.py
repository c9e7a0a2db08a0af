"""Training of planar flows of several depths, fitted to the densities of the plane or to samples of them."""

from __future__ import annotations

import torch
from torch import Tensor

from triptych.objectives.planar import invertible, loss1, loss2
from triptych.studies.base import Study, StudyEvaluation
from triptych.studies.planar.batched_flows import PART_SIZES, BatchedFlows
from triptych.studies.planar.densities import DENSITIES
from triptych.studies.planar.planar_flow import PART_NAMES, PlanarFlow, load_planar_flow
from triptych.studies.planar.settings import Settings
from triptych.training.optimizers import RMSprop
from triptych.training.reproducible import generator


def configurations(settings: Settings) -> dict[str, tuple[str, int]]:
    """Return density and number of layers of each configuration by its name, such as `arcs-k8`."""
    return {f"{density}-k{k}": (density, k) for density in settings.densities for k in settings.layers}


def data_set(settings: Settings, density: str) -> Tensor:
    """Return the samples that flows are fitted to, (n, 2), float32."""
    return DENSITIES[density].sample(settings.samples, generator(settings.seed, "samples", density)).float()


class PlanarStudy(Study):
    """All configurations in one batch, in order of increasing depth.

    Each configuration has its own initial weights. All use the same random base points, or the same indices into their
    data sets. So each is trained as it would be alone.
    """

    def __init__(self, settings: Settings, iterations: int) -> None:
        self.settings, self.iterations = settings, iterations
        by_name = configurations(settings)
        self.configurations = sorted(by_name, key=lambda name: by_name[name][1])
        self.depths = [by_name[name][1] for name in self.configurations]
        self.flows = BatchedFlows(self.depths, settings.batch_size)
        self.layers = torch.zeros(len(self.depths), self.depths[-1], sum(PART_SIZES))
        for flow, (name, depth) in enumerate(zip(self.configurations, self.depths, strict=True)):
            source = generator(settings.seed, "initial weights", name)
            for part, values in self.parts().items():
                scale = getattr(settings.initial_scales, part)
                values[flow, :depth] = scale * torch.randn(depth, values.shape[-1], generator=source)
        self.optimizer = RMSprop([self.layers], settings.smoothing)

    def parts(self) -> dict[str, Tensor]:
        """Return u, before it is made invertible, and w (c, k, 2), and b (c, k, 1) of all layers, as views."""
        return dict(zip(PART_NAMES, self.layers.split(PART_SIZES, dim=2), strict=True))

    def by_density(self, values: Tensor) -> Tensor:
        """Repeat values (densities, ...) for each depth, (c, ...)."""
        return values.repeat(len(self.settings.layers), *[1] * (values.dim() - 1))

    def update(self, of_end: Tensor, of_log_det: Tensor) -> None:
        """Update all configurations, from the gradients of their losses by end points (c, n, 2) and log det (c, n)."""
        self.optimizer.step([self.flows.backward(of_end, of_log_det)], self.settings.learning_rate)

    def state(self) -> dict[str, Tensor]:
        return {"layers": self.layers} | self.optimizer.state()

    def weights(self) -> dict[str, Tensor]:
        """Return the layers as `<configuration>/u`, `/w` and `/b`, with u made invertible."""
        parts = self.parts()
        parts["u"] = invertible(parts["u"], parts["w"])
        return {
            f"{name}/{part}": values[flow, :depth].clone()
            for flow, (name, depth) in enumerate(zip(self.configurations, self.depths, strict=True))
            for part, values in parts.items()
        }


class SamplesStudy(PlanarStudy):
    """Flows from data to base, fitted to samples by maximum likelihood (`loss1`)."""

    def __init__(self, settings: Settings, iterations: int) -> None:
        super().__init__(settings, iterations)
        self.data = self.by_density(torch.stack([data_set(settings, density) for density in settings.densities]))

    def advance(self, iterations: range) -> dict[str, Tensor]:
        source, n = generator(self.settings.seed, "batches", iterations.start), self.settings.batch_size
        indices = torch.randint(self.settings.samples, (len(iterations), n), generator=source)
        losses, of_log_det = [], torch.full((len(self.configurations), n), -1 / n)
        for batch in indices:
            x, log_det = self.flows.forward(self.data.index_select(1, batch), self.layers)
            losses.append(loss1(x, log_det))
            self.update(x / n, of_log_det)  # the gradients of loss1
        return {"negative_log_likelihood": torch.stack(losses)}


class DensityStudy(PlanarStudy):
    """Flows from base to data, fitted to an unnormalised density by minimising KL(q || p) (`loss2`).

    Training minimises the annealed loss. The history shows the divergence from the density itself.
    """

    def __init__(self, settings: Settings, iterations: int) -> None:
        super().__init__(settings, iterations)
        self.energies = [DENSITIES[density].energy for density in settings.densities]
        constants = torch.tensor([DENSITIES[density].log_normaliser() for density in settings.densities])
        self.log_normalisers = self.by_density(constants)

    def factor(self, iteration: int) -> float:
        """Return the annealing factor of the energy at an iteration (Rezende and Mohamed 2015, equation 20)."""
        annealing = self.settings.annealing
        if annealing is None:
            return 1.0
        return min(1.0, annealing.start + iteration / (annealing.ramp * self.iterations))

    def energy(self, z: Tensor) -> Tensor:
        """Return the energy (c, n) of each flow's density at its points z (c, n, 2)."""
        found = [energy(z[index :: len(self.energies)]) for index, energy in enumerate(self.energies)]
        return torch.stack(found, dim=1).flatten(0, 1)

    def advance(self, iterations: range) -> dict[str, Tensor]:
        source = generator(self.settings.seed, "base points", iterations.start)
        base = torch.randn(len(iterations), self.settings.batch_size, 2, generator=source)
        divergences = []
        for iteration, batch in zip(iterations, base, strict=True):
            z0 = batch.expand(len(self.configurations), -1, -1)
            z, log_det = self.flows.forward(z0, self.layers)
            energy, factor = self.energy(z.requires_grad_()), self.factor(iteration)
            losses = loss2(factor * energy, z0, log_det.requires_grad_())
            self.update(*torch.autograd.grad(losses, [z, log_det], torch.ones_like(losses)))
            divergences.append((losses + (1 - factor) * energy.mean(-1)).detach() + self.log_normalisers)
        return {"kl": torch.stack(divergences)}


def build(settings: Settings, iterations: int) -> PlanarStudy:
    """Return the untrained study, to be trained for `iterations` iterations."""
    return (SamplesStudy if settings.fitted_to == "samples" else DensityStudy)(settings, iterations)


def load_flows(evaluation: StudyEvaluation) -> dict[str, PlanarFlow]:
    """Return the trained flow of each configuration, in float64."""
    return {name: load_planar_flow(evaluation.weights, name).double() for name in configurations(evaluation.settings)}
