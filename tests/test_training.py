"""The training loop: equal bytes in every run, after any interruption, and clear errors."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import fmean
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
import torch
from filelock import FileLock
from torch.optim.lr_scheduler import CosineAnnealingLR, ExponentialLR, MultiStepLR

from conftest import Recorder
from power_cut import cut_power
from triptych.core.errors import DivergenceError, TriptychError
from triptych.core.json_files import read_json, write_json
from triptych.core.progress import Progress
from triptych.core.tracker import Console
from triptych.data.prepared import PreparedData
from triptych.models.common.registry import build
from triptych.reports.status import CURRENT, NEVER, RUNNING, DvcLock, _state, _state_of_training
from triptych.repository.project import Project
from triptych.settings.params import Settings
from triptych.stages.train import train
from triptych.training import checkpoint, distributed, resume
from triptych.training.checkpoint import CheckpointFolder
from triptych.training.checkpoint_locks import KEPT_SECONDS, checkpoint_folder
from triptych.training.ema import Ema
from triptych.training.history import read_history, write_history
from triptych.training.images import HeldOutImages, TrainingImages
from triptych.training.optimizers import Adam, clipping_divisor
from triptych.training.reproducible import run_key, seeded
from triptych.training.resume import ResumableRun
from triptych.training.running import output_lock, running_process
from triptych.training.settings import LearningRateDecay
from triptych.training.trainer import Duration, Trainer
from triptych.training.weights import load_tensors, save_tensors

NAMES = ["vae-20d", "gan-mnist", "cifar10-jsd-2", "realnvp-mnist"]
GANS = ["gan-mnist", "cifar10-jsd-2"]
CHANGES = {"ema": 0.9, "schedule": "cosine", "learning_rate_decay": LearningRateDecay(factor=0.5)}


def run(
    tiny: Settings, name: str, prepared: Path, folder: Path, tracker: Console | None = None, **changes: object
) -> Path:
    experiment = tiny.experiment(name).model_copy(update=changes)
    train(
        name=name,
        experiment=experiment,
        profile="quick",
        runtime=tiny.runtime,
        data=prepared / experiment.dataset,
        output=folder / name,
        checkpoints=folder / "checkpoints",
        code="code",
        tracker=tracker or Console(),
    )
    return folder / name


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def undisturbed(
    tiny: Settings, prepared: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, bytes]]:
    return {name: contents(run(tiny, name, prepared, tmp_path_factory.mktemp("runs"), **CHANGES)) for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_a_second_run_gives_the_same_bytes(
    tiny: Settings, prepared: Path, tmp_path: Path, name: str, undisturbed: dict
) -> None:
    torch.manual_seed(12345)
    torch.rand(17)
    assert contents(run(tiny, name, prepared, tmp_path, **CHANGES)) == undisturbed[name]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("stop_after", [0, 1, 2])
def test_a_stopped_run_ends_with_the_same_bytes(
    tiny: Settings, prepared: Path, tmp_path: Path, name: str, stop_after: int, undisturbed: dict
) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(tiny, name, prepared, tmp_path, Recorder(stop_after), **CHANGES)
    assert not (tmp_path / name).exists()
    tracker = Recorder()
    folder = run(tiny, name, prepared, tmp_path, tracker, **CHANGES)
    assert contents(folder) == undisturbed[name]
    assert [*[row["epoch"] for row in tracker.resumed], *tracker.steps] == [0, 1, 2, 3]
    assert not list((tmp_path / "checkpoints").glob("*@*"))


@pytest.mark.parametrize("name", NAMES)
def test_a_stopped_run_in_bf16_ends_with_the_same_bytes(
    tiny: Settings, prepared: Path, tmp_path: Path, name: str
) -> None:
    runtime = tiny.runtime.model_copy(update={"precision": "bf16"})
    in_bf16 = tiny.model_copy(update={"runtime": runtime})
    whole = contents(run(in_bf16, name, prepared, tmp_path / "whole"))
    with pytest.raises(KeyboardInterrupt):
        run(in_bf16, name, prepared, tmp_path, Recorder(1))
    assert contents(run(in_bf16, name, prepared, tmp_path)) == whole
    assert all(value.isfinite().all() for value in load_tensors(tmp_path / name / "weights.safetensors").values())


@pytest.mark.parametrize("name", NAMES)
def test_images_outside_of_the_memory_of_the_device_give_the_same_bytes(
    tiny: Settings, prepared: Path, tmp_path: Path, name: str, undisturbed: dict
) -> None:
    runtime = tiny.runtime.model_copy(update={"data_on_device": False})
    folder = run(tiny.model_copy(update={"runtime": runtime}), name, prepared, tmp_path, **CHANGES)
    found = contents(folder)
    assert {file: found[file] for file in found.keys() - {"manifest.json"}} == {
        file: undisturbed[name][file] for file in undisturbed[name].keys() - {"manifest.json"}
    }


def test_a_checkpoint_of_other_settings_is_not_used(tiny: Settings, prepared: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(tiny, "vae-20d", prepared, tmp_path, Recorder(2))
    assert list((tmp_path / "checkpoints").glob("vae-20d@*"))
    tracker = Recorder()
    run(tiny, "vae-20d", prepared, tmp_path, tracker, learning_rate=0.002)
    assert tracker.steps == [0, 1, 2, 3]


def test_a_damaged_checkpoint_is_refused_and_named(tiny: Settings, prepared: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(tiny, "vae-20d", prepared, tmp_path, Recorder(2))
    state = next((tmp_path / "checkpoints").glob("vae-20d@*/*.state.safetensors"))
    content = bytearray(state.read_bytes())
    content[-5] ^= 1
    state.write_bytes(content)
    with pytest.raises(TriptychError, match="checkpoint .* is damaged: delete"):
        run(tiny, "vae-20d", prepared, tmp_path)


class LockReleaser(Recorder):
    """A tracker that releases the lock as soon as the run reports that it waits."""

    def __init__(self, lock: FileLock) -> None:
        super().__init__()
        self.lock = lock
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)
        self.lock.release()


@pytest.mark.parametrize("rate", [0.001, 0.002], ids=["the same settings", "other settings"])
def test_a_second_process_waits_and_reports_the_first(
    tiny: Settings, prepared: Path, tmp_path: Path, rate: float
) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(tiny, "vae-20d", prepared, tmp_path, Recorder(2))
    lock = output_lock(tmp_path / "checkpoints", "vae-20d", tmp_path / "vae-20d")
    lock.with_suffix(".pid").write_text("4321")
    tracker = LockReleaser(FileLock(lock))
    with tracker.lock:
        run(tiny, "vae-20d", prepared, tmp_path, tracker, learning_rate=rate)
    assert "vae-20d is already run by another process (pid 4321)" in tracker.said[0]
    assert tracker.steps == ([2, 3] if rate == 0.001 else [0, 1, 2, 3])


def test_the_process_of_a_running_training_is_known(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "another project"
    with checkpoint_folder(tmp_path, "vae-20d", "key", here, pytest.fail):
        assert running_process(tmp_path, "vae-20d", here) == os.getpid()
        assert running_process(tmp_path, "vae-20d", there) is None
    assert running_process(tmp_path, "vae-20d", here) is None
    ended = subprocess.run(["sh", "-c", "echo $$"], capture_output=True, text=True, check=True).stdout
    output_lock(tmp_path, "vae-20d", here).with_suffix(".pid").write_text(ended)
    assert running_process(tmp_path, "vae-20d", here) is None


def test_a_process_that_got_the_id_of_an_earlier_one_does_not_train(tmp_path: Path) -> None:
    """After a power cut, the file with the id is left."""
    path = output_lock(tmp_path, "vae-20d", tmp_path).with_suffix(".pid")
    path.write_text(str(os.getpid()))
    assert running_process(tmp_path, "vae-20d", tmp_path) == os.getpid()
    os.utime(path, (psutil.Process().create_time() - 60,) * 2)
    assert running_process(tmp_path, "vae-20d", tmp_path) is None


def test_random_numbers_need_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """With too old a driver, torch counts a GPU that it cannot use."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with seeded(0, "order"):
        first = torch.rand(1)
    with seeded(0, "order"):
        assert torch.rand(1) == first


