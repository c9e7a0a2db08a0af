"""The durations and speeds in the journal, from a clock that the tests set."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from test_training import run
from triptych.core.tracker import Tracker
from triptych.settings.params import Settings
from triptych.stages import evaluate
from triptych.training.resume import ResumableRun


class Notes(Tracker):
    """A tracker that keeps the noted facts."""

    def __init__(self) -> None:
        self.facts: dict[str, str | float | int] = {}

    def note(self, **facts: str | float | int) -> None:
        self.facts |= facts


def test_the_seconds_of_a_continued_run_include_those_of_earlier_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    run = ResumableRun(
        "it", None, Tracker(), unit="epoch", total=9, interval=1.0, earlier_seconds=5.0, began=100.0, saved=100.0
    )
    monkeypatch.setattr(time, "monotonic", lambda: 103.0)
    assert run.seconds() == 8.0


def test_the_speed_of_a_training_is_that_of_all_its_updates(
    tiny: Settings, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three epochs of six updates with 50 images each, in nine seconds."""
    notes = Notes()
    monkeypatch.setattr(ResumableRun, "seconds", lambda self: 9.0)
    run(tiny, "gan-mnist", prepared, tmp_path, notes)
    found = {key: notes.facts[key] for key in ("train_seconds", "seconds_per_update", "images_per_second")}
    assert found == {"train_seconds": 9.0, "seconds_per_update": 0.5, "images_per_second": 100.0}


def test_the_seconds_per_sample_are_those_of_sampling(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock stands still except while the family samples 40 images, which takes ten seconds."""
    notes, clock = Notes(), [100.0]

    def sample(latents: torch.Tensor) -> torch.Tensor:
        clock[0] += 10.0
        return torch.zeros(len(latents), 2, 2)

    family = SimpleNamespace(draw_latents=lambda count, source: torch.zeros(count, 3), sample=sample)
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    images = evaluate._samples("it", family, SimpleNamespace(seed=0), SimpleNamespace(samples=40), notes)
    assert images.shape == (40, 2, 2)
    assert notes.facts == {"seconds_per_sample": 0.25}
