"""Many machines, as far as one without SLURM shows them: folders in a remote, jobs, and what comes home."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from ruamel.yaml import YAML
from submitit import LocalExecutor, LocalJob

from conftest import ONE_A_FAMILY, ONE_STUDY, copy_project, environment, shrink, wait_until
from triptych.cli.main import cli
from triptych.cluster import collect as collecting
from triptych.cluster.checkpoints import SHELVED, Courier, fetch_checkpoints
from triptych.cluster.collect import collect
from triptych.cluster.job import variables
from triptych.cluster.remote import ADVICE, INDEX, PLACE, Shelf
from triptych.cluster.stages import stages_of, workplace_of
from triptych.cluster.submission import keep, new_folder
from triptych.cluster.submit import Wish, submit
from triptych.core.errors import TriptychError
from triptych.core.lock_file import HEAD, entry_in, with_entry
from triptych.core.project import Project
from triptych.records.journal import look_up
from triptych.settings.params import load
from triptych.settings.seeds import set_seeds
from triptych.training.checkpoint import Workplace


class Processes(LocalExecutor):
    """Jobs that are processes of this machine; the first is waited for before others start, as SLURM would."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.parameters["additional_parameters"] = {}

    def update_parameters(self, **parameters: dict[str, str]) -> None:
        job = LocalJob(self.folder, parameters["additional_parameters"]["dependency"].removeprefix("afterok:"))
        wait_until(job.paths.result_pickle.exists)


class Here(Wish):
    def executor(self, folder: Path) -> LocalExecutor:
        return Processes(folder)


HERE = Here(minutes=10, cores=1, at_a_time=2, slurm={})
KEPT = ("vae-20d", "planar-samples")


def git(project: Project, *words: str) -> None:
    subprocess.run(["git", *words], cwd=project.root, env=environment(), check=True)