def test_status_says_which_trainings_run(tmp_path: Path) -> None:
    project, lock = Project(tmp_path), DvcLock(tmp_path, {}, {})
    model = project.model("vae-20d")
    with checkpoint_folder(project.checkpoints, "vae-20d", "key", model, pytest.fail):
        state = _state_of_training(project, lock, "train@vae-20d")
    assert state == (RUNNING, f"process {os.getpid()} trains it")
    assert _state_of_training(project, lock, "train@vae-20d").word == NEVER
    for key, step in (("old", 300), ("newer", 1200), ("another", 600)):
        (project.checkpoints / f"vae-20d@{key}").mkdir()
        write_json(project.checkpoints / f"vae-20d@{key}" / "index.json", {"step": step})
    assert _state_of_training(project, lock, "train@vae-20d").reason.startswith("a run stopped after step 1,200; with")
    stale = DvcLock(tmp_path, {}, {}, {"train@vae-20d": "seed was 1, is 2"})
    assert _state_of_training(project, stale, "train@vae-20d").reason.startswith("seed was 1, is 2; a run stopped")


def test_status_says_which_evaluations_run(tmp_path: Path, tiny: Settings) -> None:
    project, metrics = Project(tmp_path), Project(tmp_path).metrics("vae-20d")
    lock = DvcLock(tmp_path, {}, {}, {"train@vae-20d": CURRENT, "evaluate@vae-20d": NEVER})
    with checkpoint_folder(project.checkpoints, "evaluate-vae-20d", "key", metrics, pytest.fail):
        assert _state(project, tiny, lock, "vae-20d") == (RUNNING, f"process {os.getpid()} evaluates it")
    assert _state(project, tiny, lock, "vae-20d").word == "not evaluated"


