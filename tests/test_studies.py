"""Studies: equal bytes in every run, after any interruption, and configurations that do not influence each other."""

from __future__ import annotations

import copy
import math
import re
import statistics
from pathlib import Path

import pytest
import torch

from conftest import Recorder, run_study, with_study
from triptych.core.errors import TriptychError
from triptych.core.json_files import read_json
from triptych.core.tracker import Console
from triptych.objectives import loss1, loss2
from triptych.objectives.planar import invertible, planar_flow
from triptych.settings.params import Settings, parse
from triptych.studies.base import Study, fit
from triptych.studies.planar import pictures
from triptych.studies.planar.densities import DENSITIES
from triptych.studies.planar.settings import InitialScales
from triptych.studies.planar.training import build, configurations
from triptych.studies.settings import StudySettings
from triptych.training.checkpoint import CheckpointFolder
from triptych.training.history import read_history
from triptych.training.optimizers import RMSprop
from triptych.training.weights import load_tensors
from triptych.verify.baseline import LARGEST

PICTURES = {
    "planar-samples": [
        "M3.2-transformation.png",
        "M3.7-densities.png",
        "M3.7-likelihood.png",
        "M3.7-samples.png",
    ],
    "planar-density": ["M3.9-kl.png", "M3.9-samples.png"],
}
LAST = 12  # iterations


def run(tiny: Settings, name: str, folder: Path, tracker: Console | None = None, **changes: object) -> dict[str, bytes]:
    return run_study(with_study(tiny, name, **changes), name, folder, tracker)


