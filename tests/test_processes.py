"""Training in several processes gives the numbers of one process, and prints one sentence if a process dies."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import torch
from ruamel.yaml import YAML
from torch.distributed.elastic.multiprocessing.errors import ErrorHandler, ProcessFailure

from conftest import environment, is_gone, wait_until
from rank import CASES, RESUMED, STOPPED, UPDATES
from triptych.cli.errors import INTERRUPTED
from triptych.core.errors import DivergenceError, TriptychError
from triptych.core.json_files import read_json
from triptych.runner.torchrun import raise_first_failure
from triptych.settings.params import Settings
from triptych.training.distributed import process_group
from triptych.training.history import read_history
from triptych.training.weights import load_tensors

ROUNDING = 1e-7  # in float64, but gradients are clipped by a divisor in float32, the type that fused Adam takes


def train_in_one_and_two(params: dict, prepared: Path, folder: Path, device: str) -> dict[int, Path]:
    """Run tests/rank.py in one and in two processes; return the output folders by number of processes."""
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--local-addr", "localhost", "--nproc-per-node", "2"]
    torchrun += ["--log-dir", str(folder / "log")]
    running = {}
    for count, words in {1: [], 2: torchrun}.items():
        settings = folder / f"{count}.json"
        runtime = params["runtime"] | {"device": device, "processes": count}
        settings.write_text(json.dumps(params | {"runtime": runtime}))
        place = [str(settings), str(prepared / "cifar10"), str(folder / str(count))]
        command = [sys.executable, *words, str(Path(__file__).with_name("rank.py")), *place]
        running[count] = subprocess.Popen(command, env=environment(), stderr=subprocess.PIPE, text=True)
    for count, process in running.items():
        _, errors = process.communicate()
        assert process.returncode == 0, (count, errors)
    return {count: folder / str(count) for count in running}


@pytest.fixture(scope="module")
def trained(tiny_params: dict, prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    return train_in_one_and_two(tiny_params, prepared, tmp_path_factory.mktemp("processes"), "cpu")


def state(folder: Path, rank: int = 0) -> dict[str, torch.Tensor]:
    return load_tensors(folder / f"state-{rank}.safetensors")


@pytest.mark.parametrize("case", CASES)
def test_two_processes_give_the_losses_of_one(trained: dict[int, Path], case: str) -> None:
    one, two = (read_history(trained[count] / case / "model" / "history.csv") for count in (1, 2))
    assert len(one) == UPDATES + 1
    assert len({row["train_critic_loss"] for row in one}) == UPDATES + 1
    for before, after in zip(one, two, strict=True):
        assert after == pytest.approx(before, rel=ROUNDING, abs=ROUNDING)


def compare_states(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> None:
    assert one.keys() == two.keys()
    assert {name.split("/")[0] for name in one} == {"networks", "ema", "optimizer"}
    for name, expected in one.items():
        torch.testing.assert_close(two[name], expected, rtol=ROUNDING, atol=ROUNDING, msg=lambda text, n=name: n + text)


@pytest.mark.parametrize("case", CASES)
def test_two_processes_give_the_weights_averages_and_moments_of_one(trained: dict[int, Path], case: str) -> None:
    compare_states(*(state(trained[count] / case) for count in (1, 2)))


@pytest.mark.parametrize("case", CASES)
def test_both_processes_end_with_equal_bits(trained: dict[int, Path], case: str) -> None:
    first, second = (state(trained[2] / case, rank) for rank in (0, 1))
    assert all(torch.equal(first[name], other) for name, other in second.items())


def test_a_resumed_training_ends_with_the_same_bytes(trained: dict[int, Path]) -> None:
    undisturbed, resumed = (trained[2] / name / "model" for name in (RESUMED, "resumed"))
    assert 0 < STOPPED < UPDATES
    for path in undisturbed.iterdir():
        assert (resumed / path.name).read_bytes() == path.read_bytes()
    assert not list((trained[2] / "resumed" / "checkpoints").iterdir())


def test_the_manifest_names_the_number_of_processes(trained: dict[int, Path]) -> None:
    found = {count: read_json(folder / RESUMED / "model" / "manifest.json") for count, folder in trained.items()}
    assert "processes" not in found[1]["runtime"], "results of one process keep their bytes"
    assert found[2]["runtime"]["processes"] == 2
    assert found[1]["fingerprint"] != found[2]["fingerprint"]


@pytest.fixture
def project(tmp_path: Path, tiny_params: dict, prepared: Path) -> Path:
    """Return a folder in which two processes can train until they are stopped."""
    endless = tiny_params["experiments"]["cifar10-jsd-2"] | {"epochs": {"quick": 1_000_000, "full": 1}}
    changed = {
        "runtime": tiny_params["runtime"] | {"processes": 2},
        "experiments": tiny_params["experiments"] | {"cifar10-jsd-2": endless},
    }
    YAML(typ="safe", pure=True).dump(tiny_params | changed, tmp_path / "params.yaml")
    shutil.copytree(prepared, tmp_path / "data" / "prepared")
    return tmp_path


def epochs_done(project: Path) -> int:
    indices = (project / ".triptych" / "checkpoints").glob("*/index.json")
    return max((read_json(index)["step"] for index in indices), default=-1)


def start(project: Path) -> tuple[subprocess.Popen, list[psutil.Process]]:
    """Start the stage; return it and its processes when they have saved one more epoch."""
    before = epochs_done(project)
    command = subprocess.Popen(
        ["triptych", "train", "cifar10-jsd-2"],
        cwd=project,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_until(lambda: command.poll() is not None or epochs_done(project) > before)
    assert command.poll() is None, command.stderr.read()
    processes = psutil.Process(command.pid).children()
    assert len(processes) == 2
    return command, processes


def sentences(command: subprocess.Popen) -> list[str]:
    """Return the lines that a command prints until it ends, without progress reports."""
    _, errors = command.communicate()
    return [line for line in errors.splitlines() if line and "  epoch " not in line]


@pytest.mark.slow
def test_all_processes_end_together_and_resume_together(project: Path) -> None:
    command, processes = start(project)
    processes[1].kill()
    [sentence] = sentences(command)
    assert re.fullmatch("triptych: cifar10-jsd-2: one of its 2 processes was ended by SIGKILL, .* checkpoint", sentence)
    assert command.returncode == 1
    assert all(is_gone(process.pid) for process in processes)
    done = epochs_done(project)
    command, processes = start(project)
    command.send_signal(signal.SIGINT)
    assert sentences(command) == [
        f"cifar10-jsd-2: resuming after epoch {done} of 1000000",
        "triptych: stopped; the same command continues a training from its last checkpoint",
    ]
    assert command.returncode == INTERRUPTED
    assert all(is_gone(process.pid) for process in processes)
    assert not any((project / ".triptych" / "checkpoints").glob("*.pid"))


def failure(folder: Path, rank: int, error: Exception | None, code: int = 1) -> ProcessFailure:
    """Return the failure of a process that ended with a code, with or without a recorded error."""
    file = folder / f"{rank}.json"
    if error:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TORCHELASTIC_ERROR_FILE", str(file))
            try:
                raise error
            except Exception as raised:
                ErrorHandler().record_exception(raised)
    return ProcessFailure(rank, 1000 + rank, code, str(file))


LOST, ENDED = RuntimeError("connection closed by peer"), -signal.SIGTERM


@pytest.mark.parametrize(
    ("failures", "kind", "words"),
    [
        ([(LOST, 1), (DivergenceError("x diverged"), 1)], TriptychError, "^x diverged$"),
        ([(TriptychError("no memory"), 1), (None, ENDED)], TriptychError, "^no memory$"),
        ([(LOST, 1), (None, -signal.SIGKILL)], TriptychError, "one of its 2 processes was ended by SIGKILL"),
        ([(None, ENDED), (None, ENDED)], TriptychError, "its 2 processes were ended by SIGTERM: run it again"),
        ([(ZeroDivisionError("ours"), 1), (None, ENDED)], RuntimeError, "one of its 2 processes failed"),
    ],
)
def test_the_error_of_the_first_failure_is_raised(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], failures: list, kind: type[Exception], words: str
) -> None:
    found = [failure(tmp_path, rank, error, code) for rank, (error, code) in enumerate(failures)]
    with pytest.raises(kind, match=words):
        raise_first_failure("x", 2, found)
    assert ("ZeroDivisionError: ours" in capsys.readouterr().err) == (kind is RuntimeError)


def test_torchrun_must_start_the_number_of_processes_in_the_settings(
    tiny: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "run")
    monkeypatch.setenv("WORLD_SIZE", "3")
    for processes in (1, 2):
        with (
            pytest.raises(TriptychError, match=f"torchrun has started 3 .* trains in {processes}: run the stage"),
            process_group(tiny.runtime, processes),
        ):
            pass


def test_only_models_that_support_it_train_in_several_processes(tiny: Settings) -> None:
    runtime = tiny.runtime.model_copy(update={"processes": 2})
    found = {name: runtime.processes_for(experiment.model) for name, experiment in tiny.experiments.items()}
    assert {name for name, processes in found.items() if processes == 2} == {"cifar10-jsd-2"}