def test_runs_with_the_same_name_and_other_outputs_do_not_wait(tmp_path: Path) -> None:
    """DVC's experiments share one folder of checkpoints."""
    elsewhere = FileLock(output_lock(tmp_path, "vae-20d", Path("elsewhere")))
    here = checkpoint_folder(tmp_path, "vae-20d", "key", tmp_path / "here", pytest.fail)
    with elsewhere, FileLock(tmp_path / "vae-20d@other.lock"), here:
        assert (tmp_path / "vae-20d@key").is_dir()
    assert not list(tmp_path.glob("vae-20d@key*"))


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="the simulated disk needs Linux")
@pytest.mark.parametrize("operations", range(3, 74, 7))
def test_a_power_cut_between_two_writes(
    tiny: Settings, prepared: Path, tmp_path: Path, operations: int, undisturbed: dict
) -> None:
    def train_it() -> None:
        run(tiny, "vae-20d", prepared, tmp_path, **CHANGES)

    was_cut = cut_power(tmp_path, operations, train_it)
    assert was_cut
    train_it()
    assert contents(tmp_path / "vae-20d") == undisturbed["vae-20d"]
    assert not list(tmp_path.glob("**/*.part")) + list(tmp_path.glob("checkpoints/*@*"))


def test_a_checkpoint_of_another_version_or_machine_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    here = run_key(torch.device("cpu"), "inputs")
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "other")
    assert run_key(torch.device("cpu"), "inputs") != here
    monkeypatch.undo()
    monkeypatch.setattr(torch, "__version__", "0.0")
    assert run_key(torch.device("cpu"), "inputs") != here
    monkeypatch.undo()
    assert run_key(torch.device("cpu"), "inputs") == here


def test_checkpoints_of_other_unfinished_runs_are_kept_for_a_month(tmp_path: Path) -> None:
    root, now = tmp_path / "checkpoints", time.time()
    names = [f"vae-{number}@key" for number in range(40)] + [f"vae-20d@{number}" for number in range(6)]
    for name in names:
        (root / name).mkdir(parents=True)
    for name, age in (("vae-0@key", KEPT_SECONDS + 60), ("vae-1@key", KEPT_SECONDS + 60), ("vae-2@key", 60)):
        os.utime(root / name, (now - age, now - age))
    with FileLock(root / "vae-1@key.lock"), checkpoint_folder(root, "new", "key", tmp_path / "new", print):
        left = {place.name for place in root.glob("*@*") if place.is_dir()}
    assert left == {*names, "new@key"} - {"vae-0@key"}, "vae-1 is old, but another process holds its lock"


def test_mixed_precision_uses_the_weights_after_an_update(tiny: Settings) -> None:
    torch.manual_seed(0)
    experiment = tiny.experiment("gan-mnist")
    family = build("gan", experiment.model, (28, 28))
    trainer = Trainer("g", family, experiment, Duration(1), tiny.runtime.model_copy(update={"precision": "bf16"}))

    def set_to_zero(player: str, loss: torch.Tensor) -> None:  # the loss of a discriminator of zeros is log 2
        for parameter in family.players()[player]:
            parameter.data.zero_()

    family.networks.train()
    with trainer.mixed_precision():
        found = family.step(torch.randint(0, 256, (50, 28, 28), dtype=torch.uint8), set_to_zero)
    assert found["generator_loss"].item() == pytest.approx(math.log(2), abs=1e-6)


def test_only_forward_passes_are_computed_in_bfloat16(tiny: Settings) -> None:
    experiment, runtime = tiny.experiment("gan-mnist"), tiny.runtime.model_copy(update={"precision": "bf16"})
    trainer = Trainer("g", build("gan", experiment.model, (28, 28)), experiment, Duration(1), runtime)
    default, in_backward = torch.get_autocast_dtype("cpu"), []
    torch.set_autocast_dtype("cpu", torch.float16)
    try:
        with trainer.mixed_precision():
            loss = sum(parameter.square().sum() for parameter in trainer.optimizers["generator"].parameters)
            loss.register_hook(lambda _: in_backward.append(torch.is_autocast_enabled("cpu")))
            trainer.update("generator", loss)
            assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16
    finally:
        torch.set_autocast_dtype("cpu", default)
    assert in_backward == [False]


