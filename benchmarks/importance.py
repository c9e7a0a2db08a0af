"""Importance-sampled likelihoods against a loop over images."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import torch

from data import prepared
from harness import PROGRESS, Table, seconds
from reference.importance import log_likelihoods
from reference.vae import ACTIVATIONS, Vae
from triptych.evaluation.vae.importance import importance_sampling
from triptych.models.registry import build
from triptych.training.reproducible import deterministic

if TYPE_CHECKING:
    from bench import Bench

EXPERIMENTS, GOAL = ("vae-20d", "vae-100d"), 2.5
OURS, THEIRS, ALL = 500, 150, 10_000  # images timed in a round, and of the whole test set


def measure(bench: Bench) -> list[Table]:
    """One table, `importance`: seconds of the whole test set, scaled from fewer images; the time is linear in them."""
    table, samples = Table("importance"), bench.settings.profiles["full"].likelihood.importance_samples
    pieces = bench.folder / "pieces"
    for name in EXPERIMENTS:
        experiment = bench.settings.experiment(name)
        data, model = prepared(bench.settings, experiment.dataset, bench.folder), experiment.model_at("full")
        family = build(experiment.family, model, tuple(data.manifest["image_shape"]))
        plain = Vae(model.hidden, model.latent, ACTIVATIONS[model.activation])
        pixels = torch.from_numpy(data.images("test"))
        flat = pixels[:THEIRS].float().flatten(1)
        row = f"{name}, {ALL:,} images, {samples} draws"

        def ours(family: object = family, pixels: torch.Tensor = pixels, name: str = name) -> None:
            pieces.mkdir()
            importance_sampling(family, pixels[:OURS], samples=samples, seed=0, pieces=pieces, name=name)
            shutil.rmtree(pieces)

        for number in PROGRESS.rounds(f"importance: {name}", bench.rounds):
            with deterministic(bench.settings.runtime):
                if number == 0:
                    ours()
                our_seconds = ALL / OURS * seconds(ours)
            their_seconds = ALL / THEIRS * seconds(lambda given=(plain, flat): log_likelihoods(*given, samples))
            table.add(row, "Triptych", our_seconds, "s")
            table.add(row, "loop over images", their_seconds, "s")
            table.add(row, "times faster", their_seconds / our_seconds)
        table.say(row, "goal", f"{GOAL:g}")
    return [table]
