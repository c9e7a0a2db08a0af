"""A family from outside the package: one registry entry is enough to train, evaluate, report and verify it.

This module is the family: a Gaussian per pixel. It holds all that a registry entry refers to.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from test_stages import project_with, run_evaluate, run_references, run_report
from triptych.core.errors import TriptychError
from triptych.core.headline import Headline
from triptych.core.json_files import read_json, write_json
from triptych.core.tracker import Console
from triptych.evaluation.presentation import Chart, Presentation, training_and_validation
from triptych.evaluation.uint8_images import to_uint8
from triptych.figures.image_grids import image_grids
from triptych.figures.style import save_grey
from triptych.inference.sampling import write_samples
from triptych.models.common.registry import FAMILIES, FamilyEntry
from triptych.models.common.settings import FamilySettings
from triptych.records.headlines import headline_of, title_of
from triptych.records.mlflow.descriptions import experiment_note
from triptych.reports.closing_table import closing_table
from triptych.reports.page.build import build_page
from triptych.repository.project import Project
from triptych.settings.experiment import Experiment
from triptych.settings.params import Settings
from triptych.stages.train import train
from triptych.training.family import Family, Update
from triptych.verify.baseline import baseline_file
from triptych.verify.check_baseline import check_baseline
from triptych.verify.finding import Verdict

if TYPE_CHECKING:
    from triptych.evaluation.context import Evaluation
    from triptych.training.images import HeldOutImages

SAMPLES_ARE = "draws of independent Gaussian pixels, clipped to [0, 1]"
NOT_DEFINED = {"elbo": "the likelihood is exact", "bits_per_dimension": "the pixels are continuous"}


class Model(FamilySettings):
    """The `model:` section of an experiment with `family: toy`."""

    deviation: float


class Pixels(nn.Module):
    """The mean of each pixel."""

    def __init__(self, image_shape: tuple[int, ...]) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.full(image_shape, 0.5))


class Gaussian(Family):
    """Minimises the negative log-likelihood in nats per image, with a fixed standard deviation."""

    can_be_graphed = True

    def __init__(self, model: Model, image_shape: tuple[int, ...]) -> None:
        self.networks, self.deviation = Pixels(image_shape), model.deviation
        self.latent = math.prod(image_shape)

    def negative_log_likelihood(self, pixels: Tensor) -> Tensor:
        z = (pixels.float() / 255 - self.networks.mean) / self.deviation
        return (z.square() / 2 + math.log(self.deviation * math.sqrt(2 * math.pi))).flatten(1).sum(1)

    def step(self, pixels: Tensor, update: Update) -> dict[str, Tensor]:
        loss = self.negative_log_likelihood(pixels).mean()
        update("model", loss)
        return {"surprise": loss.detach()}

    def validate(self, images: HeldOutImages) -> dict[str, float]:
        return {"surprise": float(self.negative_log_likelihood(images.pixels).mean())}

    def decode(self, latents: Tensor) -> Tensor:
        mean = self.networks.mean
        return (mean + self.deviation * latents.view(-1, *mean.shape)).clamp(0, 1).detach()


def build(model: Model, image_shape: tuple[int, ...]) -> Gaussian:
    return Gaussian(model, image_shape)


@torch.no_grad()
def measure(evaluation: Evaluation) -> dict[str, object]:
    found = {split: evaluation.family.validate(images)["surprise"] for split, images in evaluation.splits.items()}
    return {
        **{split: {"log_likelihood": -surprise} for split, surprise in found.items()},
        "likelihood_is": "the exact density of the intensities",
    }


def draw_pictures(evaluation: Evaluation) -> None:
    PRESENTATION.charts["T1-surprise"].draw(evaluation, "T1-surprise", "T1  Surprise")
    panels = [("samples", to_uint8(evaluation.samples()[evaluation.last], "samples").numpy())]
    save_grey(image_grids(panels, 5, "T2  Samples"), evaluation.folder / "T2-samples.png")


def findings(experiments: Mapping[str, Any], metrics: Mapping[str, Any]) -> Iterator[str]:
    for name in experiments:
        yield f"The surprise of {name} is {-metrics[name]['test']['log_likelihood']:.1f} nats."


PRESENTATION = Presentation(
    captions={"T1-surprise": "A caption of the toy family."},
    charts={"T1-surprise": Chart("surprise (nats per image)", training_and_validation("surprise", 1))},
    notes=lambda metrics: [f"A note on {metrics['parameters']} parameters."],
    question="How surprising are the images?",
    findings=findings,
)
ENTRY = FamilyEntry(
    title="Toy Gaussian",
    colour="#123456",
    curve="surprise (nats per image)",
    settings=__name__,
    family=__name__,
    measures=__name__,
    pictures=__name__,
    presentation=__name__,
    headline=Headline("test.log_likelihood", "exact log-likelihood in nats", True, ("valid_surprise",)),
    unsettled=lambda model: model["deviation"] > 1,
)


@pytest.fixture(scope="module")
def settings(tiny: Settings) -> Iterator[Settings]:
    """Return the tiny settings with a toy experiment in place of all others."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(FAMILIES, "toy", ENTRY)
        yield tiny.model_copy(update={"experiments": {"toy": experiment(tiny, {"deviation": 0.5})}, "studies": {}})


