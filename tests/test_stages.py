"""The stage functions, called as plain functions without DVC, git or MLflow, and the views of their results."""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from conftest import ONE_A_FAMILY
from triptych.core.errors import DivergenceError, TriptychError
from triptych.core.json_files import Document, read_json, write_json
from triptych.core.tracker import Console
from triptych.data.image_files import read_images
from triptych.data.prepared import PreparedData
from triptych.evaluation.context import Evaluation, ends
from triptych.evaluation.fidelity import extractors
from triptych.evaluation.fidelity.extractors import Extractor
from triptych.evaluation.fidelity.frechet import Gaussian, square_root, squared_distance
from triptych.evaluation.flow import latent_traversal
from triptych.evaluation.gan import pictures
from triptych.evaluation.gan.pictures import POINTS, ROWS
from triptych.evaluation.settings import Reference
from triptych.evaluation.uint8_images import to_uint8
from triptych.inference.sampling import write_samples
from triptych.models.classifier.shipped import shipped_folder
from triptych.models.common.load import load_family
from triptych.reports.closing_table import closing_table
from triptych.reports.page import build
from triptych.reports.page.build import build_page, is_current, try_to_build_page
from triptych.repository.project import Project
from triptych.settings.params import Settings
from triptych.stages.classifier import train_classifier
from triptych.stages.evaluate import evaluate
from triptych.stages.reference import measure_reference
from triptych.stages.report import report
from triptych.stages.train import train
from triptych.training.images import HeldOutImages
from triptych.training.reproducible import generator
from triptych.verify.baseline import LARGEST

PICTURES = {
    "vae-20d": ["U1.12-reconstructions.png", "U1.13-elbo.png", "U1.14-draws.png", "U1.14-means.png", "X9-nearest.png"],
    "vae-2d": [
        "U1.12-reconstructions.png",
        "U1.13-elbo.png",
        "U1.14-draws.png",
        "U1.14-means.png",
        "U1.15-manifold.png",
        "U1.15-posterior.png",
        "X9-nearest.png",
    ],
    "cifar10-jsd-2": [
        "M2.7-losses.png",
        "M2.7a-samples.png",
        "M2.7a-stages.png",
        "M2.7c-progress.png",
        "X9-nearest.png",
    ],
    "gan-mnist": ["U2.5-losses.png", "U2.6-samples.png", "U2.7-interpolations.png", "X9-nearest.png"],
    "realnvp-mnist": ["U3.8-bits-per-dimension.png", "U3.8-log-likelihood.png", "U3.8-samples.png", "X9-nearest.png"],
    "nice-mnist": [
        "R1-bits-per-dimension.png",
        "R1-log-likelihood.png",
        "R1-samples.png",
        "R2-layers.png",
        "R3-traversals.png",
        "X9-nearest.png",
    ],
}
HEADLINES = {"vae": ["valid", "elbo", "log_p"], "gan": [], "flow": ["valid", "log_p", "bits"]}  # besides the FID


def run_classifier(tiny: Settings, prepared: Path, folder: Path, name: str, tracker: Console | None = None) -> None:
    train_classifier(
        name=name,
        settings=tiny.classifier(name),
        profile="quick",
        runtime=tiny.runtime,
        data=prepared / name,
        output=folder / f"classifier-{name}",
        metrics=folder / f"classifier-{name}.json",
        plots=folder / "plots" / f"classifier-{name}",
        checkpoints=folder / "checkpoints",
        code="code",
        tracker=tracker or Console(),
    )


def run_references(tiny: Settings, prepared: Path, folder: Path, names: Collection[str] = ("mnist", "cifar10")) -> None:
    for name in names:
        run_classifier(tiny, prepared, folder, name)
        run_reference(tiny, prepared, folder, name)


def run_reference(tiny: Settings, prepared: Path, folder: Path, name: str, published_samples: int = 0) -> None:
    dataset = tiny.compared_data(name)
    measure_reference(
        name=name,
        kind="inception" if name in tiny.references else "classifier",
        split="test",
        protocol=tiny.active.fidelity,
        runtime=tiny.runtime,
        data=prepared / dataset,
        classifier=folder / f"classifier-{dataset}",
        output=folder / "reference" / name,
        tracker=Console(),
        published_samples=published_samples,
    )