@pytest.fixture(scope="module")
def places(tiny: Settings, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {name: tmp_path_factory.mktemp(name) for name in tiny.studies}


@pytest.fixture(scope="module")
def undisturbed(tiny: Settings, places: dict[str, Path]) -> dict[str, dict[str, bytes]]:
    return {name: run(tiny, name, folder) for name, folder in places.items()}


@pytest.mark.parametrize("name", PICTURES)
def test_a_second_run_gives_the_same_bytes(tiny: Settings, places: dict, undisturbed: dict, name: str) -> None:
    torch.manual_seed(12345)
    assert run(tiny, name, places[name]) == undisturbed[name]


@pytest.mark.parametrize(("name", "stop_after"), [("planar-samples", 1), ("planar-samples", 7), ("planar-density", 7)])
def test_a_stopped_run_ends_with_the_same_bytes(
    tiny: Settings, tmp_path: Path, undisturbed: dict, name: str, stop_after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "draw_pictures", lambda evaluation, numbers: None)  # which take the most time
    with pytest.raises(KeyboardInterrupt):
        run(tiny, name, tmp_path, Recorder(stop_after))
    assert not (tmp_path / "model").exists()
    tracker = Recorder()
    files = run(tiny, name, tmp_path, tracker)
    assert files == {path: content for path, content in undisturbed[name].items() if not path.endswith(".png")}
    assert [*[row["iteration"] for row in tracker.resumed], *tracker.steps] == list(range(1, LAST + 1))
    assert len(tracker.resumed) == stop_after - 1
    assert not list((tmp_path / "checkpoints").glob("*@*"))


def test_a_run_stopped_during_measurement_is_not_trained_again(
    tiny: Settings, tmp_path: Path, undisturbed: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stops(evaluation: object, numbers: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(pictures, "draw_pictures", stops)
        run(tiny, "planar-density", tmp_path)
    tracker = Recorder()
    assert run(tiny, "planar-density", tmp_path, tracker) == undisturbed["planar-density"]
    assert tracker.steps == []


@pytest.mark.parametrize("name", PICTURES)
def test_a_configuration_trains_as_if_alone(tiny: Settings, name: str) -> None:
    whole = tiny.study(name)
    together = build(whole, LAST)
    together.advance(range(LAST))
    for density in whole.densities:
        for k in whole.layers:
            alone = build(whole.model_copy(update={"densities": [density], "layers": [k]}), LAST)
            alone.advance(range(LAST))
            for key, value in alone.weights().items():
                assert torch.allclose(together.weights()[key], value, rtol=1e-4, atol=1e-5), key


@pytest.mark.parametrize("name", PICTURES)
def test_an_update_uses_autograds_gradient_of_the_loss(
    tiny: Settings, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loss of flows fitted to densities is annealed. The history shows the divergence, without annealing."""
    training, steps = build(tiny.study(name), LAST), []
    monkeypatch.setattr(training.optimizer, "step", lambda gradients, rate: steps.append(gradients[0]))
    met = []
    forward = training.flows.forward
    monkeypatch.setattr(training.flows, "forward", lambda z, layers: met.append(z) or forward(z, layers))
    (history,) = training.advance(range(1)).values()
    layers = training.layers.clone().requires_grad_()
    losses, shown = [], []
    for flow, configuration in enumerate(training.configurations):
        density, k = configurations(training.settings)[configuration]
        u, w, b = layers[flow, :k].split([2, 2, 1], dim=1)
        end, log_det = planar_flow(met[0][flow], invertible(u, w), w, b)
        if name == "planar-samples":
            losses.append(loss1(end, log_det))
            shown.append(losses[-1])
        else:
            energy = DENSITIES[density].energy(end)
            losses.append(loss2(training.settings.annealing.start * energy, met[0][flow], log_det))
            shown.append(loss2(energy, met[0][flow], log_det) + DENSITIES[density].log_normaliser())
    (expected,) = torch.autograd.grad(torch.stack(losses).sum(), layers)
    assert torch.allclose(steps[0], expected, rtol=1e-4, atol=1e-6)
    assert expected.abs().max() > 1e-2
    assert torch.allclose(history[0], torch.stack(shown), rtol=1e-4)


def test_the_energy_is_annealed_as_in_the_paper(params: dict) -> None:
    """Rezende and Mohamed (2015), equation 20: min(1, 0.01 + t / 10,000)."""
    full = parse(params | {"profile": "full"}).study("planar-density")
    training = build(full, full.iterations.full)
    for t in (0, 1, 2500, 5000, 9899, 9900, 9901, 19_999):
        assert training.factor(t) == pytest.approx(min(1, 0.01 + t / 10_000))
    without = full.model_copy(update={"annealing": None})
    assert build(without, 100).factor(0) == 1


@pytest.mark.parametrize("name", PICTURES)
def test_no_batch_is_used_twice(tiny: Settings, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    training, met = build(tiny.study(name), LAST), []
    forward = training.flows.forward
    monkeypatch.setattr(training.flows, "forward", lambda z, layers: met.append(z.clone()) or forward(z, layers))
    training.advance(range(2))
    training.advance(range(2, 4))
    assert len(torch.stack(met).unique(dim=0)) == 4


@pytest.mark.parametrize("name", PICTURES)
def test_initial_weights_have_the_scales_of_the_settings(tiny: Settings, name: str) -> None:
    scales = {"u": 0.2, "w": 1.5, "b": 4.0}
    changes = {"densities": ["arcs"], "layers": [1000], "initial_scales": InitialScales(**scales)}
    parts = build(tiny.study(name).model_copy(update=changes), LAST).parts()
    for part, scale in scales.items():
        assert float(parts[part].mean()) == pytest.approx(0, abs=0.15 * scale)
        assert float(parts[part].std()) == pytest.approx(scale, rel=0.1)


class Counting(Study):
    """A study whose quantity is the square of the iteration's number, or minus this square."""

    configurations = ("plus", "minus")

    def advance(self, iterations: range) -> dict[str, torch.Tensor]:
        squares = torch.tensor(iterations).double().square()
        return {"square": torch.stack([squares, -squares], 1)}

    def state(self) -> dict[str, torch.Tensor]:
        return {"nothing": torch.zeros(1)}

    def weights(self) -> dict[str, torch.Tensor]:
        return {}


def test_a_row_of_the_history_has_the_means_since_the_row_before_it(tmp_path: Path) -> None:
    """A history has at most 200 rows, so of 401 iterations, each row but the last one covers three."""
    folder = CheckpointFolder(tmp_path)
    history = fit("counting", Counting(), 401, checkpoints=folder, interval=math.inf, tracker=Console())
    assert [row["iteration"] for row in history] == [*range(3, 400, 3), 401]
    starts = [0, *(row["iteration"] for row in history[:-1])]
    for start, row in zip(starts, history, strict=True):
        mean = statistics.mean(t**2 for t in range(start, row["iteration"]))
        assert row == pytest.approx({"iteration": row["iteration"], "plus.square": mean, "minus.square": -mean})


@pytest.mark.parametrize("name", PICTURES)
def test_training_lowers_the_loss(tiny: Settings, name: str) -> None:
    settings = tiny.study(name).model_copy(update={"learning_rate": 0.01, "annealing": None})
    training = build(settings, 300)
    (values,) = training.advance(range(300)).values()
    assert (values[-50:].mean(0) < values[:50].mean(0)).all()


def test_numbers(places: dict, undisturbed: dict) -> None:
    samples, density = (read_json(places[name] / "plots" / "results.json") for name in PICTURES)
    assert samples["configurations"] == ["arcs-k1", "arcs-k3"]
    assert density["configurations"] == ["arcs-k1", "arcs-k3", "sine-k1", "sine-k3"]
    for metrics in (samples, density):
        assert metrics["iterations"] == LAST
        assert metrics["headline_is"]
        assert metrics["numbers_are"]
    for name in samples["configurations"]:
        found = samples[name]
        assert found["held_out"]["samples"] == 50
        assert found["training"]["samples"] == 100
        above = found["held_out"]["negative_log_likelihood"] - found["entropy"]
        assert found["above_entropy"] == pytest.approx(above, rel=1e-9)
        assert found["integral"] == pytest.approx(1.0, abs=0.02)
        assert found["inverse_error"]["value"] < 1e-8
    for name in density["configurations"]:
        found = density[name]
        assert found["kl"] == pytest.approx(found["loss"] + found["log_normaliser"], rel=1e-9)
        assert found["loss_standard_error"] > 0
        assert ("share_on_left_arc" in found) == name.startswith("arcs")


@pytest.mark.parametrize("name", PICTURES)
def test_no_file_names_the_folder(places: dict, undisturbed: dict, name: str) -> None:
    folder = str(places[name]).encode()
    assert [path for path, content in undisturbed[name].items() if folder in content] == []


@pytest.mark.parametrize("name", PICTURES)
def test_files(places: dict, undisturbed: dict, name: str) -> None:
    folder = places[name]
    assert sorted(path.name for path in (folder / "plots").glob("[A-Z]*.png")) == PICTURES[name]
    assert all(picture.stat().st_size <= LARGEST for picture in (folder / "plots").glob("*.png"))
    history = read_history(folder / "model" / "history.csv")
    assert [row["iteration"] for row in history] == list(range(1, LAST + 1))
    header, *rows = (folder / "plots" / "arcs-k3.csv").read_text().splitlines()
    assert header.startswith("iteration,")
    assert len(rows) == LAST
    weights, manifest = load_tensors(folder / "model/weights.safetensors"), read_json(folder / "model/manifest.json")
    assert weights["arcs-k3/u"].shape == (3, 2)
    assert manifest["settings"]["iterations"] == LAST
    assert manifest["weights_sha256"] == read_json(folder / "plots" / "results.json")["weights_sha256"]


@pytest.mark.parametrize("name", PICTURES)
def test_divergence_names_configuration_and_iteration(tiny: Settings, tmp_path: Path, name: str) -> None:
    quantity = {"planar-samples": "negative_log_likelihood", "planar-density": "kl"}[name]
    with pytest.raises(TriptychError, match=rf"{name} diverged: {quantity} of (arcs|sine)-k\d is not finite") as caught:
        run(tiny, name, tmp_path, learning_rate=1e30)
    assert "at iteration 2" in str(caught.value)
    assert f"studies.{name}.learning_rate" in str(caught.value)
    assert not (tmp_path / "model").exists()


def test_rmsprop_equals_pytorchs() -> None:
    source = torch.Generator().manual_seed(0)
    ours = [torch.randn(3, 2, generator=source), torch.randn(4, generator=source)]
    theirs = [torch.nn.Parameter(part.clone()) for part in ours]
    optimizer, reference = RMSprop(ours, 0.9), torch.optim.RMSprop(theirs, lr=0.01, alpha=0.9)
    for _ in range(5):
        gradients = [torch.randn(part.shape, generator=source) for part in ours]
        optimizer.step(gradients, 0.01)
        for part, gradient in zip(theirs, gradients, strict=True):
            part.grad = gradient
        reference.step()
    for found, wanted in zip(ours, theirs, strict=True):
        assert torch.equal(found, wanted)


@pytest.mark.parametrize(
    ("study_name", "key", "value", "names"),
    [
        ("planar-samples", "study", "cellular", "study is 'cellular'; known studies: planar"),
        ("planar-samples", "study", None, "known studies"),
        ("planar-samples", "learning_rat", 1, "learning_rat: unknown key"),
        ("planar-samples", "layers", [], "layers"),
        ("planar-samples", "layers", [2, 0], "layers.1"),
        ("planar-samples", "layers", [2, 2], "layers names a value twice"),
        ("planar-samples", "densities", ["arcs", "rings"], "densities.1"),
        ("planar-samples", "samples", None, "samples belongs to"),
        ("planar-samples", "annealing", {"start": 0.1, "ramp": 0.5}, "annealing belongs to"),
        ("planar-density", "annealing", {"start": 0.1, "ramp": 0.0}, "annealing.ramp"),
        ("planar-density", "samples", 100, "samples belongs to"),
        ("planar-density", "smoothing", 1.0, "smoothing"),
        ("planar-density", "iterations", {"quick": 0, "full": 1}, "iterations.quick"),
        ("planar-density", "seed", -1, "seed"),
    ],
)
def test_a_wrong_setting_is_named(params: dict, study_name: str, key: str, value: object, names: str) -> None:
    data = copy.deepcopy(params)
    data["studies"][study_name][key] = value
    with pytest.raises(TriptychError) as caught:
        parse(data)
    assert re.search(rf"studies\.{study_name}[.:]", str(caught.value))
    assert names in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["vae-20d", "baseline", "classifier-mnist"])
def test_a_name_that_is_in_use_is_refused(params: dict, name: str) -> None:
    data = copy.deepcopy(params)
    data["studies"][name] = data["studies"]["planar-samples"]
    with pytest.raises(TriptychError, match=rf"studies\.{name}: "):
        parse(data)


def test_settings_of_the_documents(params: dict) -> None:
    full = parse(params | {"profile": "full"})
    for name in PICTURES:
        found = full.study(name)
        assert isinstance(found, StudySettings)
        assert (found.iterations.full, found.layers, found.batch_size, found.learning_rate, found.smoothing) == (
            20000, [2, 8, 32], 128, 5e-4, 0.99
        )  # fmt: skip
    assert full.study("planar-density").annealing.model_dump() == {"start": 0.01, "ramp": 0.5}
    with pytest.raises(TriptychError, match=r"studies\.nothing; known names: planar-samples"):
        full.study("nothing")
