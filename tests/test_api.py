"""`import triptych`: each function against the stages and commands, on a project with one trained model per family."""

from __future__ import annotations

import doctest
import importlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner

import triptych
from conftest import ONE_A_FAMILY, ROOT
from triptych.cli.main import cli
from triptych.core.errors import TriptychError
from triptych.core.json_files import read_json
from triptych.data.prepared import PreparedData
from triptych.evaluation.settings import Fidelity
from triptych.models.common.load import load_family
from triptych.records.mlflow.model_registry import download_version
from triptych.records.mlflow.store import import_client
from triptych.settings.params import load as load_settings
from triptych.training.images import HeldOutImages
from triptych.training.machine import pick_device
from triptych.training.reproducible import seeded

DOCUMENTED = ("api.models", "api.results", "api.scores", "api.training", "inference.trained_model")
HEAVY = {"torch", "mlflow", "pandas", "numpy", "matplotlib", "pydantic"}
VAE = {
    "family": "vae",
    "seed": 3,
    "epochs": 2,
    "batch_size": 50,
    "learning_rate": 1e-3,
    "model": {"latent": 2, "hidden": [16], "activation": "tanh"},
}
CRITIC = {"architecture": "resnet", "latent": 8, "width": 4, "loss_type": "w1", "critic_steps": 1}
RESNET = {**VAE, "family": "gan", "model": CRITIC}


@pytest.fixture
def project(trained_project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the trained project, which is the working directory."""
    monkeypatch.chdir(trained_project)
    return trained_project


@pytest.fixture
def digits(project: Path) -> np.ndarray:
    """Return the 8-bit test images."""
    return PreparedData.open(project / "data/prepared/mnist").images("test")


@pytest.fixture
def binary_digits(project: Path) -> np.ndarray:
    return PreparedData.open(project / "data/prepared/binarized_mnist").images("test")


def refused(call: Callable[[], object]) -> str:
    """Return the one sentence with which a call is refused."""
    with pytest.raises(triptych.TriptychError) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_the_import_is_light_and_lists_what_it_offers() -> None:
    script = "import sys, triptych; print(*dir(triptych)); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    offered, loaded = done.stdout.splitlines()
    assert offered.split() == ["TrainedModel", "TriptychError", "load", "objectives", "results", "score", "train"]
    assert set(loaded.split()) & HEAVY == set()
    with pytest.raises(AttributeError, match="no attribute 'lod'"):
        _ = triptych.lod
    assert all(callable(getattr(triptych.objectives, name)) for name in triptych.objectives.__all__)
    assert (ROOT / "src/triptych/py.typed").exists()


@pytest.mark.parametrize("module", DOCUMENTED)
def test_the_examples_in_docstrings_run(module: str, project: Path) -> None:
    before = contents(project)
    found = importlib.import_module(f"triptych.{module}")
    failed, tried = doctest.testmod(found, extraglobs={"triptych": triptych, "np": np})
    assert failed == 0
    assert tried > 1
    assert contents(project) == before


def test_the_page_about_python_runs(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The project is copied, since the page also writes a model."""
    monkeypatch.chdir(shutil.copytree(project, tmp_path / "copy"))
    failed, tried = doctest.testfile(str(ROOT / "docs/python.md"), module_relative=False, optionflags=doctest.ELLIPSIS)
    assert failed == 0
    assert tried > 10


def test_notebooks_are_committed_without_outputs() -> None:
    notebooks = sorted((ROOT / "notebooks").glob("*.ipynb"))
    assert [path.stem for path in notebooks] == ["explore", "objectives"]
    for path in notebooks:
        notebook = json.loads(path.read_text(encoding="utf-8"))
        cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
        assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells)
        assert all(cell["metadata"] == {} for cell in notebook["cells"])
        assert set(notebook["metadata"]) == {"kernelspec", "language_info"}


@pytest.mark.parametrize("name", ONE_A_FAMILY)
def test_samples_equal_those_of_the_command(name: str, project: Path, tmp_path: Path) -> None:
    words = ["sample", name, "--count", "7", "--seed", "5", "--output", str(tmp_path / "x.npy")]
    assert CliRunner().invoke(cli, words).exit_code == 0
    wanted = np.load(tmp_path / "x.npy")
    before = contents(project)
    for found in (name, project / "models" / name, f"models/{name}", f"models:/{name}/1", f"models:/{name}/latest"):
        model = triptych.load(found)
        assert np.array_equal(model.sample(7, seed=5), wanted)
        assert model.settings == read_json(project / "models" / name / "manifest.json")["settings"]
    assert contents(project) == before