def run_evaluate(tiny: Settings, prepared: Path, folder: Path, name: str) -> None:
    experiment = tiny.experiment(name)
    evaluate(
        name=name,
        experiment=experiment,
        likelihood=tiny.active.likelihood,
        protocol=tiny.active.fidelity,
        runtime=tiny.runtime,
        data=prepared / experiment.dataset,
        model=folder / "models" / name,
        reference=folder / "reference" / experiment.reference,
        metrics=folder / f"{name}.json",
        plots=folder / "plots" / name,
        checkpoints=folder / "checkpoints",
        code="code",
        tracker=Console(),
    )


def results_of(folder: Path, name: str) -> Document:
    return read_json(folder / "plots" / name / "results.json")


@pytest.fixture(scope="module")
def results(tiny: Settings, prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    run_references(tiny, prepared, folder)
    for name, experiment in tiny.experiments.items():
        train(
            name=name,
            experiment=experiment,
            profile="quick",
            runtime=tiny.runtime,
            data=prepared / experiment.dataset,
            output=folder / "models" / name,
            checkpoints=folder / "checkpoints",
            code="code",
            tracker=Console(),
        )
        run_evaluate(tiny, prepared, folder, name)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_repeated_evaluation_writes_the_same_bytes(tiny: Settings, prepared: Path, results: Path) -> None:
    before = contents(results)
    run_references(tiny, prepared, results)
    for name in tiny.experiments:
        run_evaluate(tiny, prepared, results, name)
    assert contents(results) == before


def test_a_stopped_evaluation_continues(
    tiny: Settings, prepared: Path, results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from triptych.evaluation.vae import importance, pictures

    copy = shutil.copytree(results, tmp_path / "copy")
    before, sampled, piece = contents(copy), [], importance._piece

    def stop(evaluation: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(importance, "_piece", lambda *arguments: sampled.append(1) or piece(*arguments))
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(pictures, "draw_pictures", stop)
        run_evaluate(tiny, prepared, copy, "vae-20d")
    assert len(sampled) == 1
    run_evaluate(tiny, prepared, copy, "vae-20d")
    assert len(sampled) == 1
    assert contents(copy) == before
    run_evaluate(tiny, prepared, copy, "vae-20d")
    assert len(sampled) == 2


def test_every_fidelity_number_has_its_protocol(tiny: Settings, results: Path) -> None:
    for name in tiny.experiments:
        metrics = results_of(results, name)
        for measure in ("fid_classifier", "kid_classifier", "precision_classifier", "recall_classifier"):
            assert metrics[measure]["samples"] == tiny.active.fidelity.samples
            reference = tiny.experiment(name).reference
            assert metrics[measure]["reference"] == f"{reference}/test"
            assert metrics[measure]["reference_images"] == tiny.dataset(reference).sizes("quick").test
            assert metrics[measure]["extractor"].startswith(f"classifier-{reference} (")
        assert 1 <= metrics["is_classifier"]["value"] <= 10
        assert "fid" not in metrics
        assert metrics["data"]["sha256"]
        assert str(results) not in json.dumps(metrics)


@pytest.mark.parametrize("name", ["vae-20d", "gan-mnist"])
def test_a_model_that_returns_training_images_is_named_as_copying(
    tiny: Settings, prepared: Path, results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """New real images, those of the validation split, are as far from the training images as test images are."""
    copied, found = shutil.copytree(results, tmp_path / "copy"), {}
    data = PreparedData.open(prepared / tiny.experiment(name).dataset)
    for split in ("train", "valid"):
        images = HeldOutImages(data, split, torch.device("cpu")).eight_bit
        monkeypatch.setattr("triptych.stages.evaluate._samples", lambda *_, images=images: images)
        run_evaluate(tiny, prepared, copied, name)
        found[split] = results_of(copied, name)["copying"]
    assert found["train"]["value"] > 0.95
    assert "the model copies" in found["train"]["sentence"]
    assert abs(found["valid"]["z_score"]) < 2
    assert "as far from the training images" in found["valid"]["sentence"]
    sizes = tiny.dataset(data.name).sizes("quick")
    for split, count in (("train", sizes.train), ("valid", sizes.valid)):
        row = found[split]
        assert (row["samples"], row["test_images"], row["training_images"]) == (count, sizes.test, sizes.train)
        assert row["extractor"].startswith("classifier-mnist (")


def test_fid_kid_and_is_of_final_models_have_intervals(tiny: Settings, results: Path) -> None:
    """Among snapshots, those with the lowest FID and at the end have them, too. Real images need none."""
    for name, experiment in tiny.experiments.items():
        metrics = results_of(results, name)
        for row in (metrics[f"{measure}_classifier"] for measure in ("fid", "kid", "is")):
            assert row["resamplings"] == tiny.active.fidelity.resamplings == 100
            assert row["low"] <= row["value"] <= row["high"]
            assert row["standard_error"] > 0
        reference = read_json(results / "reference" / experiment.reference / "manifest.json")
        assert "low" not in reference["real_validation_images"]["fid_classifier"]


def test_the_best_and_the_last_snapshot_have_intervals(results: Path) -> None:
    metrics = results_of(results, "cifar10-jsd-2")
    rows = pd.read_csv(results / "plots" / "cifar10-jsd-2" / "snapshots.csv")
    assert not [column for column in rows.columns if column.endswith(("_low", "_high", "_error"))]
    best, last = metrics["over_training"]["best"], metrics["over_training"]["last"]
    for found, row in ((best, rows.loc[rows["fid_classifier"].idxmin()]), (last, rows.iloc[-1])):
        assert {key: found[key] for key in rows.columns} == row.to_dict()
        for measure in ("fid_classifier", "kid_classifier", "is_classifier"):
            assert found[f"{measure}_low"] <= found[measure] <= found[f"{measure}_high"]
    final = metrics["kid_classifier"]
    assert last["kid_classifier"] == final["value"]
    for key in ("standard_deviation", "standard_error", "low", "high"):
        assert last[f"kid_classifier_{key}"] == final[key]


def test_likelihoods_fit_their_definitions(results: Path) -> None:
    vae, flow = (results_of(results, name)["test"] for name in ("vae-20d", "realnvp-mnist"))
    assert vae["elbo"] == pytest.approx(-vae["reconstruction"] - vae["kl"], rel=1e-9)
    assert vae["kl"] > 0
    assert vae["gap"] == pytest.approx(vae["log_likelihood"] - vae["elbo"], rel=1e-9)
    assert vae["log_likelihood_standard_error"] > 0
    ratio = flow["bits_per_dimension_standard_error"] / flow["log_likelihood_standard_error"]
    assert ratio == pytest.approx(-flow["bits_per_dimension"] / flow["log_likelihood"], rel=1e-9)
    assert flow["bits_per_dimension"] == pytest.approx(-flow["log_likelihood"] / (784 * np.log(2)), rel=1e-9)
    for name in ("realnvp-mnist", "nice-mnist"):
        metrics = results_of(results, name)
        assert metrics["inverse_error"]["value"] <= 1e-4
        assert metrics["traversal_end_error"] == {"value": 0.0, "images": 6}


@pytest.mark.parametrize("name", PICTURES)
def test_names_of_pictures_begin_with_their_identifiers(tiny: Settings, results: Path, name: str) -> None:
    folder = results / "plots" / name
    assert sorted(path.name for path in folder.glob("[A-Z]*.png")) == PICTURES[name]
    for picture in folder.glob("[A-Z]*.png"):
        with Image.open(picture) as image:
            assert min(image.size) > 300
            assert np.asarray(image.convert("RGBA").convert("L")).std() > 5, f"{picture.name} is blank"
        assert picture.stat().st_size <= LARGEST
    curve = pd.read_csv(folder / "curves.csv")
    assert curve.columns.tolist() == ["epoch", "label", "valid", "train"]
    assert curve["epoch"].tolist() == [0, 1, 2, 3]
    found, headline = results_of(results, name), read_json(results / f"{name}.json")
    assert headline["fid_classifier"] == found["fid_classifier"]["value"]
    assert [key for key in headline if key != "fid_classifier"] == HEADLINES[tiny.experiment(name).family]


def test_a_reference_holds_no_file_that_dvc_leaves_out(tiny: Settings, prepared: Path, tmp_path: Path) -> None:
    shutil.copytree(shipped_folder("mnist-v1"), tmp_path / "classifier-mnist")
    assert (tmp_path / "classifier-mnist" / "README.md").exists()
    run_reference(tiny, prepared, tmp_path, "mnist")
    assert not list((tmp_path / "reference").rglob("README.md"))


def test_the_classifier_learns_and_real_images_are_measured(tiny: Settings, results: Path) -> None:
    found = results_of(results, "classifier-mnist")["accuracy"]["test"]
    assert read_json(results / "classifier-mnist.json") == {"accuracy": found}
    assert found > 0.3
    for name, experiment in tiny.experiments.items():
        reference = read_json(results / "reference" / experiment.reference / "manifest.json")
        real, sizes = (
            reference["real_validation_images"]["fid_classifier"],
            tiny.dataset(experiment.dataset).sizes("quick"),
        )
        assert (real["samples"], real["reference_images"]) == (sizes.valid, sizes.test)
        found = results_of(results, name)
        assert found["reference"] == {"name": experiment.reference, "key": reference["key"]}
        assert real["value"] == found["fid_classifier"]["real_images"] < found["fid_classifier"]["value"]


class StopInSecondEpoch(Console):
    """A tracker that raises KeyboardInterrupt at the end of the second epoch."""

    def log(self, row: Mapping[str, float]) -> None:
        if row["epoch"] == 2:
            raise KeyboardInterrupt


@pytest.mark.parametrize("name", ["mnist", "cifar10"])
def test_a_stopped_classifier_training_ends_with_the_same_bytes(
    tiny: Settings, prepared: Path, results: Path, tmp_path: Path, name: str
) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_classifier(tiny, prepared, tmp_path, name, StopInSecondEpoch())
    assert list((tmp_path / "checkpoints").glob(f"classifier-{name}@*/000001.*"))
    run_classifier(tiny, prepared, tmp_path, name)
    assert contents(tmp_path / f"classifier-{name}") == contents(results / f"classifier-{name}")
    assert (tmp_path / f"classifier-{name}.json").read_bytes() == (results / f"classifier-{name}.json").read_bytes()


def test_the_report_fills_every_cell(tiny: Settings, results: Path, tmp_path: Path) -> None:
    report(
        families={name: experiment.family for name, experiment in tiny.experiments.items()},
        groups=tiny.seed_groups(among=tiny.experiments),
        experiments={name: results / "plots" / name / "results.json" for name in tiny.experiments},
        studies={},
        samples={name: results / "plots" / name / "samples.png" for name in tiny.experiments},
        snapshots={name: results / "plots" / name / "snapshots.csv" for name in tiny.experiments},
        summary=tmp_path / "summary.csv",
        seeds=tmp_path / "seeds.csv",
        plots=tmp_path / "comparison",
        tracker=Console(),
    )
    table = pd.read_csv(tmp_path / "summary.csv").set_index("experiment")
    assert table.notna().all(axis=None)
    metrics = results_of(results, "vae-20d")
    assert float(table.loc["vae-20d", "test_elbo"]) == metrics["test"]["elbo"]
    for key in ("standard_error", "low", "high"):
        assert float(table.loc["vae-20d", f"fid_classifier_{key}"]) == metrics["fid_classifier"][key]
    assert table.loc["gan-mnist", "test_bits_per_dimension"].startswith("not defined: ")
    assert sorted(path.name for path in (tmp_path / "comparison").iterdir()) == [
        "M2.7c-progress.png",
        "M3.10-bounds.png",
        *(
            f"X2-{what}-{reference}.png"
            for what in ("fid", "is", "kid", "samples")
            for reference in ("cifar10", "mnist")
        ),
    ]


def test_another_classifier_changes_the_key_of_the_reference_and_is_refused(
    tiny: Settings, prepared: Path, results: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(results, tmp_path / "copy")
    place = copy / "reference" / "mnist"
    before = read_json(place / "manifest.json")
    other = tiny.classifier("mnist").model_copy(update={"seed": 1})
    run_references(tiny.model_copy(update={"classifiers": {"mnist": other}}), prepared, copy, ["mnist"])
    after = read_json(place / "manifest.json")
    assert before["key"] != after["key"]
    assert {name for name in after if after[name] != before[name]} >= {"weights_sha256", "classifier_sha256"}
    assert before["data_sha256"] == after["data_sha256"]
    for name in ("weights.safetensors", "manifest.json"):
        shutil.copyfile(results / "classifier-mnist" / name, place / "classifier" / name)
    with pytest.raises(
        TriptychError, match=r"made with other weights \(sha256 .*: delete .*mnist and run `triptych repro`"
    ):
        run_evaluate(tiny, prepared, copy, "gan-mnist")


class FakeInception(torch.nn.Module):
    """A substitute for Inception: two outputs of three-channel images, from fixed weights."""

    def __init__(self) -> None:
        super().__init__()
        source = torch.Generator().manual_seed(0)
        self.weight = torch.nn.Parameter(torch.randn(3 * 28 * 28, 12, generator=source))

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        features = (pixels.float().flatten(1) / 255) @ self.weight
        return features, features[:, :5]


def test_inception_and_classifier_features_in_one_report(
    tiny: Settings, prepared: Path, results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Measure one experiment on Inception features; all numbers keep their names and rows."""
    copy = shutil.copytree(results, tmp_path / "copy")
    digest = "0123456789abcdef"
    inception = Extractor(FakeInception(), "inception", "inception-v3-compat (weights 01234567)", digest)
    monkeypatch.setattr(extractors, "open_inception", lambda reference, device: inception)
    entry = Reference(dataset="mnist", extractor="inception", classes="mnist-v1")
    gan = tiny.experiment("gan-mnist").model_copy(update={"reference": "photographs"})
    mixed = tiny.model_copy(
        update={
            "references": {"photographs": entry},
            "experiments": {**tiny.experiments, "gan-mnist": gan},
        }
    )
    run_reference(mixed, prepared, copy, "photographs")
    before = results_of(copy, "gan-mnist")
    run_evaluate(mixed, prepared, copy, "gan-mnist")
    metrics = results_of(copy, "gan-mnist")
    for name in ("fid", "kid", "is", "precision", "recall"):
        assert f"{name}_classifier" not in metrics
        assert metrics[name]["extractor"] == inception.name
        assert metrics[name]["real_samples"] == tiny.dataset("mnist").sizes("quick").valid
    assert {name: metrics[name]["value"] for name in ("recognised", "classes")} == {
        name: before[name]["value"] for name in ("recognised", "classes")
    }
    assert metrics["classes"]["extractor"].startswith("classifier-mnist")
    project = project_with(copy, tmp_path / "project")
    table = run_report(mixed, project)
    assert table.loc["gan-mnist", "fid"] == str(metrics["fid"]["value"])
    assert table.loc["gan-mnist", "fid_classifier"] == f"not defined: measured on the features of {inception.name}"
    assert table.loc["vae-20d", "fid"].startswith("not defined: measured on the features of classifier-mnist (")
    assert {path.name for path in project.comparison.glob("X2-fid*")} == {
        f"X2-fid-{reference}.png" for reference in ("cifar10", "mnist", "photographs")
    }
    html = build_page(project, mixed).read_text(encoding="utf-8")
    assert html.count("are computed by torch-fidelity") == 3
    assert html.count(f"<li>Copies of training images: {metrics['copying']['sentence']}. ") == 1
    lines = closing_table(project, mixed).splitlines()
    assert any(line.startswith("  gan-mnist ") and f"{metrics['fid']['value']:,.2f}" in line for line in lines)
    protocols = " ".join(" ".join(lines).split())
    assert protocols.count("Only 120 real images: ") == html.count("Only 120 real images: ") == 3
    assert f"features of {inception.name}" in protocols
    assert "features of classifier-mnist (" in protocols


def test_the_protocol_of_published_tables_stands_beside_our_own(
    tiny: Settings, prepared: Path, results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has other samples and other real images, which stand beside the numbers; our own numbers stay as they are."""
    copy, found = shutil.copytree(results, tmp_path / "copy"), {}
    inception = Extractor(FakeInception(), "inception", "inception-v3-compat (weights 01234567)", "0123456789abcdef")
    monkeypatch.setattr(extractors, "open_inception", lambda reference, device: inception)
    gan = tiny.experiment("gan-mnist").model_copy(update={"reference": "digits"})
    entry = Reference(dataset="mnist", extractor="inception", classes="mnist-v1")
    for samples in (0, 70):
        mixed = tiny.model_copy(update={"references": {"digits": entry}, "experiments": {"gan-mnist": gan}})
        run_reference(mixed, prepared, copy, "digits", samples)
        run_evaluate(mixed, prepared, copy, "gan-mnist")
        found[samples] = results_of(copy, "gan-mnist")
    published = found[70].pop("published_protocol")
    assert found[70] == found[0]
    data, family = (
        PreparedData.open(prepared / "mnist"),
        load_family(copy / "models" / "gan-mnist", torch.device("cpu")),
    )
    real = np.concatenate([data.images("train"), data.images("valid")])
    latents = family.draw_latents(70, generator(0, "published samples"))
    images = (to_uint8(family.sample(latents), "x"), torch.from_numpy(real))
    sets = [inception.extract(each)[extractors.FEATURES] for each in images]
    gaussians = [Gaussian.fit(features) for features in sets]
    fid = squared_distance(*gaussians, square_root(gaussians[1].covariance))
    assert published["fid"]["value"] == pytest.approx(fid, rel=1e-6)
    assert set(published) == {"fid", "kid", "is"}
    for measure in ("fid", "kid"):
        protocol = {key: published[measure][key] for key in ("samples", "reference", "reference_images", "extractor")}
        assert list(protocol.values()) == [70, "mnist/train+valid", 400, inception.name]
        assert published[measure]["low"] <= published[measure]["value"] <= published[measure]["high"]
    project = project_with(copy, tmp_path / "project")
    run_report(mixed, project)
    html = build_page(project, mixed).read_text(encoding="utf-8")
    assert f"70 samples against 400 images of mnist/train+valid: fid {published['fid']['value']:,.2f} ± " in html


def test_results_that_do_not_fit_the_settings_are_no_error_before_a_run(
    tiny: Settings, results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run replaces them, and builds the page again."""
    project = project_with(results, tmp_path / "project")
    assert not try_to_build_page(project, tiny)
    run_report(tiny, project)
    assert try_to_build_page(project, tiny)
    written = project.page.read_bytes()
    numbers = project.results("vae-20d")
    kept = read_json(numbers)
    for changed in ({"data": "of another version"}, {"parameters": kept["parameters"] + 1}):
        write_json(numbers, kept | changed)
        assert not try_to_build_page(project, tiny)
        assert project.page.read_bytes() == written
    with pytest.raises(TriptychError, match=r"differs from plots/vae-20d/results.json: run `triptych repro`$"):
        build_page(project, tiny)
    monkeypatch.setattr(build, "_render_page", lambda *_: max([]))
    with pytest.raises(
        TriptychError, match=r"^the results do not fit params.yaml \(ValueError: .*\): run `triptych repro`$"
    ):
        is_current(project, tiny)


def project_with(results: Path, root: Path) -> Project:
    """Return a project folder with these results at the paths that a run writes."""
    project = Project(root)
    shutil.copytree(results / "plots", root / "plots")
    return project


def run_report(settings: Settings, project: Project) -> pd.DataFrame:
    """Run the report stage in a project folder; return its table as text."""
    report(
        families={name: experiment.family for name, experiment in settings.experiments.items()},
        groups=settings.seed_groups(among=settings.experiments),
        experiments={name: project.results(name) for name in settings.experiments},
        studies={},
        samples={name: project.plots(name) / "samples.png" for name in settings.experiments},
        snapshots={name: project.plots(name) / "snapshots.csv" for name in settings.experiments},
        summary=project.summary,
        seeds=project.seed_table,
        plots=project.comparison,
        tracker=Console(),
    )
    return pd.read_csv(project.summary, dtype=str).set_index("experiment")


def test_mlflow_has_curves_of_snapshots_and_of_the_speed(results: Path, tmp_path: Path) -> None:
    from triptych.records.mlflow.run_writer import bring_up_to_date
    from triptych.records.mlflow.store import Store
    from triptych.records.run_folder import copy_evaluation, copy_model

    (tmp_path / "params.yaml").write_text("", encoding="utf-8")
    project, name = Project(tmp_path), "cifar10-jsd-2"
    run = copy_model(project, name, results / "models" / name)
    copy_evaluation(run, results / "plots" / name)
    store = Store(project)
    assert bring_up_to_date(store, run, {"seconds_per_update": 0.25})
    assert not bring_up_to_date(store, run, {})
    rows = pd.read_csv(results / "plots" / name / "snapshots.csv")
    for column in ("jsd", "fid_classifier", "is_classifier"):
        points = store.client.get_metric_history(run.mlflow_run_id, f"snapshot_{column}")
        assert [(point.step, point.value) for point in points] == list(zip(rows["epoch"], rows[column], strict=True))
    assert len(rows) == 3
    [speed] = store.client.get_metric_history(run.mlflow_run_id, "seconds_per_update")
    assert (speed.step, speed.value) == (3, 0.25)


@pytest.mark.parametrize("name", [*ONE_A_FAMILY, "cifar10-jsd-2"])
def test_the_last_sample_sheet_shows_the_samples_of_the_evaluation(results: Path, tmp_path: Path, name: str) -> None:
    from triptych.records.run_folder import copy_model
    from triptych.records.sample_sheets import draw_sample_sheets

    model = results / "models" / name
    run = copy_model(Project(tmp_path), name, model)
    draw_sample_sheets(run, model)
    *earlier, last = run.samples
    assert earlier == run.inputs["snapshots"]
    assert last == 3
    sheets = [np.asarray(Image.open(path)) for path in run.samples.values()]
    assert np.array_equal(sheets[-1], np.asarray(Image.open(results / "plots" / name / "samples.png")))
    assert not any(np.array_equal(sheet, sheets[-1]) for sheet in sheets[:-1])


def test_write_samples_of_a_trained_model(results: Path, tmp_path: Path) -> None:
    model = results / "models" / "gan-mnist"
    for name in ("a.npy", "b.npy"):
        write_samples(model, 9, 3, "cpu", tmp_path / name)
    images = np.load(tmp_path / "a.npy")
    assert images.shape == (9, 28, 28)
    assert images.dtype == np.uint8
    assert (tmp_path / "a.npy").read_bytes() == (tmp_path / "b.npy").read_bytes()
    write_samples(model, 9, 4, "cpu", tmp_path / "c.npy")
    assert not np.array_equal(images, np.load(tmp_path / "c.npy"))
    write_samples(model, 9, 3, "cpu", tmp_path / "a.npz")
    assert np.array_equal(read_images(tmp_path / "a.npz", (28, 28)), images)
    write_samples(model, 9, 3, "cpu", tmp_path / "grid.png")
    assert (tmp_path / "grid.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(TriptychError, match=r"\.png"):
        write_samples(model, 9, 3, "cpu", tmp_path / "grid.gif")


def test_damaged_or_missing_models_are_refused(tiny: Settings, prepared: Path, results: Path, tmp_path: Path) -> None:
    shutil.copytree(results, tmp_path / "copy")
    weights = tmp_path / "copy" / "models" / "vae-20d" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    before = contents(tmp_path / "copy" / "plots")
    with pytest.raises(TriptychError, match=r"is damaged: run `triptych repro`"):
        run_evaluate(tiny, prepared, tmp_path / "copy", "vae-20d")
    shutil.rmtree(weights.parent)
    with pytest.raises(TriptychError, match="does not exist: run the stage"):
        run_evaluate(tiny, prepared, tmp_path / "copy", "vae-20d")
    assert contents(tmp_path / "copy" / "plots") == before


def test_a_model_is_not_evaluated_on_other_data(tiny: Settings, prepared: Path, results: Path, tmp_path: Path) -> None:
    shutil.copytree(prepared / "binarized_mnist", tmp_path / "binarized_mnist")
    manifest = tmp_path / "binarized_mnist" / "manifest.json"
    write_json(manifest, read_json(manifest) | {"sha256": "0" * 64})
    with pytest.raises(TriptychError, match="binarized_mnist has changed since vae-20d was trained"):
        run_evaluate(tiny, tmp_path, results, "vae-20d")


def test_a_likelihood_that_is_not_finite_names_the_experiment(
    tiny: Settings, prepared: Path, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def measure(evaluation: Evaluation) -> dict[str, object]:
        raise DivergenceError("the likelihood is not finite")

    monkeypatch.setattr("triptych.evaluation.flow.measure.measure", measure)
    words = r"^realnvp-mnist diverged: the likelihood is not finite; lower experiments\.realnvp-mnist\.learning_rate"
    with pytest.raises(DivergenceError, match=words):
        run_evaluate(tiny, prepared, results, "realnvp-mnist")


def test_a_classifier_with_a_batch_that_is_larger_than_the_training_set_is_refused(
    tiny: Settings, prepared: Path, tmp_path: Path
) -> None:
    large = tiny.classifier("mnist").model_copy(update={"batch_size": 100_000})
    settings = tiny.model_copy(update={"classifiers": {**tiny.classifiers, "mnist": large}})
    with pytest.raises(TriptychError, match=r"^classifiers\.mnist\.batch_size needs 100,000 images per update, more"):
        run_classifier(settings, prepared, tmp_path, "mnist")


@pytest.mark.parametrize("count", [2, 3, 10])
def test_the_ends_of_traversals_have_different_classes(count: int) -> None:
    labels = torch.arange(1000) % count
    found = latent_traversal._pairs(1000, labels)
    assert len({index for pair in found for index in pair}) == 2 * latent_traversal.PAIRS
    assert all(labels[left] != labels[right] for left, right in found)
    spread = [index for pair in latent_traversal._pairs(1000, None) for index in pair]
    assert spread == [0, 200, 400, 599, 799, 999]


@pytest.mark.parametrize("count", [1, 2, 3, 10])
def test_interpolations_connect_different_classes(count: int) -> None:
    labels = torch.arange(40) % count
    found = ends(labels, ROWS)
    assert len(found) == ROWS
    told = [(int(labels[left]), int(labels[right])) for left, right in found]
    assert all((left != right) == (count > 1) for left, right in told)
    assert len({index for pair in found for index in pair}) == 2 * ROWS
    if count == 10:
        assert sorted(sum(told, ())) == list(range(10))


def test_interpolations_are_straight_lines_between_samples(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The samples are the latents themselves, and their class is a comparison of two pixels."""
    drawn = []
    monkeypatch.setattr(pictures, "image_rows", lambda *args: drawn.append(args))
    monkeypatch.setattr(pictures, "save_images", lambda *_, **__: None)
    family = SimpleNamespace(
        draw_latents=lambda count, source: torch.rand(count, 4, generator=source),
        sample=lambda latents: latents.view(-1, 2, 2),
    )
    evaluation = SimpleNamespace(
        family=family, seed=0, folder=tmp_path, classify=lambda images: (images[:, 0, 0] > images[:, 1, 1]).long()
    )
    pictures._draw_interpolations(evaluation)
    [(rows, headings, _, ends_)] = drawn
    rows = rows.astype(float)
    assert rows.shape == (ROWS, POINTS, 2, 2)
    assert headings == ["0", "0.125", "0.25", "0.375", "0.5", "0.625", "0.75", "0.875", "1"]
    for row, labels in zip(rows, ends_, strict=True):
        assert abs(row - np.linspace(row[0], row[-1], POINTS)).max() <= 1
        assert labels == tuple(str(int(image[0, 0] > image[1, 1])) for image in (row[0], row[-1]))
        assert labels[0] != labels[1]
