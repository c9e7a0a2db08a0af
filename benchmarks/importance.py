"""Importance-sampled likelihoods, compared with a loop over images."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import torch

from data_sets import prepared
from harness import PROGRESS, Table
from plain_loops.importance import log_likelihoods
from plain_loops.vae import ACTIVATIONS, Vae
from triptych.evaluation.vae.importance import importance_sampling
from triptych.models.common.registry import build
from triptych.training.reproducible import deterministic
from worker_process import WorkerProcess

if TYPE_CHECKING:
    from pathlib import Path

    from harness import Context
    from triptych.data.prepared import PreparedData
    from triptych.settings.params import Settings

COLUMNS = ("Triptych", "loop over images", "times faster")
EXPERIMENTS, GOAL = ("vae-20d", "vae-100d"), 2.5
TRIPTYCH_IMAGES, PLAIN_IMAGES = 500, 150  # evaluated per round
ALL_IMAGES = 10_000  # in the test set


class TriptychEstimate:
    """Importance sampling by Triptych; a step is an image."""

    images_per_step = 1

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


class PlainEstimate:
    """Importance sampling image by image; a step is an image."""

    images_per_step = 1

    def __init__(self, settings: Settings, name: str, data: PreparedData) -> None:
        model = settings.experiment(name).model_at("full")
        self.model = Vae(model.hidden, model.latent, ACTIVATIONS[model.activation])
        self.flat, self.samples = torch.from_numpy(data.images("test")).float().flatten(1), draws(settings)

    def run(self, images: int) -> None:
        log_likelihoods(self.model, self.flat[:images], self.samples)


def draws(settings: Settings) -> int:
    """Return the importance samples per image in `full`."""
    return settings.profiles["full"].likelihood.importance_samples


def measure(context: Context) -> list[Table]:
    """Fill the table `importance`: seconds of the whole test set, extrapolated linearly from fewer images."""
    table, settings, threads = Table("importance"), context.settings, context.settings.runtime.threads
    for name in EXPERIMENTS:
        data = prepared(settings, settings.experiment(name).dataset, context.folder)
        row = f"{name}, {ALL_IMAGES:,} images, {draws(settings)} draws"
        with (
            WorkerProcess(threads, TriptychEstimate, settings, name, data, context.folder / "pieces") as triptych,
            WorkerProcess(threads, PlainEstimate, settings, name, data) as plain,
        ):
            for number in PROGRESS.rounds(f"importance: {name}", context.rounds):
                if number == 0:
                    triptych.seconds(TRIPTYCH_IMAGES)
                    plain.seconds(PLAIN_IMAGES)
                triptych_seconds, plain_seconds = (
                    ALL_IMAGES / images * side.seconds(images)
                    for side, images in ((triptych, TRIPTYCH_IMAGES), (plain, PLAIN_IMAGES))
                )
                table.compare(row, COLUMNS, triptych_seconds, plain_seconds)
        table.set_text(row, "goal", f"{GOAL:g}")
    return [table]
