"""Planar flows of several depths, fitted side by side to the densities of the plane or to samples of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from triptych.data.densities import DENSITIES
from triptych.models.planar.chains import planar_chains
from triptych.models.planar.flow import PARTS, PlanarFlow, load_planar_flow
from triptych.objectives.planar import invertible, loss1, loss2
from triptych.studies.base import Study
from triptych.training.reproducible import generator
from triptych.training.rmsprop import RMSprop

if TYPE_CHECKING:
    from torch import Tensor

    from triptych.studies.base import StudyEvaluation
    from triptych.studies.planar.settings import Settings

SHAPES = {"u": 2, "w": 2, "b": 1}


def configurations(settings: Settings) -> dict[str, tuple[str, int]]:
    """Density and number of layers of each configuration by its name, such as `arcs-k8`."""
    return {f"{density}-k{k}": (density, k) for density in settings.densities for k in settings.layers}


def data_set(settings: Settings, density: str) -> Tensor:
    """The samples that flows are fitted to, (n, 2), float32."""
    return DENSITIES[density].sample(settings.samples, generator(settings.seed, "samples", density)).float()


class PlanarStudy(Study):
    """All configurations, as chains filled up to the greatest number of layers.

    Every configuration has initial weights of its own; all see the same random numbers on the way, base points or
    places in the data set. So each is trained as it would be alone.
    """

    def __init__(self, settings: Settings, iterations: int) -> None:
        self.settings, self.iterations = settings, iterations
        kinds = configurations(settings)
        self.configurations = list(kinds)
        deepest = max(settings.layers)
        self.used = torch.zeros(len(kinds), deepest, 1)
        self.parameters = [torch.ones(len(kinds), deepest, size) for size in SHAPES.values()]
        for index, (name, (_, k)) in enumerate(kinds.items()):
            self.used[index, :k] = 1
            source = generator(settings.seed, "initial weights", name)
            for (part, size), parameter in zip(SHAPES.items(), self.parameters, strict=True):
                scale = getattr(settings.initial_scales, part)
                parameter[index, :k] = scale * torch.randn(k, size, generator=source)
        for parameter in self.parameters:
            parameter.requires_grad_()
        self.optimizer = RMSprop(self.parameters, settings.smoothing)

    def layers(self) -> tuple[Tensor, Tensor, Tensor]:
        """u, w (c, k, 2) and b (c, k, 1) as the flows use them: invertible, and u zero beyond a flow's own depth."""
        u, w, b = self.parameters
        return invertible(u, w) * self.used, w, b

    def by_density(self, values: Tensor) -> Tensor:
        """(densities, ...) to (c, ...)."""
        return values.repeat_interleave(len(self.settings.layers), dim=0)

    def update(self, losses: Tensor) -> None:
        """One step of every configuration on its own loss (c,)."""
        self.optimizer.step(torch.autograd.grad(losses.sum(), self.parameters), self.settings.learning_rate)

    def state(self) -> dict[str, Tensor]:
        weights = {f"weights/{part}": tensor.detach() for part, tensor in zip(PARTS, self.parameters, strict=True)}
        return weights | self.optimizer.state()

    @torch.no_grad()
    def weights(self) -> dict[str, Tensor]:
        """The layers as they are used, `<configuration>/u` and so on."""
        layers, kinds = self.layers(), configurations(self.settings).items()
        return {
            f"{name}/{part}": tensor[index, :k]
            for index, (name, (_, k)) in enumerate(kinds)
            for part, tensor in zip(PARTS, layers, strict=True)
        }


class SamplesStudy(PlanarStudy):
    """Flows from data to base, fitted to samples by maximum likelihood."""

    def __init__(self, settings: Settings, iterations: int) -> None:
        super().__init__(settings, iterations)
        self.data = torch.stack([data_set(settings, density) for density in settings.densities])

    def advance(self, iterations: range) -> dict[str, Tensor]:
        source, shape = generator(self.settings.seed, "batches", iterations.start), self.settings.batch_size
        places = torch.randint(self.settings.samples, (len(iterations), shape), generator=source)
        losses = []
        for batch in places:
            x, log_det = planar_chains(self.by_density(self.data[:, batch]), *self.layers())
            losses.append(loss1(x, log_det))
            self.update(losses[-1])
        return {"negative_log_likelihood": torch.stack(losses).detach()}


class DensityStudy(PlanarStudy):
    """Flows from base to data, fitted to an unnormalised density by minimising KL(q || p).

    The annealed loss is what trains; the history shows the divergence to the density itself.
    """

    def __init__(self, settings: Settings, iterations: int) -> None:
        super().__init__(settings, iterations)
        self.energies = [DENSITIES[density].energy for density in settings.densities]
        constants = torch.tensor([DENSITIES[density].log_normaliser() for density in settings.densities])
        self.log_normalisers = self.by_density(constants)

    def factor(self, iteration: int) -> float:
        """What the energy is multiplied by."""
        annealing = self.settings.annealing
        if annealing is None:
            return 1.0
        return min(1.0, annealing.start + iteration / (annealing.ramp * self.iterations))

    def energy(self, z: Tensor) -> Tensor:
        """Every flow's own energy at its points z (c, n, 2), (c, n)."""
        parts = z.split(len(self.settings.layers))
        return torch.cat([energy(part) for energy, part in zip(self.energies, parts, strict=True)])

    def advance(self, iterations: range) -> dict[str, Tensor]:
        source = generator(self.settings.seed, "base points", iterations.start)
        base = torch.randn(len(iterations), self.settings.batch_size, 2, generator=source)
        divergences = []
        for iteration, batch in zip(iterations, base, strict=True):
            z0 = batch.expand(len(self.configurations), -1, -1)
            z, log_det = planar_chains(z0, *self.layers())
            energy = self.energy(z)
            self.update(loss2(self.factor(iteration) * energy, z0, log_det))
            divergences.append(loss2(energy.detach(), z0, log_det.detach()) + self.log_normalisers)
        return {"kl": torch.stack(divergences)}


def build(settings: Settings, iterations: int) -> PlanarStudy:
    """The untrained study, to be trained for so many iterations."""
    return (SamplesStudy if settings.fitted_to == "samples" else DensityStudy)(settings, iterations)


def load_flows(evaluation: StudyEvaluation) -> dict[str, PlanarFlow]:
    """The trained flow of each configuration, in float64."""
    return {name: load_planar_flow(evaluation.weights, name).double() for name in configurations(evaluation.settings)}