def experiment(tiny: Settings, model: dict) -> Experiment:
    trained = tiny.experiment("gan-mnist").model_dump(mode="json")
    return Experiment.model_validate(trained | {"family": "toy", "learning_rate": 0.05, "model": model})


@pytest.fixture(scope="module")
def project(settings: Settings, prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return a project with the trained, evaluated and compared toy experiment."""
    folder = tmp_path_factory.mktemp("toy")
    run_references(settings, prepared, folder, ["mnist"])
    train(
        name="toy",
        experiment=settings.experiment("toy"),
        profile="quick",
        runtime=settings.runtime,
        data=prepared / settings.experiment("toy").dataset,
        output=folder / "models" / "toy",
        checkpoints=folder / "checkpoints",
        code="code",
        tracker=Console(),
    )
    run_evaluate(settings, prepared, folder, "toy")
    settings = settings.model_copy(update={"classifiers": {"mnist": settings.classifier("mnist")}})
    found = project_with(folder, tmp_path_factory.mktemp("project"))
    shutil.copytree(folder / "models", found.root / "models")
    run_report(settings, found)
    return found


def test_toy_settings_are_validated(settings: Settings, tiny: Settings) -> None:
    assert settings.experiment("toy").model.deviation == 0.5
    with pytest.raises(ValueError, match=r"model\.deviations\n.*unknown key; write `deviation`"):
        experiment(tiny, {"deviation": 0.5, "deviations": 0.5})


def test_a_toy_model_is_trained(project: Project, tmp_path: Path) -> None:
    history = pd.read_csv(project.model("toy") / "history.csv")
    assert history["valid_surprise"].is_monotonic_decreasing
    write_samples(project.model("toy"), 4, 0, "cpu", tmp_path / "samples.npy")
    assert np.load(tmp_path / "samples.npy").shape == (4, 28, 28)


def test_a_toy_model_is_evaluated(project: Project) -> None:
    metrics = read_json(project.results("toy"))
    assert metrics["test"]["log_likelihood"] < 0
    assert metrics["fid_classifier"]["samples"] == 150
    assert {path.name for path in project.plots("toy").glob("T*.png")} == {"T1-surprise.png", "T2-samples.png"}
    curve = pd.read_csv(project.plots("toy") / "curves.csv")
    assert set(curve["label"]) == {"surprise (nats per image)"}


def test_a_toy_model_is_reported(settings: Settings, project: Project) -> None:
    settings = settings.model_copy(update={"classifiers": {"mnist": settings.classifier("mnist")}})
    table = pd.read_csv(project.summary).set_index("experiment")
    assert table.loc["toy", "family"] == "toy"
    assert table.loc["toy", "test_elbo"] == "not defined: the likelihood is exact"
    html = build_page(project, settings).read_text(encoding="utf-8")
    for words in ("Toy Gaussian", "A caption of the toy family", "A note on 784 parameters", "How surprising are"):
        assert words in html
    assert "<p>surprise (nats per image)</p>" in html  # the chart's label
    assert "toy" in closing_table(project, settings)


def test_mlflow_sorts_by_the_headline_of_the_toy_family(settings: Settings) -> None:
    assert title_of("toy") == "Toy Gaussian"
    assert headline_of("toy").direction == "higher is better"
    assert "`test.log_likelihood`" in experiment_note("toy", "7")


@pytest.mark.parametrize(("deviation", "verdict"), [(0.5, Verdict.AGREES), (2.0, Verdict.NOT_COMPARED)])
def test_toy_numbers_are_verified(project: Project, tmp_path: Path, deviation: float, verdict: Verdict) -> None:
    copy = Project(shutil.copytree(project.root, tmp_path / "copy"))
    manifest, metrics = read_json(copy.model("toy") / "manifest.json"), read_json(copy.results("toy"))
    manifest["settings"]["model"]["deviation"] = deviation
    write_json(copy.model("toy") / "manifest.json", manifest)
    metrics["test"]["log_likelihood"] *= 1.0001
    metrics["weights_sha256"] = "other"
    write_json(baseline_file(copy, "toy", "quick"), metrics | {"settings": manifest["settings"], "run": {"threads": 9}})
    [finding] = check_baseline(copy, ["toy"])
    assert finding.verdict is verdict, finding.detail


def test_a_model_of_an_unknown_family_is_refused(project: Project, tmp_path: Path) -> None:
    folder = shutil.copytree(project.model("toy"), tmp_path / "model")
    manifest = read_json(folder / "manifest.json")
    manifest["settings"]["family"] = "unknown"
    write_json(folder / "manifest.json", manifest)
    with pytest.raises(TriptychError, match=r"settings\.family is unknown, which is no family"):
        write_samples(folder, 4, 0, "cpu", tmp_path / "samples.npy")
