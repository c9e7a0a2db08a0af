"""Training of the Dirac games: every loss with every penalty, without and with averaging of the generator."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from triptych.studies.base import Study
from triptych.studies.dirac.game import Games
from triptych.studies.dirac.settings import Penalty, Settings
from triptych.training.reproducible import generator


@dataclass(frozen=True)
class Configuration:
    """One game, and whether the moving average of its generator is evaluated instead of the generator."""

    loss: str
    penalty: Penalty
    averaged: bool


def configurations(settings: Settings) -> dict[str, Configuration]:
    """Return all configurations by name, `<loss>-<number>`: all penalties, then again with averaged generators."""
    variants = [(penalty, averaged) for averaged in (False, True) for penalty in settings.penalties]
    return {
        f"{loss}-{number}": Configuration(loss, penalty, averaged)
        for loss in settings.losses
        for number, (penalty, averaged) in enumerate(variants, 1)
    }


def games(settings: Settings) -> Games:
    """Return the rules of all configurations' games, in their order."""
    rules = [
        (item.loss, None if item.penalty.reg_type == "none" else item.penalty.reg_type, item.penalty.reg_cf)
        for item in configurations(settings).values()
    ]
    return Games(rules, settings.learning_rate, settings.generator_loss)


class DiracStudy(Study):
    """All games, from the same start. The study keeps their whole trajectories."""

    def __init__(self, settings: Settings, iterations: int) -> None:
        self.settings, self.games = settings, games(settings)
        by_name = configurations(settings)
        self.configurations = list(by_name)
        averaged = torch.tensor([item.averaged for item in by_name.values()])
        self.decay = torch.where(averaged, settings.ema, 0.0).double()
        start = settings.start_scale * torch.randn(3, generator=generator(settings.seed, "start"), dtype=torch.float64)
        self.trajectories = torch.zeros(iterations + 1, 4, len(by_name), dtype=torch.float64)
        self.trajectories[0] = torch.cat([start, start[2:]])[:, None]

    def advance(self, iterations: range) -> dict[str, Tensor]:
        """Return `distance`, |(psi0, theta)| from the equilibrium, with the theta that is evaluated."""
        *players, evaluated = self.trajectories[iterations.start]
        for iteration in iterations:
            players = self.games.step(*players)
            evaluated = torch.lerp(players[2], evaluated, self.decay)
            torch.stack([*players, evaluated], out=self.trajectories[iteration + 1])
        passed = self.trajectories[iterations.start + 1 : iterations.stop + 1]
        return {"distance": torch.hypot(passed[:, 0], passed[:, 3])}

    def state(self) -> dict[str, Tensor]:
        return {"trajectories": self.trajectories}

    def weights(self) -> dict[str, Tensor]:
        """Return `<configuration>/trajectory`, (iterations + 1, 4): psi0, psi1, theta, and the evaluated theta."""
        return {
            f"{name}/trajectory": self.trajectories[:, :, index].contiguous()
            for index, name in enumerate(self.configurations)
        }


build = DiracStudy