def test_divergence_stops_the_run_with_its_step(tiny: Settings, prepared: Path, tmp_path: Path) -> None:
    with pytest.raises(TriptychError, match=r"realnvp-mnist diverged: .* step \d+ .*learning_rate"):
        run(tiny, "realnvp-mnist", prepared, tmp_path, learning_rate=1e38)
    assert not (tmp_path / "realnvp-mnist").exists()


def test_a_diverging_vae_reports_its_step(tiny: Settings, prepared: Path, tmp_path: Path) -> None:
    with pytest.raises(TriptychError, match=r"vae-20d diverged: negative_elbo is not finite at step [2-9] \(epoch 1\)"):
        run(tiny, "vae-20d", prepared, tmp_path, learning_rate=1e38)


def test_zero_epochs_of_a_flow(tiny: Settings, prepared: Path, tmp_path: Path) -> None:
    budget = tiny.experiment("realnvp-mnist").epochs.model_copy(update={"quick": 0})
    folder = run(tiny, "realnvp-mnist", prepared, tmp_path, epochs=budget)
    assert [row["epoch"] for row in read_history(folder / "history.csv")] == [0]
    assert contents(folder)["epoch-0000.safetensors"] == contents(folder)["weights.safetensors"]


def test_content_of_a_model_folder(undisturbed: dict, tmp_path: Path) -> None:
    for name in NAMES:
        for file, content in undisturbed[name].items():
            (tmp_path / file).write_bytes(content)
        manifest, history = read_json(tmp_path / "manifest.json"), read_history(tmp_path / "history.csv")
        assert manifest["snapshots"] == ([0, 1, 2] if name == "cifar10-jsd-2" else [int(name == "realnvp-mnist"), 2])
        assert [row["epoch"] for row in history] == [0, 1, 2, 3]
        headline = next(key for key in history[0] if key.startswith("valid_"))
        assert all(headline in row and "train_" + headline[6:] in row for row in history)
        if name not in GANS:
            assert history[-1][headline] < history[0][headline]
        part = "generator." if name in GANS else ""
        final = {key for key in load_tensors(tmp_path / "weights.safetensors") if key.startswith(part)}
        assert final
        for epoch in manifest["snapshots"]:
            assert {part + key for key in load_tensors(tmp_path / f"epoch-{epoch:04d}.safetensors")} == final


def dense(inputs: int, outputs: int) -> int:
    """Return the number of weights and biases of a linear layer."""
    return (inputs + 1) * outputs


def test_the_number_of_parameters_is_that_of_all_networks(undisturbed: dict) -> None:
    vae = dense(784, 32) + dense(32, 2 * 4) + dense(4, 32) + dense(32, 784)
    generator = dense(8, 16) + dense(16, 32) + 2 * 32 + dense(32, 784)
    discriminator = dense(784, 32) + dense(32, 16) + dense(16, 1)
    for name, count in (("vae-20d", vae), ("gan-mnist", generator + discriminator)):
        assert json.loads(undisturbed[name]["manifest.json"])["parameters"] == count


def test_history_keeps_every_digit(tmp_path: Path) -> None:
    rows = [{"epoch": 0, "valid_x": 0.1 + 0.2}, {"epoch": 1, "train_x": 1e-300, "valid_x": -math.pi}]
    write_history(tmp_path / "history.csv", rows)
    assert read_history(tmp_path / "history.csv") == rows


@pytest.mark.parametrize("text", ["epoch,kl\n0,1,2\n", "epoch,kl\n0\n", "kl\n1\n", "epoch,kl\n", "epoch,kl\nx,1\n", ""])
def test_a_damaged_history_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "history.csv"
    with pytest.raises(TriptychError, match=r"history\.csv does not exist: run the stage that makes it"):
        read_history(path)
    path.write_text(text, encoding="utf-8")
    with pytest.raises(TriptychError, match=r"history\.csv is damaged .*: delete it and run its stage again"):
        read_history(path)


def test_ema_is_its_formula_and_copies_buffers() -> None:
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.BatchNorm1d(3))
    ema, expected = Ema(network, 0.5), network[0].weight.detach().clone()
    decays = [2 / 11, 3 / 12, 4 / 13, 5 / 14, 6 / 15, 7 / 16, 8 / 17, 0.5, 0.5, 0.5, 0.5, 0.5]
    for step, decay in enumerate(decays, start=1):
        with torch.no_grad():
            network[0].weight += torch.randn(3, 3)
        network(torch.randn(8, 3))
        ema.update(step)
        expected = decay * expected + (1 - decay) * network[0].weight.detach()
    trained = network[0].weight.clone()
    with ema.applied():
        assert torch.allclose(network[0].weight, expected, atol=1e-6)
        assert torch.equal(network[1].running_mean, ema.shadow["1.running_mean"])
    assert torch.equal(network[0].weight, trained)
    assert int(ema.shadow["1.num_batches_tracked"]) == 12