def make_project(root: Path, kept: tuple[str, ...] = KEPT) -> Project:
    """A tiny project, committed, that meets its jobs in the folder `remote` beside it."""
    copy_project(root)
    yaml = YAML()
    params = shrink(yaml.load(root / "params.yaml"), (*ONE_A_FAMILY, *ONE_STUDY))
    for part in (params["experiments"], params["studies"]):
        for name in set(part) - set(kept):
            del part[name]
    yaml.dump(params, root / "params.yaml")
    with (root / ".dvc" / "config").open("a", encoding="utf-8") as config:
        config.write("    remote = shared\n['remote \"shared\"']\n    url = ../../remote\n")
    project = Project(root)
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "tiny"]):
        git(project, *words)
    return project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return make_project(tmp_path / "project")


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    from dvc.fs import LocalFileSystem

    return Shelf(LocalFileSystem(), str(tmp_path / "remote" / PLACE))


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def read(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_a_folder_comes_out_of_the_remote_as_it_went_in(shelf: Shelf, tmp_path: Path) -> None:
    files = {"a": "1", "deep/b": "2", "deep/c": "2"}
    assert not shelf.get("x/one", tmp_path / "out")
    shelf.put(write(tmp_path / "in", files), "x/one")
    assert shelf.get("x/one", tmp_path / "out")
    assert read(tmp_path / "out") == files
    assert shelf.names("x") == ["x/one"]
    assert shelf.names("y") == []


def test_a_new_version_replaces_the_old_one_whole(shelf: Shelf, tmp_path: Path) -> None:
    shelf.put(write(tmp_path / "in", {"a": "1", "b": "2"}), "x")
    (tmp_path / "in" / "b").unlink()
    shelf.put(write(tmp_path / "in", {"a": "3"}), "x")
    assert shelf.get("x", tmp_path / "out")
    assert read(tmp_path / "out") == {"a": "3"}
    assert len(read(Path(shelf.root) / "x")) == 2  # it, and its index
    shelf.drop("x")
    assert not shelf.get("x", tmp_path / "again")
    assert shelf.names("x") == []


def test_what_is_half_written_is_never_taken_and_written_again(shelf: Shelf, tmp_path: Path) -> None:
    source = write(tmp_path / "in", {"a": "whole"})
    shelf.put(source, "x")
    (found,) = (path for path in (Path(shelf.root) / "x").iterdir() if path.name != INDEX)
    found.write_text("who")
    assert not shelf.get("x", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    shelf.put(source, "x")
    assert shelf.get("x", tmp_path / "out")
    (Path(shelf.root) / "x" / INDEX).write_text('{"a": ')
    assert not shelf.get("x", tmp_path / "again")
    found.unlink()
    assert not shelf.get("x", tmp_path / "again")


def test_a_name_that_leads_out_of_its_folder_is_refused(shelf: Shelf, tmp_path: Path) -> None:
    shelf.put(write(tmp_path / "in", {"a": "1"}), "x")
    index = Path(shelf.root) / "x" / INDEX
    index.write_text(json.dumps({"../a": json.loads(index.read_text())["a"]}))
    with pytest.raises(TriptychError, match="leads out"):
        shelf.get("x", tmp_path / "out")


def test_another_machine_goes_on_from_a_checkpoint(shelf: Shelf, tmp_path: Path) -> None:
    here, there = Project(tmp_path / "here"), Project(tmp_path / "there")
    place = here.private / "checkpoints" / "a-seed-1@key"
    place.mkdir(parents=True)
    Workplace(place, 0).save(1, {"w": torch.ones(2)}, [{"epoch": 0, "loss": 1.0}], 2.0)
    Workplace(place, 0).save(2, {"w": torch.zeros(2)}, [{"epoch": 0, "loss": 1.0}], 4.0)
    write(place, {"epoch-0000.safetensors": "a snapshot", ".draft.part": "half"})
    write(here.private / "checkpoints" / "b@key", {INDEX: "another experiment's"})
    courier = Courier(shelf, here, "train@a-seed-1")
    courier.start()
    courier.finish()
    assert shelf.names(SHELVED) == [f"{SHELVED}/a-seed-1@key"]
    assert fetch_checkpoints(shelf, there, "train@a-seed-1") == [f"{SHELVED}/a-seed-1@key"]
    assert fetch_checkpoints(shelf, there, "evaluate@a-seed-1") == []
    found = there.private / "checkpoints" / "a-seed-1@key"
    step, tensors, _, seconds = Workplace(found, 0).load()
    assert (step, tensors["w"].tolist(), seconds) == (2, [0.0, 0.0], 4.0)
    assert (found / "epoch-0000.safetensors").read_text() == "a snapshot"
    assert not (found / ".draft.part").exists()
    courier.forget()
    assert shelf.names(SHELVED)
    for path in place.iterdir():
        path.unlink()
    place.rmdir()
    courier.forget()
    assert shelf.names(SHELVED) == []


def test_a_checkpoint_that_is_being_replaced_is_left_for_the_next_look(shelf: Shelf, tmp_path: Path) -> None:
    here = Project(tmp_path)
    write(here.private / "checkpoints" / "a@key", {INDEX: '{"state": "000001.state.safetensors"}'})
    courier = Courier(shelf, here, "train@a")
    courier.start()
    courier.finish()
    assert shelf.names(SHELVED) == []
    write(here.private / "checkpoints" / "a@key", {"000001.state.safetensors": "x"})
    again = Courier(shelf, here, "train@a")
    again.start()
    again.finish()
    assert shelf.names(SHELVED) == [f"{SHELVED}/a@key"]


def test_stages_and_their_checkpoints_by_name(project: Project) -> None:
    set_seeds(project.params, 2)
    settings = load(project.params)
    assert stages_of(settings, "vae-20d") == ["train@vae-20d", "evaluate@vae-20d"]
    assert stages_of(settings, "planar-samples") == ["study@planar-samples"]
    repeats = [name for name in settings.measured if "-seed-" in name]
    stages = [stage for name in repeats for stage in stages_of(settings, name)]
    assert [stage.partition("@")[0] for stage in stages] == ["train", "evaluate", "study"]
    assert [workplace_of(stage) for stage in stages] == [repeats[0], f"evaluate-{repeats[0]}", repeats[1]]
    assert workplace_of("classifier@mnist") == "classifier-mnist"
    with pytest.raises(TriptychError, match="known names"):
        stages_of(settings, "nobody")


def test_an_entry_moves_from_one_lock_to_another() -> None:
    one, two = "  fetch@a:\n    cmd: x\n", "  fetch@b:\n    cmd: y\n"
    assert entry_in(HEAD + one + two, "fetch@b") == two
    assert entry_in(HEAD + one, "fetch@b") is None
    assert entry_in("", "fetch@b") is None
    assert with_entry(HEAD + two, one, ["fetch@a", "fetch@b"]) == HEAD + one + two


def refused(project: Project, *names: str) -> str:
    with pytest.raises(TriptychError) as caught:
        submit(project, load(project.params), names, HERE, None)
    return str(caught.value)


def test_what_cannot_run_elsewhere_is_refused(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "no experiments.nobody" in refused(project, "nobody")
    code = project.root / "src" / "triptych" / "extra.py"
    code.write_text("")
    assert "src/triptych/extra.py is not in it" in refused(project)
    code.unlink()
    ignored = project.root / ".gitignore"
    ignored.write_text(ignored.read_text() + "/more\n")
    assert ".gitignore is not in it" in refused(project)
    git(project, "checkout", "-q", ".gitignore")
    config = project.root / ".dvc" / "config"
    config.write_text("[core]\n    analytics = false\n")
    git(project, "commit", "-qam", "no remote")
    assert refused(project) == ADVICE
    assert not (project.private / "cluster").exists()
    monkeypatch.setenv("PATH", "")
    monkeypatch.chdir(project.root)
    assert "no SLURM here" in str(CliRunner().invoke(cli, ["submit"]).exception)


def test_without_a_commit_there_is_nothing_to_check_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    copy_project(tmp_path / "project")
    assert "commit the project" in refused(Project(tmp_path / "project"))


def test_what_slurm_says_of_jobs(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = write(tmp_path / "bin", {"squeue": "#!/bin/sh\necho 7_0 RUNNING\necho 7_1 PENDING\n"}) / "squeue"
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}{os.pathsep}{os.environ['PATH']}")
    queue = collecting.in_queue()
    assert queue == {"7_0": "RUNNING", "7_1": "PENDING"}
    jobs = {"vae-20d": "7_0", "planar-samples": "7_1", "gone": "7_2", "other": "7_3"}
    submission = keep(new_folder(project), jobs, "commit")
    missing = ["evaluate@vae-20d", "study@planar-samples", "report"]
    found = collecting._summary(load(project.params), [submission], missing, queue, {"7_3"})
    assert found.home == []
    assert found.elsewhere["vae-20d"] == "running"
    assert found.elsewhere["planar-samples"] == "waiting"
    assert found.elsewhere["other"].startswith("made, but of other settings")
    assert str(submission.log("gone")) in found.elsewhere["gone"]
    fake.write_text("#!/bin/sh\nexit 1\n")
    assert collecting.in_queue() == {}


def test_a_stage_of_a_job_runs_the_code_of_its_checkout_and_has_its_own_records(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:////shared/mlflow.db")
    copy_project(tmp_path / "checkout")
    found = variables(Project(tmp_path / "checkout"))
    assert "MLFLOW_TRACKING_URI" not in found
    command = ["triptych", "--version"]
    assert subprocess.run(command, env=found, check=False, capture_output=True).returncode == 0
    script = "import triptych; print(triptych.__file__)"
    done = subprocess.run(["python", "-c", script], env=found, check=True, capture_output=True, text=True)
    assert Path(done.stdout.strip()).is_relative_to(tmp_path / "checkout")


def test_jobs_of_two_seeds_come_home(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes of this machine, each in a checkout of its own, and what needs the others left alone."""
    for name, value in environment().items():
        monkeypatch.setenv(name, value)
    [study] = load(project.params).studies
    set_seeds(project.params, 2, [study])
    settings = load(project.params)
    names = list(settings.studies)
    submission = submit(project, settings, [study], HERE, tmp_path / "scratch")
    assert list(submission.jobs) == names
    results = [LocalJob(submission.logs, number).paths.result_pickle for number in submission.jobs.values()]
    wait_until(lambda: all(path.exists() for path in results))
    assert list((tmp_path / "scratch").iterdir()) == []
    assert not project.metrics(names[1]).exists()
    found = collect(project, settings)
    assert found.home == names
    assert found.elsewhere == {}
    assert "train@vae-20d" in found.missing
    assert not {stage for name in names for stage in stages_of(settings, name)} & set(found.missing)
    for name in names:
        assert json.loads(project.metrics(name).read_text())["weights_sha256"]
        assert look_up(project, "study", name, project.model(name) / "manifest.json")["seconds"] > 0
    assert refused(project, *names) == "there is nothing to submit: all of it is up to date"
