"""Training on a CUDA GPU: equal bytes in every run, with and without CUDA graphs, and the likelihoods of the CPU."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from rank import CASES
from test_processes import compare_states, state, train_in_one_and_two
from triptych.core.tracker import Console
from triptych.data.prepared import PreparedData
from triptych.models.common.load import load_family
from triptych.settings.params import Settings
from triptych.stages.train import train
from triptych.training.images import HeldOutImages
from triptych.training.trainer import Trainer

pytestmark = pytest.mark.gpu

NAMES = ["vae-20d", "vae-2d", "gan-mnist", "cifar10-jsd-2", "cifar10-jsd-2 penalised", "realnvp-mnist", "nice-mnist"]
PENALISED = {"reg_type": "r1gp", "reg_cf": 1.0, "spectral_normalization": False}
PRECISIONS = ["float32", "bf16"]


class Stopper(Console):
    """A tracker that stops the run after epoch 1."""

    def log(self, row: dict[str, float]) -> None:
        if row["epoch"] == 1:
            raise KeyboardInterrupt


def run(
    tiny: Settings, name: str, prepared: Path, folder: Path, tracker: Console | None = None, **runtime: object
) -> dict[str, bytes]:
    """Train, and return the files of the model folder."""
    settings = tiny.runtime.model_copy(update={"device": "cuda", **runtime})
    name, penalised = name.removesuffix(" penalised"), name.endswith(" penalised")
    experiment = tiny.experiment(name)
    model = experiment.model.model_copy(update=PENALISED) if penalised else experiment.model
    experiment = experiment.model_copy(update={"ema": 0.9, "schedule": "cosine", "model": model})
    train(
        name=name,
        experiment=experiment,
        profile="quick",
        runtime=settings,
        data=prepared / experiment.dataset,
        output=folder / name,
        checkpoints=folder / "checkpoints",
        code="code",
        tracker=tracker or Console(),
    )
    return {path.name: path.read_bytes() for path in sorted((folder / name).iterdir())}


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", NAMES)
def test_a_cuda_graph_gives_the_same_bytes(
    tiny: Settings, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, precision: str
) -> None:
    replayed: list[str] = []
    original = Trainer.step

    def watched(self: Trainer, batch: torch.Tensor) -> dict[str, torch.Tensor]:
        found = original(self, batch)
        replayed.extend([self.name] if self.graphed_step else [])
        return found

    monkeypatch.setattr(Trainer, "step", watched)
    one_by_one = run(tiny, name, prepared, tmp_path / "a", cuda_graphs=False, precision=precision)
    assert not replayed
    assert run(tiny, name, prepared, tmp_path / "b", cuda_graphs=True, precision=precision) == one_by_one
    assert replayed


@pytest.mark.parametrize("name", NAMES)
def test_a_stopped_run_ends_with_the_same_bytes(tiny: Settings, prepared: Path, tmp_path: Path, name: str) -> None:
    undisturbed = run(tiny, name, prepared, tmp_path / "a")
    with pytest.raises(KeyboardInterrupt):
        run(tiny, name, prepared, tmp_path / "b", Stopper())
    assert run(tiny, name, prepared, tmp_path / "b") == undisturbed


@pytest.mark.parametrize("name", ["realnvp-mnist", "nice-mnist"])
def test_the_likelihood_of_a_flow_equals_that_on_the_cpu(
    tiny: Settings, prepared: Path, tmp_path: Path, name: str
) -> None:
    run(tiny, name, prepared, tmp_path, device="cpu")
    data, found = PreparedData.open(prepared / tiny.experiment(name).dataset), []
    for device in map(torch.device, ("cpu", "cuda")):
        family = load_family(tmp_path / name, device)
        found.append(family.validate(HeldOutImages(data, "test", device))["negative_log_likelihood"])
    assert found[1] == pytest.approx(found[0], rel=1e-5)


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
def test_two_gpus_give_the_weights_of_one(tiny_params: dict, prepared: Path, tmp_path: Path) -> None:
    folders = train_in_one_and_two(tiny_params, prepared, tmp_path, "cuda")
    for case in CASES:
        compare_states(*(state(folders[count] / case) for count in (1, 2)))
        first, second = (state(folders[2] / case, rank) for rank in (0, 1))
        assert all(torch.equal(first[name], second[name]) for name in first)