def test_models_are_evaluated_with_the_averaged_weights(tiny: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every step adds 1 to a bias; its average follows from the decays min(0.5, (1 + t) / (10 + t)) of t steps."""
    experiment = tiny.experiment("gan-mnist").model_copy(update={"ema": 0.5, "batch_size": 10})
    family = build("gan", experiment.model, (28, 28))
    bias = family.averaged.layers[0].bias

    def step(pixels: torch.Tensor, update: object) -> dict[str, torch.Tensor]:
        bias.data += 1
        return {"loss": bias[0].detach().clone()}

    bias.data.zero_()
    monkeypatch.setattr(family, "step", step)
    monkeypatch.setattr(family, "validate", lambda _: {"bias": float(bias[0])})
    images = TrainingImages(torch.zeros(40, 28, 28, dtype=torch.uint8), torch.device("cpu"), redraws=False)
    trainer = Trainer("g", family, experiment, Duration(3), tiny.runtime)
    average = 0.0
    for epoch in range(1, 4):
        trainer.train_epoch(epoch, images, Progress("g", 120, 0))
        for done in range(4 * epoch - 3, 4 * epoch + 1):
            decay = min(0.5, (1 + done) / (10 + done))
            average = decay * average + (1 - decay) * done
        assert trainer.validate(epoch, None) == {"valid_bias": pytest.approx(average, rel=1e-6)}
        assert trainer.snapshot()["layers.0.bias"][0].item() == pytest.approx(average, rel=1e-6)
        assert bias[0].item() == 4 * epoch


def test_the_loop_sets_the_epoch_of_the_family(tiny: Settings, prepared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = tiny.experiment("vae-20d")
    family = build("vae", experiment.model, (28, 28))
    seen, step = [], family.step
    monkeypatch.setattr(family, "step", lambda pixels, update: seen.append(family.epoch) or step(pixels, update))
    images = TrainingImages.load(PreparedData.open(prepared / "binarized_mnist"), torch.device("cpu"), on_device=True)
    Trainer("v", family, experiment, Duration(3), tiny.runtime).train_epoch(2, images, Progress("v", 900, 300))
    assert seen == pytest.approx([1 + index / 6 for index in range(6)])


@pytest.mark.parametrize("budget", [0, 1])
def test_zero_and_one_epoch_of_a_vae(tiny: Settings, prepared: Path, tmp_path: Path, budget: int) -> None:
    epochs = tiny.experiment("vae-20d").epochs.model_copy(update={"quick": budget})
    folder = run(tiny, "vae-20d", prepared, tmp_path, epochs=epochs)
    assert [row["epoch"] for row in read_history(folder / "history.csv")] == list(range(budget + 1))


@pytest.mark.parametrize("redraws", [False, True])
def test_training_images_of_a_data_set(redraws: bool) -> None:
    pixels = np.arange(12, dtype=np.uint8).reshape(3, 2, 2)
    data, device = SimpleNamespace(images={"train": pixels}.get, redraws=redraws), torch.device("cpu")
    found = TrainingImages.load(data, device, 2, on_device=True)
    assert (found.pixels.numpy() == pixels).all()
    assert (found.device, found.redraws, found.max_shift) == (device, redraws, 2)


def test_held_out_training_images_are_the_same_every_time(prepared: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(prepared / "mnist", tmp_path / "mnist")
    manifest = read_json(folder / "manifest.json")
    write_json(folder / "manifest.json", {**manifest, "binarization": "stochastic"})
    data, device = PreparedData.open(folder), torch.device("cpu")
    first, second = (HeldOutImages(data, "train", device, 40).pixels for _ in range(2))
    assert first.shape == (40, 28, 28)
    assert torch.equal(first, second)
    assert set(first.unique().tolist()) == {0, 1}


@pytest.mark.parametrize(
    ("changes", "schedulers"),
    [
        ({"schedule": "cosine"}, ["cosine"]),
        ({"learning_rate_decay": LearningRateDecay(factor=0.3, epochs=[1, 2])}, ["steps"]),
        ({"learning_rate_decay": LearningRateDecay(factor=0.7)}, ["exponential"]),
        ({"schedule": "cosine", "learning_rate_decay": LearningRateDecay(factor=0.7)}, ["cosine", "exponential"]),
    ],
)
@pytest.mark.parametrize(
    ("name", "updates", "bases"), [("vae-20d", 18, {1e-3: 1}), ("cifar10-jsd-2", 12, {4e-4: 2, 1e-3: 1})]
)
def test_learning_rates_are_those_of_pytorchs_schedulers(
    tiny: Settings,
    prepared: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    updates: int,
    bases: dict[float, int],
    changes: dict[str, object],
    schedulers: list[str],
) -> None:
    """`bases` are the first learning rate of each player, and its number of steps per update."""
    used: dict[Adam, list[float]] = {}
    step = Adam.step

    def recorded(self: Adam, gradients: list[torch.Tensor], rate: float, divisor: torch.Tensor | None) -> None:
        used.setdefault(self, []).append(rate)
        step(self, gradients, rate, divisor)

    monkeypatch.setattr(Adam, "step", recorded)
    run(tiny, name, prepared, tmp_path, **changes)
    epochs = tiny.experiment(name).at("quick").epochs
    per_epoch = updates // epochs
    factors = np.prod([scheduled_factors(scheduler, epochs, per_epoch) for scheduler in schedulers], axis=0)
    expected = [[base * factor for factor in factors for _ in range(bases[base])] for base in bases]
    assert list(used.values()) == [pytest.approx(rates, rel=1e-6) for rates in expected]


def scheduled_factors(name: str, epochs: int, per_epoch: int) -> list[float]:
    """Return the learning rate of each update with one of PyTorch's schedulers, for the base rate 1."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], 1.0)
    scheduler = {
        "cosine": lambda: CosineAnnealingLR(optimizer, epochs * per_epoch),
        "steps": lambda: MultiStepLR(optimizer, [1, 2], gamma=0.3),
        "exponential": lambda: ExponentialLR(optimizer, gamma=0.7),
    }[name]()
    factors = []
    for update in range(1, epochs * per_epoch + 1):
        factors.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if name == "cosine" or update % per_epoch == 0:
            scheduler.step()
    return factors


def test_an_epochs_row_is_the_mean_over_its_steps(
    tiny: Settings, prepared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = tiny.experiment("vae-20d").model_copy(update={"batch_size": 5})
    family = build("vae", experiment.model, (28, 28))
    steps: list[dict[str, float]] = []
    step = family.step

    def recorded(*arguments: object) -> dict[str, torch.Tensor]:
        quantities = step(*arguments)
        steps.append({f"train_{name}": float(value) for name, value in quantities.items()})
        return quantities

    monkeypatch.setattr(family, "step", recorded)
    images = TrainingImages.load(PreparedData.open(prepared / "binarized_mnist"), torch.device("cpu"), on_device=True)
    trainer = Trainer("v", family, experiment, Duration(2), tiny.runtime)
    for count, run_epoch in (
        (20, lambda: trainer.untrained_epoch(images, 100)),
        (60, lambda: trainer.train_epoch(1, images, Progress("v", 300, 0))),
    ):
        steps.clear()
        row = run_epoch()
        assert len(steps) == count
        assert row == {key: pytest.approx(fmean(each[key] for each in steps), rel=1e-6) for key in steps[0]}


def test_clipping_divides_by_the_common_norm_only_if_it_is_too_large() -> None:
    gradients = [torch.tensor([3.0, 0.0]), torch.tensor([[4.0]])]
    assert [clipping_divisor(gradients, largest).item() for largest in (1.0, 10.0)] == [5.0, 1.0]
    assert clipping_divisor([torch.zeros(3)], 1.0) == 1.0


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("largest", [None, 1.0])
def test_adam_equals_pytorchs(weight_decay: float, largest: float | None) -> None:
    torch.manual_seed(0)
    ours = [torch.nn.Parameter(torch.randn(3, 2)), torch.nn.Parameter(torch.randn(4))]
    theirs = [torch.nn.Parameter(parameter.detach().clone()) for parameter in ours]
    mine = Adam(ours, [0.5, 0.99], weight_decay)
    other = torch.optim.Adam(theirs, lr=1.0, betas=(0.5, 0.99), weight_decay=weight_decay, fused=True)
    for step in range(1, 6):
        gradients = [torch.randn_like(parameter) for parameter in ours]
        for parameter, gradient in zip(theirs, gradients, strict=True):
            parameter.grad = gradient.clone()
        mine.step(gradients, 0.1 / step, clipping_divisor(gradients, largest) if largest else None)
        if largest:
            torch.nn.utils.clip_grad_norm_(theirs, largest)
        other.param_groups[0]["lr"] = 0.1 / step
        other.step()
        for one, another in zip(ours, theirs, strict=True):
            torch.testing.assert_close(one, another, rtol=1e-5 if largest else 0.0, atol=1e-6 if largest else 0.0)


@pytest.mark.parametrize("rank", [0, 1])
def test_two_processes_share_their_work(monkeypatch: pytest.MonkeyPatch, rank: int) -> None:
    """This process is `rank`; the other one adds its numbers in each all-reduce."""
    gathered_by_other = torch.tensor([[8.0, 9.0], [0.0, 0.0]]).roll(1 - rank, 0)
    others = iter([torch.arange(6.0), torch.tensor([3.0, 6.0]), gathered_by_other])
    monkeypatch.setattr(distributed, "world_size", lambda: 2)
    monkeypatch.setattr(distributed, "rank", lambda: rank)
    monkeypatch.setattr(distributed.distributed, "all_reduce", lambda tensor: tensor.add_(next(others)))
    assert distributed.shard(torch.arange(6)).tolist() == [[0, 1, 2], [3, 4, 5]][rank]
    matrix, vector = distributed.averaged([torch.ones(2, 2), torch.zeros(2)])
    assert (matrix.tolist(), vector.tolist()) == ([[0.5, 1.0], [1.5, 2.0]], [2.0, 2.5])
    assert distributed.averaged_row({"loss": 1.0, "kl": 2.0}, torch.device("cpu")) == {"loss": 2.0, "kl": 4.0}
    gathered = distributed.all_gather(torch.tensor([1.0, 2.0]))
    assert gathered.tolist() == [[1.0, 2.0], [8.0, 9.0]][:: 1 - 2 * rank]


def test_stochastic_binarisation_differs_between_passes() -> None:
    images = TrainingImages(torch.full((40, 28, 28), 128, dtype=torch.uint8), torch.device("cpu"), redraws=True)
    visits = [torch.cat(list(images.batches(20, 2, torch.Generator().manual_seed(0)))) for _ in range(2)]
    assert not torch.equal(*visits)
    assert set(visits[0].unique().tolist()) == {0, 1}
    assert visits[0].float().mean().item() == pytest.approx(128 / 255, abs=0.02)


def test_a_diverged_run_keeps_its_snapshots(tiny: Settings, prepared: Path, tmp_path: Path) -> None:
    """With W1, no constraint and a learning rate of 1, the critic's output grows without bound."""
    experiment = tiny.experiment("cifar10-jsd-2")
    model = {"loss_type": "w1", "spectral_normalization": False, "width": 16}
    changes = {
        "model": experiment.model.model_copy(update=model),
        "players": {"critic": experiment.players["critic"].model_copy(update={"learning_rate": 1.0})},
    }
    words = r"diverged: critic_loss is -?[\d.]+e\+\d+ at step \d \(epoch 1\); .*snapshots after epochs 0 "
    with pytest.raises(DivergenceError, match=words) as caught:
        run(tiny, "cifar10-jsd-2", prepared, tmp_path, **changes)
    assert not (tmp_path / "cifar10-jsd-2").exists()
    place = next(path for path in (tmp_path / "checkpoints").glob("cifar10-jsd-2@*") if path.is_dir())
    assert str(place) in str(caught.value)
    assert [path.name for path in place.glob("epoch-*.safetensors")] == ["epoch-0000.safetensors"]


def test_networks_that_stop_learning_are_refused(
    tiny: Settings, prepared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = tiny.experiment("vae-20d").model_copy(update={"batch_size": 5})
    family = build("vae", experiment.model, (28, 28))
    monkeypatch.setattr(family, "step", lambda pixels, update: {"loss": torch.tensor(0.25), "kl": torch.tensor(0.0)})
    images = TrainingImages.load(PreparedData.open(prepared / "binarized_mnist"), torch.device("cpu"), on_device=True)
    with pytest.raises(DivergenceError, match=r"networks are dead, loss is 0\.25 .* from step 1 to 50 \(epoch 1\)"):
        Trainer("v", family, experiment, Duration(1), tiny.runtime).train_epoch(1, images, Progress("v", 300, 0))


def test_a_validation_number_that_is_not_finite_is_refused(
    tiny: Settings, prepared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = tiny.experiment("vae-20d")
    family = build("vae", experiment.model, (28, 28))
    monkeypatch.setattr(family, "validate", lambda images: {"loss": math.nan})
    held_out = HeldOutImages(PreparedData.open(prepared / "binarized_mnist"), "valid", torch.device("cpu"))
    words = r"^v diverged: valid_loss is nan after epoch 1; lower experiments\.v\.learning_rate or set its"
    with pytest.raises(DivergenceError, match=words):
        Trainer("v", family, experiment, Duration(1), tiny.runtime).validate(1, held_out)


def test_a_likelihood_that_is_not_finite_names_the_experiment(
    tiny: Settings, prepared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = tiny.experiment("vae-20d")
    family = build("vae", experiment.model, (28, 28))

    def validate(images: HeldOutImages) -> dict[str, float]:
        raise DivergenceError("the likelihood is not finite")

    monkeypatch.setattr(family, "validate", validate)
    held_out = HeldOutImages(PreparedData.open(prepared / "binarized_mnist"), "valid", torch.device("cpu"))
    words = r"^v diverged: the likelihood is not finite, after epoch 2; lower experiments\.v\.learning_rate or set its"
    with pytest.raises(DivergenceError, match=words):
        Trainer("v", family, experiment, Duration(2), tiny.runtime).validate(2, held_out)


@pytest.mark.parametrize("name", ["vae-20d", "cifar10-jsd-2"])
def test_a_batch_that_is_larger_than_the_training_set_is_refused(
    tiny: Settings, prepared: Path, tmp_path: Path, name: str
) -> None:
    experiment = tiny.experiment(name)
    known = PreparedData.open(prepared / experiment.dataset).size("train")
    size = known // experiment.model.batches_per_step + 1
    needed = size * experiment.model.batches_per_step
    words = rf"^experiments\.{name}\.batch_size needs {needed} images per update, more than the {known} training images"
    with pytest.raises(TriptychError, match=words):
        run(tiny, name, prepared, tmp_path, batch_size=size)


def test_an_epoch_of_updates_takes_as_many_passes_as_it_needs() -> None:
    """Ten images in batches of four: two batches per pass, in a new order, without repetition within a pass."""
    images = TrainingImages(torch.arange(10, dtype=torch.uint8)[:, None, None], torch.device("cpu"), redraws=False)
    batches = [batch.flatten().tolist() for batch in images.batches(4, 5, torch.Generator().manual_seed(0))]
    assert [len(batch) for batch in batches] == [4] * 5
    for first, second in (batches[:2], batches[2:4]):
        assert len({*first, *second}) == 8
    assert batches[:2] != batches[2:4]


def test_all_images_of_a_batch_are_shifted_alike() -> None:
    """One bright pixel in the middle shows the shift. All 25 shifts by up to two pixels occur."""
    pixels = torch.zeros(40, 7, 7, dtype=torch.uint8)
    pixels[:, 3, 3] = torch.arange(1, 41)
    images = TrainingImages(pixels, torch.device("cpu"), redraws=False, max_shift=2)
    torch.manual_seed(0)
    places, order = set(), torch.Generator().manual_seed(0)
    for batch in images.batches(20, 400, order):
        (place,) = {(row, column) for _, row, column in batch.nonzero().tolist()}
        places.add(place)
        assert len(batch[:, place[0], place[1]].unique()) == 20
    assert places == {(row, column) for row in range(1, 6) for column in range(1, 6)}


def test_epochs_of_snapshots() -> None:
    assert Duration(40).snapshots(0) == [0, 20]
    assert Duration(40).snapshots(1) == [1, 20]
    assert Duration(0).snapshots(1) == [0]
    assert Duration(8, 10, 2).snapshots(0) == [0, 2, 4, 6]
    assert Duration(0, 10, 2).snapshots(0) == [0]


def test_ctrl_c_waits_until_a_checkpoint_is_complete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes between the two files of the first checkpoint."""
    folder, history = CheckpointFolder(tmp_path), [{"epoch": 3.0}]

    def interrupted(path: Path, tensors: dict[str, torch.Tensor]) -> None:
        save_tensors(path, tensors)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(checkpoint, "save_tensors", interrupted)
    with pytest.raises(KeyboardInterrupt):
        folder.save(3, {"x": torch.ones(2)}, history, 5.0)
    step, tensors, found, seconds = folder.load()
    assert (step, tensors["x"].tolist(), found, seconds) == (3, [1.0, 1.0], history, 5.0)
    with ThreadPoolExecutor(1) as pool:
        monkeypatch.undo()
        pool.submit(folder.save, 4, {"x": torch.ones(2)}, history, 6.0).result()
    assert folder.load()[0] == 4
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_a_checkpoint_is_due_after_its_interval(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(resume, "time", SimpleNamespace(monotonic=lambda: now[0]))
    saved: list[int] = []
    monkeypatch.setattr(CheckpointFolder, "save", lambda folder, step, *_: saved.append(step))
    settings = {"unit": "epoch", "total": 9, "interval": 25.0, "began": 0.0, "saved": 0.0}
    run = ResumableRun("r", CheckpointFolder(tmp_path), Recorder(), **settings)
    for epoch in range(10):
        now[0] = 10.0 * epoch
        run.log({"epoch": epoch})
        run.save_if_due(dict)
    assert saved == [3, 6], "and not after the last epoch, 30 s later"