def test_mlflow_loads_the_same_model(project: Path) -> None:
    [folder] = (project / "mlartifacts/gan/models").glob("*/artifacts")
    images = mlflow.pyfunc.load_model(folder).predict({"count": [7], "seed": [5]})
    assert np.array_equal(images, triptych.load("gan-mnist").sample(7, seed=5))


def test_a_model_is_found_by_its_alias(project: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(project, tmp_path / "copy")
    import_client()(f"sqlite:///{copy / 'mlflow.db'}").set_registered_model_alias("gan-mnist", "best", "1")
    model = triptych.load("models:/gan-mnist@best", project=copy)
    assert np.array_equal(model.sample(3), triptych.load("gan-mnist").sample(3))


def test_a_project_elsewhere_is_found(trained_project: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert "no params.yaml" in refused(lambda: triptych.load("vae-20d"))
    here = [triptych.load(name, project=trained_project) for name in ("vae-20d", "models:/vae-20d/1")]
    assert here[0].metrics.to_dict() == here[1].metrics.to_dict()
    assert len(triptych.results(project=trained_project)) == 4
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{trained_project / 'mlflow.db'}")
    assert triptych.load("models:/vae-20d/1").sample(1).shape == (1, 28, 28)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ONE_A_FAMILY)
def test_history_and_metrics_are_those_of_the_stages(name: str, project: Path) -> None:
    model, same = triptych.load(name), triptych.load(f"models:/{name}/1")
    pd.testing.assert_frame_equal(
        model.history, pd.read_csv(project / "models" / name / "history.csv", index_col="epoch"), rtol=1e-15
    )
    pd.testing.assert_frame_equal(same.history, model.history)
    results = read_json(project / "plots" / name / "results.json")
    assert model.metrics["fid_classifier"] == results["fid_classifier"]["value"]
    assert {key for key in model.metrics.index if key.startswith("test.")}
    assert same.metrics.to_dict() == model.metrics.to_dict()


def test_the_likelihood_of_a_vae_is_that_of_the_evaluation(project: Path, binary_digits: np.ndarray) -> None:
    model = triptych.load("vae-20d")
    draws, seed = load_settings(project / "params.yaml").active.likelihood.importance_samples, model.settings["seed"]
    nats = model.log_likelihood(binary_digits, seed=seed, draws=draws)
    assert nats.dtype == np.float64
    assert float(torch.from_numpy(nats).mean()) == model.metrics["test.log_likelihood"]
    assert np.array_equal(model.log_likelihood(torch.from_numpy(binary_digits) > 0, seed=seed, draws=draws), nats)
    assert not np.array_equal(model.log_likelihood(binary_digits, seed=seed + 1, draws=draws), nats)
    assert model.log_likelihood(binary_digits).mean() > nats.mean()  # more draws, a tighter bound


def test_the_likelihood_of_a_flow_is_its_density(project: Path, digits: np.ndarray) -> None:
    model, images = (
        triptych.load("realnvp-mnist"),
        HeldOutImages(PreparedData.open(project / "data/prepared/mnist"), "test", torch.device("cpu")),
    )
    nats = model.log_likelihood(digits)
    with seeded(0, "dequantisation"), torch.no_grad():
        own_noise = model.family.networks.calc_likelihood(images.pixels).double()
    assert np.array_equal(nats, own_noise.numpy())
    stored_noise = load_family(project / "models/realnvp-mnist", torch.device("cpu")).log_likelihoods(images)
    assert -stored_noise.mean() == pytest.approx(-model.metrics["test.log_likelihood"])
    assert nats.mean() == pytest.approx(float(stored_noise.mean()), rel=0.01)
    assert model.log_likelihood(digits, draws=20).mean() > nats.mean()


@pytest.mark.parametrize(("name", "scale"), [("vae-20d", 255), ("realnvp-mnist", 1)])
@pytest.mark.parametrize("split", ["train", "valid", "test"])
def test_the_images_of_a_model_are_those_of_the_stages(name: str, scale: int, split: str, project: Path) -> None:
    model = triptych.load(name)
    stored = PreparedData.open(project / "data/prepared" / model.settings["dataset"]).images(split)
    assert np.array_equal(model.images(split), stored * scale)


def test_images_of_other_data_are_refused(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = triptych.load("models:/vae-20d/1")
    assert "models:/vae-20d/1 comes without images: load an experiment" in refused(model.images)
    monkeypatch.chdir(shutil.copytree(project, tmp_path / "copy"))
    shutil.rmtree("data/prepared/binarized_mnist")
    shutil.copytree("data/prepared/mnist", "data/prepared/binarized_mnist")
    assert "binarized_mnist has changed since vae-20d was trained" in refused(triptych.load("vae-20d").images)


def test_black_images_are_images_of_any_type(project: Path) -> None:
    model, black = triptych.load("realnvp-mnist"), np.zeros((1, 28, 28), np.uint8)
    wanted = model.log_likelihood(black)
    for images in (black > 0, black.astype(np.float32)):
        assert np.array_equal(model.log_likelihood(images), wanted)
    assert "holds black pixels only" in refused(lambda: triptych.score(np.repeat(black, 60, axis=0), "mnist"))


def test_a_device_of_pytorch_is_a_device(project: Path) -> None:
    assert triptych.load("gan-mnist", device=torch.device("cpu")).sample(2).shape == (2, 28, 28)


@pytest.mark.parametrize("lacking", ["cuda:99", "cpu:1", "cpu:-1", "cpu:", "abacus"])
def test_a_device_that_the_machine_lacks_is_refused(lacking: str, project: Path) -> None:
    assert f"the device is {lacking}" in refused(lambda: triptych.load("gan-mnist", device=lacking))


def test_latents_lead_back_to_images(project: Path, digits: np.ndarray, binary_digits: np.ndarray) -> None:
    flow, vae, plane = (triptych.load(name) for name in ("realnvp-mnist", "vae-20d", "vae-2d"))
    assert flow.encode(digits).shape == (len(digits), 784)
    assert np.array_equal(flow.reconstruct(digits), digits)
    assert np.array_equal(flow.reconstruct(digits[:9] / 255), digits[:9])
    latents = vae.encode(binary_digits)
    assert latents.shape == (len(digits), 4)
    assert latents.dtype == np.float32
    with torch.no_grad():
        mean = vae.networks.encode(torch.from_numpy(binary_digits).float()).mean
    assert np.array_equal(latents, mean.numpy())
    assert np.array_equal(vae.reconstruct(binary_digits), vae.decode(latents))
    with torch.no_grad():
        posterior = plane.networks.encode(torch.from_numpy(binary_digits).float())
        moved, _ = posterior.transform(posterior.mean.unsqueeze(1))
    assert np.array_equal(plane.encode(binary_digits), moved.squeeze(1).numpy())
    assert not np.allclose(moved.squeeze(1), posterior.mean)


@pytest.mark.parametrize(
    ("name", "call", "words"),
    [
        ("gan-mnist", lambda model, images: model.encode(images), "gan-mnist has no encode: .* load a vae or flow"),
        ("gan-mnist", lambda model, images: model.log_likelihood(images), "gan-mnist has no log_likelihood"),
        ("gan-mnist", lambda model, images: model.reconstruct(images), "gan-mnist has no encode"),
        ("gan-mnist", lambda model, images: model.sample(0), "n is 0"),
        ("gan-mnist", lambda model, images: model.sample(2.5), "n is 2.5; use a whole number"),
        ("gan-mnist", lambda model, images: model.sample("4"), "n is '4'; use a whole number"),
        ("gan-mnist", lambda model, images: model.sample(True), "n is True; use a whole number"),
        (
            "gan-mnist",
            lambda model, images: model.sample(2, seed=None),
            "seed is None; use a whole number of 0 or more",
        ),
        ("gan-mnist", lambda model, images: model.sample(2, seed=1.0), "seed is 1.0; use a whole number of 0 or more"),
        ("gan-mnist", lambda model, images: model.decode(np.zeros((1, 2), complex)), "latents are no array of numbers"),
        ("gan-mnist", lambda model, images: model.images("tset"), "split is 'tset'; use train, valid, test"),
        ("gan-mnist", lambda model, images: model.decode(np.full((1, 8), np.nan)), "latents hold NaN"),
        ("gan-mnist", lambda model, images: model.decode(np.zeros((2, 7))), r"\(2, 7\), but gan-mnist needs \(n, 8\)"),
        ("vae-20d", lambda model, images: model.encode(images), "holds shades of grey.*binarise"),
        ("vae-20d", lambda model, images: model.encode(images[:, 1:]), r"has the shape \(3, 27, 28\)"),
        ("vae-20d", lambda model, images: model.log_likelihood(images > 9, draws=0), "draws is 0"),
        ("vae-20d", lambda model, images: model.log_likelihood(images > 9, draws=1.5), "draws is 1.5"),
        ("realnvp-mnist", lambda model, images: model.encode(images % 2), "nothing above 1.*multiply them by 255"),
        ("realnvp-mnist", lambda model, images: model.encode(images[0]), r"the shape \(28, 28\)"),
        ("realnvp-mnist", lambda model, images: model.encode(images.astype(int)), "holds int64: use uint8"),
        ("realnvp-mnist", lambda model, images: model.encode(images * 2.0), "from 0 to 510.*divide by 255"),
        ("realnvp-mnist", lambda model, images: model.encode(images * np.nan), "from nan to nan"),
        ("realnvp-mnist", lambda model, images: model.encode(images[:0]), "is empty"),
    ],
)
def test_other_input_is_refused_in_one_sentence(
    name: str, call: Callable, words: str, project: Path, digits: np.ndarray
) -> None:
    model = triptych.load(name)
    with pytest.raises(TriptychError, match=words) as caught:
        call(model, digits[:3])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("experiment", "words"),
    [
        ("realnvp", "no experiments.realnvp; known names: realnvp-mnist, vae-20d"),
        ("models/vea-20d", "models/vea-20d does not exist: name a folder such as models/vae-20d"),
        ("models", "models holds no trained experiment"),
        ("data/reference/mnist", "holds no trained experiment"),
        (None, "experiment is None: use the name"),
        ("models:/vea-20d/1", "does not give models:/vea-20d/1"),
        ("models:/vae-20d/2", "does not give models:/vae-20d/2"),
        ("models:/vae-20d", "models:/vae-20d names no model: write models:/NAME/VERSION"),
        ("models:/vae-20d@best", "does not give models:/vae-20d@best"),
    ],
)
def test_a_missing_model_is_refused_in_one_sentence(experiment: str | None, words: str, project: Path) -> None:
    assert words in refused(lambda: triptych.load(experiment))


@pytest.mark.parametrize("uri", ["sqlite:///damaged.db", "nonsense://server"])
def test_records_that_cannot_be_read_are_refused_in_one_sentence(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "damaged.db").write_text("no database" * 1000)
    words = refused(lambda: download_version("models:/vae-20d/1", uri, tmp_path))
    assert words.startswith(f"MLflow at {uri} does not give models:/vae-20d/1 (")
    assert words.endswith("): check MLFLOW_TRACKING_URI and the name of the model")


def test_latents_in_any_order_of_memory_are_decoded(project: Path) -> None:
    model = triptych.load("vae-20d")
    latents = np.random.default_rng(0).normal(size=(3, model.latent))
    for view in (latents[::-1], latents.astype(np.float32)[::-1], np.asfortranarray(latents)[::-1]):
        assert np.array_equal(model.decode(view), model.decode(latents)[::-1])


@pytest.mark.parametrize("ragged", [[[1, 2], [3]], "words"])
def test_input_that_is_no_array_is_refused_in_one_sentence(ragged: object, project: Path) -> None:
    model = triptych.load("vae-20d")
    assert "latents are no array of numbers" in refused(lambda: model.decode(ragged))
    assert refused(lambda: model.encode(ragged))


def test_a_project_without_database_gets_none(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copyfile(project / "params.yaml", "params.yaml")
    assert "mlflow.db does not exist: run `triptych sync`" in refused(lambda: triptych.load("models:/vae-20d/1"))
    assert "is evaluated: run `triptych repro`" in refused(triptych.results)
    assert "vae-20d is not trained: run `triptych repro train@vae-20d`" in refused(lambda: triptych.load("vae-20d"))
    shutil.copytree(project / "models/vae-20d", "models/vae-20d")
    model = triptych.load("vae-20d")
    assert "vae-20d is not evaluated" in refused(lambda: model.metrics)
    assert "vae-20d comes without images" in refused(model.images)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["models", "params.yaml"]


def test_results_of_other_weights_are_not_shown(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(shutil.copytree(project, tmp_path / "copy"))
    shutil.rmtree("models/vae-20d")
    shutil.copytree("models/vae-20d-seed-1", "models/vae-20d")
    assert "vae-20d is not evaluated" in refused(lambda: triptych.load("vae-20d").metrics)


def test_results_are_the_summary(project: Path) -> None:
    table = triptych.results()
    assert list(table.index) == [*ONE_A_FAMILY, "vae-20d-seed-1"]
    numbers = ["test_elbo", "test_log_likelihood", "test_bits_per_dimension", "fid_classifier"]
    assert list(table) == ["family", "dataset", *numbers]
    assert list(triptych.results(all_columns=True))[-2:] == ["profile", "data_sha256"]
    for name in table.index:
        measured = read_json(project / "plots" / name / "results.json")
        assert table.loc[name, "fid_classifier"] == measured["fid_classifier"]["value"]
        assert table.loc[name, "dataset"] == measured["data"]["dataset"]
        assert table.loc[name, "test_elbo"] == pytest.approx(measured["test"].get("elbo", np.nan), nan_ok=True)
    averaged = triptych.results(average_seeds=True)
    assert list(averaged.index) == list(ONE_A_FAMILY)
    assert averaged["seeds"].tolist() == [2, 1, 1]
    spread = [column for number in numbers for column in (number, f"{number}_standard_deviation")]
    assert list(averaged) == ["family", "dataset", "seeds", *spread]
    assert "data_sha256" in triptych.results(average_seeds=True, all_columns=True)
    both = table.loc[["vae-20d", "vae-20d-seed-1"], "test_elbo"]
    assert averaged.loc["vae-20d", "test_elbo"] == pytest.approx(both.mean())
    assert averaged.loc["vae-20d", "test_elbo_standard_deviation"] == pytest.approx(both.std())
    assert np.isnan(averaged.loc["realnvp-mnist", "test_log_likelihood_standard_deviation"])


def test_a_folder_that_does_not_exist_is_no_project(project: Path) -> None:
    """The folder around it may be another project."""
    for call in (triptych.results, lambda project: triptych.load("vae-20d", project=project)):
        assert "typo is not a folder: name that of a project" in refused(
            lambda call=call: call(project=project / "typo")
        )


def test_scores_equal_those_of_the_command(project: Path, digits: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    np.save(path, digits)
    done = CliRunner().invoke(cli, ["score", str(path), "--reference", "mnist", "--json"])
    [wanted] = json.loads(done.stdout)["sets"].values()
    for images in (digits, torch.from_numpy(digits), digits / np.float32(255), path, str(path)):
        table = triptych.score(images, "mnist")
        assert table["value"].to_dict() == {key: row["value"] for key, row in wanted.items()}
        assert table.loc["fid_classifier", "low"] == wanted["fid_classifier"]["low"]
    assert "known names: mnist" in refused(lambda: triptych.score(digits, "cifar10"))
    assert refused(lambda: triptych.score(digits[:20], "mnist")).endswith("that IS and KID need: use more images")
    assert "holds int64" in refused(lambda: triptych.score(digits.astype(int), "mnist"))
    assert refused(lambda: triptych.score("y.npy", "mnist")) == "y.npy does not exist: check the path"


@pytest.mark.usefixtures("project")
def test_scores_without_resamplings_have_no_errors(digits: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    scores = importlib.import_module("triptych.api.scores")
    measure = scores.measure

    def without_errors(images: np.ndarray, folder: Path, protocol: Fidelity, *others: object) -> object:
        return measure(images, folder, protocol.model_copy(update={"resamplings": 0}), *others)

    monkeypatch.setattr(scores, "measure", without_errors)
    table = triptych.score(digits, "mnist")
    assert table["value"].notna().all()
    assert table[["standard_error", "low", "high"]].isna().all(axis=None)


@pytest.mark.parametrize("name", ONE_A_FAMILY)
def test_training_again_gives_a_model_of_the_same_settings(name: str, project: Path, tmp_path: Path) -> None:
    """The images, their split and the thread are those of the stage, so the weights are, too."""
    model = triptych.load(name)
    data = PreparedData.open(project / "data/prepared" / model.settings["dataset"])
    before = contents(project)
    again = triptych.train(
        model.settings, data.images("train"), data.images("valid"), device="cpu", folder=tmp_path / "again"
    )
    assert np.array_equal(again.sample(5), model.sample(5))
    assert again.settings == model.settings | {"dataset": "images", "reference": "images"}
    trained = [column for column in model.history if column.startswith("train_")]
    pd.testing.assert_frame_equal(again.history[trained], model.history[trained])
    loaded = triptych.load(tmp_path / "again")
    assert np.array_equal(loaded.sample(5), model.sample(5))
    assert "again is not evaluated: if it is an experiment in params.yaml" in refused(lambda: loaded.metrics)
    assert "again comes without images" in refused(loaded.images)
    assert contents(project) == before


def test_training_leaves_no_file_and_is_reproducible(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    images = np.random.default_rng(0).random((200, 28, 28)) > 0.9
    first, second, other = (
        triptych.train(settings, images, device="cpu")
        for settings in (VAE, VAE, {**VAE, "learning_rate": {"quick": 9.0, "full": 0.1}})
    )
    assert np.array_equal(first.sample(3), second.sample(3))
    assert not np.array_equal(first.sample(3), other.sample(3))
    assert first.history.index.tolist() == [0, 1, 2]
    assert list(tmp_path.iterdir()) == []


def test_a_divergence_names_the_settings() -> None:
    images = np.random.default_rng(0).random((200, 28, 28)) > 0.5
    sentence = refused(lambda: triptych.train({**VAE, "learning_rate": 1e4}, images))
    assert sentence.startswith("model diverged: negative_elbo is ")
    assert sentence.endswith("(epoch 1); lower learning_rate or set gradient_clip in the settings")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"epochs": -1}, "settings.epochs: .*greater than or equal to 0, but it is -1"),
        ({"epocs": 1}, "settings.epocs: unknown key"),
        ({"batch_size": 500}, "settings.batch_size is 500, more than the 180 training images"),
        ({"family": "vea"}, "settings.family: unknown family 'vea'"),
        ({"seed": None}, "settings.seed: .*but it is None"),
        ({"model": {"latent": 2}}, "settings.model.hidden: this key is missing"),
        ({"players": {"critic": {"learning_rate": 1.0, "weight_decay": 0.0}}}, "settings.players.critic: the players"),
    ],
)
def test_wrong_settings_are_refused_in_one_sentence(change: dict, words: str) -> None:
    with pytest.raises(TriptychError, match=words) as caught:
        triptych.train({**VAE, **change}, np.zeros((200, 28, 28), bool))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"images": np.zeros((200, 28))}, r"the shape \(200, 28\)"),
        (
            {"settings": RESNET},
            "holds grey images of 28 by 28, but architecture resnet is for 32 or 64 pixels",
        ),
        ({"images": np.zeros((200, 28, 20))}, "has images of 20 by 28 pixels, but they must be square"),
        ({"images": np.full((200, 28, 28), 0.4)}, "holds shades of grey"),
        ({"images": np.zeros((200, 3, 28, 28), bool)}, "colour images of 28 by 28, but a VAE models grey images"),
        ({"valid": np.zeros((1, 28, 28))}, "1 held-out images are too few"),
        ({"images": np.eye(28)[None].repeat(3, 0)}, "1 training images are too few"),
        ({"valid": np.zeros((9, 20, 20))}, r"the array of held-out images has the shape \(9, 20, 20\)"),
        ({"settings": ["vae"]}, "use a mapping"),
        ({"profile": "fast"}, "profile is 'fast'; use quick or full"),
        ({"device": "gpu"}, "device: input should be 'auto', 'cpu'"),
        ({"threads": 0}, "threads: "),
        ({"folder": ROOT}, "exists: choose a folder"),
    ],
)
def test_wrong_arguments_are_refused_in_one_sentence(options: dict, words: str) -> None:
    with pytest.raises(TriptychError, match=words) as caught:
        triptych.train(**{"settings": VAE, "images": np.zeros((200, 28, 28)), **options})
    assert "\n" not in str(caught.value)


def test_a_gpu_whose_driver_is_too_old_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)  # NVML counts the GPU in spite of its driver
    assert pick_device("auto") == torch.device("cpu")
