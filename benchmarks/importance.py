"""Importance-sampled likelihoods against a loop over images."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import torch

from apart import Apart
from data import prepared
from harness import PROGRESS, Table
from plain_loops.importance import log_likelihoods
from plain_loops.vae import ACTIVATIONS, Vae
from triptych.evaluation.vae.importance import importance_sampling
from triptych.models.common.registry import build
from triptych.training.reproducible import deterministic

if TYPE_CHECKING:
    from pathlib import Path

    from bench import Bench
    from triptych.data.prepared import PreparedData
    from triptych.settings.params import Settings

COLUMNS = ("Triptych", "loop over images", "times faster")
EXPERIMENTS, GOAL = ("vae-20d", "vae-100d"), 2.5
OURS, THEIRS, ALL = 500, 150, 10_000  # images timed in a round, and of the whole test set


class Ours:
    """The library's estimate; a step is an image."""

    images_a_step = 1

    def __init__(self, settings: Settings, name: str, data: PreparedData, pieces: Path) -> None:
        experiment = settings.experiment(name)
        self.family = build(experiment.family, experiment.model_at("full"), tuple(data.manifest["image_shape"]))
        self.pixels, self.runtime, self.pieces = torch.from_numpy(data.images("test")), settings.runtime, pieces
        self.samples = draws(settings)

    def run(self, images: int) -> None:
        self.pieces.mkdir()
        with deterministic(self.runtime):
            importance_sampling(
                self.family, self.pixels[:images], samples=self.samples, seed=0, pieces=self.pieces, name="importance"
            )
        shutil.rmtree(self.pieces)


class Theirs:
    """Image by image."""

    images_a_step = 1

    def __init__(self, settings: Settings, name: str, data: PreparedData) -> None:
        model = settings.experiment(name).model_at("full")
        self.model = Vae(model.hidden, model.latent, ACTIVATIONS[model.activation])
        self.flat, self.samples = torch.from_numpy(data.images("test")).float().flatten(1), draws(settings)

    def run(self, images: int) -> None:
        log_likelihoods(self.model, self.flat[:images], self.samples)


def draws(settings: Settings) -> int:
    """Importance samples an image under `full`."""
    return settings.profiles["full"].likelihood.importance_samples


def measure(bench: Bench) -> list[Table]:
    """One table, `importance`: seconds of the whole test set, scaled from fewer images; the time is linear in them."""
    table, settings, threads = Table("importance"), bench.settings, bench.settings.runtime.threads
    for name in EXPERIMENTS:
        data = prepared(settings, settings.experiment(name).dataset, bench.folder)
        row = f"{name}, {ALL:,} images, {draws(settings)} draws"
        with (
            Apart(threads, Ours, settings, name, data, bench.folder / "pieces") as ours,
            Apart(threads, Theirs, settings, name, data) as theirs,
        ):
            for number in PROGRESS.rounds(f"importance: {name}", bench.rounds):
                if number == 0:
                    ours.seconds(OURS)
                    theirs.seconds(THEIRS)
                our_seconds, their_seconds = (
                    ALL / images * side.seconds(images) for side, images in ((ours, OURS), (theirs, THEIRS))
                )
                table.compare(row, COLUMNS, our_seconds, their_seconds)
        table.say(row, "goal", f"{GOAL:g}")
    return [table]
