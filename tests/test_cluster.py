"""Jobs of `triptych submit` as local processes: checkouts, checkpoints, results and messages."""

from __future__ import annotations

import copy
import os
import signal
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from threading import Timer
from types import SimpleNamespace
from typing import ClassVar, NoReturn

import pytest
from click import BadParameter
from click.testing import CliRunner
from ruamel.yaml import YAML
from submitit import LocalExecutor, LocalJob
from submitit.core.utils import FailedJobError

from conftest import ONE_A_FAMILY, ONE_STUDY, copy_project, environment, shrink, wait_until
from triptych.cli.cluster import _slurm_options
from triptych.cli.main import cli
from triptych.cluster import collect as collecting
from triptych.cluster.collect import OUTDATED, collect
from triptych.cluster.job import RESTARTS_VARIABLE, Job, stage_environment
from triptych.cluster.results import add_lock_entries
from triptych.cluster.slurm_options import SlurmOptions
from triptych.cluster.submission import SHARED, Submission, stages_of
from triptych.cluster.submit import _queue, submit
from triptych.core.errors import TriptychError
from triptych.core.json_files import read_json
from triptych.records.journal import look_up
from triptych.repository.lock_file import HEAD, entry_in, with_entry
from triptych.repository.project import Project
from triptych.settings.params import load
from triptych.training import checkpoint
from triptych.training.checkpoint import CheckpointFolder

STUDIES = ("planar-samples", "planar-again")
KEPT = ("vae-20d", *STUDIES)
DIE_ONCE = """
_save = {name}.save


def _save_and_die_once(self, step, *words):
    import os
    from pathlib import Path

    _save(self, step, *words)
    marker = Path({marker!r})
    if step == 3 and not marker.exists():
        marker.touch()
        os.kill(os.getpid(), 9)


{name}.save = _save_and_die_once
"""


class LocalProcesses(LocalExecutor):
    """Run jobs as processes of this machine. The first job ends before others start, as with SLURM's `afterok`."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.parameters["additional_parameters"] = {}

    def update_parameters(self, **parameters: dict[str, str]) -> None:
        job = LocalJob(self.folder, parameters["additional_parameters"]["dependency"].removeprefix("afterok:"))
        wait_until(job.paths.result_pickle.exists)


class LocalOptions(SlurmOptions):
    def executor(self, folder: Path) -> LocalExecutor:
        return LocalProcesses(folder)


LOCAL = LocalOptions(minutes=10, cores=1, at_a_time=2, more={})


def git(project: Project, *words: str) -> None:
    subprocess.run(["git", *words], cwd=project.root, env=environment(), check=True)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Return a tiny committed project with one experiment, and one study with two seeds."""
    root = tmp_path / "project"
    copy_project(root)
    yaml = YAML()
    params = shrink(yaml.load(root / "params.yaml"), (*ONE_A_FAMILY, *ONE_STUDY))
    params["studies"]["planar-again"] = copy.deepcopy(params["studies"]["planar-samples"]) | {"seed": 1}
    for part in (params["experiments"], params["studies"]):
        for name in set(part) - set(KEPT):
            del part[name]
    yaml.dump(params, root / "params.yaml")
    project = Project(root)
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "tiny"]):
        git(project, *words)
    return project


@pytest.fixture
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment().items():
        monkeypatch.setenv(name, value)


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize(
    ("word", "words"),
    [
        ("time=3", "time: use --hours"),
        ("cpus_per_task=3", "cpus-per-task: use --cores"),
        ("job-name=mine", "job-name: Triptych sets it"),
        ("no-requeue", "no-requeue: Triptych sets it"),
        ("J=mine", "J=mine: write NAME=VALUE or NAME"),
        ("=x", "=x: write NAME=VALUE or NAME"),
        ("partition=", "partition=: write NAME=VALUE or NAME"),
        ("--partition=gpu", "--partition=gpu: write NAME=VALUE or NAME"),
    ],
)
def test_an_option_of_sbatch_that_triptych_sets_is_refused(word: str, words: str) -> None:
    with pytest.raises(BadParameter, match=f"^{words}"):
        _slurm_options(None, None, (word,))


def test_an_option_of_sbatch_may_have_no_value() -> None:
    found = _slurm_options(None, None, ("partition=gpu", "exclusive", "gpus_per_node=1"))
    assert found == {"partition": "gpu", "exclusive": True, "gpus-per-node": "1"}


def test_stages_of_experiments_and_studies(project: Project) -> None:
    settings = load(project.params)
    assert stages_of(settings, "vae-20d") == ["train@vae-20d", "evaluate@vae-20d"]
    assert stages_of(settings, "planar-samples") == ["study@planar-samples"]
    with pytest.raises(TriptychError, match="no experiments.unknown"):
        stages_of(settings, "unknown")


def test_entries_move_from_one_lock_file_to_another() -> None:
    one, two = "  fetch@a:\n    cmd: x\n", "  fetch@b:\n    cmd: y\n"
    assert entry_in(HEAD + one + two, "fetch@b") == two
    assert entry_in(HEAD + one, "fetch@b") is None
    assert entry_in("", "fetch@b") is None
    assert with_entry(HEAD + two, one, ["fetch@a", "fetch@b"]) == HEAD + one + two
    assert with_entry(HEAD, two + one, ["fetch@a", "fetch@b"]) == HEAD + one + two


def test_lock_entries_of_results_are_added(project: Project) -> None:
    lock, order = project.root / "dvc.lock", ["fetch@a", "fetch@b", "fetch@c"]
    submission = Submission.create(project)
    one, two, old = ("  fetch@a:\n    cmd: x\n", "  fetch@b:\n    cmd: y\n", "  fetch@b:\n    cmd: old\n")
    for stage, entry in (("fetch@a", one), ("fetch@b", two)):
        write(submission.result(stage), {"dvc.lock": HEAD + entry})
    lock.write_text(HEAD + old)
    add_lock_entries(project, submission, ["fetch@c"], order)
    assert lock.read_text() == HEAD + old
    add_lock_entries(project, submission, order, order)
    assert lock.read_text() == HEAD + one + two
    lock.write_text("<<<<<<< HEAD\n")
    with pytest.raises(TriptychError, match="git checkout dvc.lock"):
        add_lock_entries(project, submission, order, order)


def refused(project: Project, *names: str) -> str:
    with pytest.raises(TriptychError) as caught:
        submit(project, load(project.params), names, LOCAL, None)
    return str(caught.value)


def test_submissions_that_cannot_run_are_refused(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "no experiments.unknown" in refused(project, "unknown")
    code = project.root / "src" / "triptych" / "extra.py"
    code.write_text("")
    assert "src/triptych/extra.py: commit it first" in refused(project)
    code.unlink()
    ignored = project.root / ".gitignore"
    ignored.write_text(ignored.read_text() + "/more\n")
    assert ".gitignore: commit it first" in refused(project)
    assert not (project.private / "cluster").exists()
    monkeypatch.setenv("PATH", "")
    monkeypatch.chdir(project.root)
    assert "no SLURM here" in str(CliRunner().invoke(cli, ["submit"]).exception)


def test_collect_shows_the_jobs_although_mlflow_does_not_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(*_: object) -> None:
        raise TriptychError("MLflow does not answer")

    copy_project(tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    monkeypatch.setattr(collecting, "collect", lambda *_: collecting.Collected([], {"vae-20d": "failed"}, []))
    monkeypatch.setattr("triptych.records.mlflow.sync.sync", silent)
    done = CliRunner().invoke(cli, ["collect"])
    assert "failed: vae-20d" in done.output
    assert "MLflow does not answer" in str(done.exception)


def test_a_project_without_commit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    copy_project(tmp_path / "project")
    assert "commit the project" in refused(Project(tmp_path / "project"))


def test_states_of_jobs(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = write(tmp_path / "bin", {"squeue": "#!/bin/sh\necho 7_0 RUNNING\necho 7_1 PENDING\n"}) / "squeue"
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}{os.pathsep}{os.environ['PATH']}")
    queue = collecting.in_queue()
    assert queue == {"7_0": "RUNNING", "7_1": "PENDING"}
    jobs = {"vae-20d": "7_0", "planar-samples": "7_1", "failed": "7_2", "finished": "7_3"}
    submission = Submission.create(project)
    submission.write("commit", jobs, {name: [f"study@{name}"] for name in jobs})
    submission.result("study@finished").mkdir(parents=True)
    missing = ["evaluate@vae-20d", "study@planar-samples", "report"]
    found = collecting._summary(load(project.params), [submission], missing, queue)
    assert found.collected == []
    assert found.states["vae-20d"] == "running"
    assert found.states["planar-samples"] == "waiting"
    assert found.states["finished"] == OUTDATED
    assert str(submission.log("failed")) in found.states["failed"]
    fake.write_text("#!/bin/sh\nexit 1\n")
    assert collecting.in_queue() == {}


def test_environment_of_a_stage_in_a_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stage has its own MLflow records and the checkpoint folder of the job."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:////shared/mlflow.db")
    found = stage_environment(tmp_path / "checkpoints")
    assert "MLFLOW_TRACKING_URI" not in found
    command = ["triptych", "--version"]
    assert subprocess.run(command, env=found, check=False, capture_output=True).returncode == 0
    script = "import pathlib, triptych.repository.project as p; print(p.Project(pathlib.Path()).checkpoints)"
    done = subprocess.run(["python", "-c", script], env=found, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == str(tmp_path / "checkpoints")


def test_a_requeued_job_waits_until_its_stage_has_ended(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """The signal interrupts the wait for DVC, as in a job. The kill takes effect some time later."""
    job = Job(project, "commit", Submission.create(project), "x", [], [], [])
    kill = os.killpg
    monkeypatch.setattr(os, "killpg", lambda *words: Timer(0.3, kill, words).start())

    def requeue(*_: object) -> NoReturn:
        job.checkpoint()
        ended = os.waitid(os.P_PID, job._process.pid, os.WEXITED | os.WNOHANG)
        sys.exit("ended" if ended else "runs")

    previous = signal.signal(signal.SIGALRM, requeue)
    job._process = subprocess.Popen(["sleep", "3600"], start_new_session=True)
    try:
        with pytest.raises(SystemExit, match="ended"):
            signal.setitimer(signal.ITIMER_REAL, 0.3)
            job._process.wait()
    finally:
        signal.signal(signal.SIGALRM, previous)


def test_a_refused_array_takes_back_the_job_that_it_waits_for(tmp_path: Path) -> None:
    cancelled: list[str] = []

    class Refusing:
        parameters: ClassVar[dict] = {"additional_parameters": {}}

        def submit(self, job: Job) -> SimpleNamespace:
            if job.name != SHARED:
                raise FailedJobError("MaxArraySize")
            return SimpleNamespace(job_id="7", cancel=lambda check: check or cancelled.append("7"))

        def update_parameters(self, **_: object) -> None: ...

        batch = nullcontext

    shared = Job(Project(tmp_path), "commit", Submission(tmp_path), SHARED, ["fetch@mnist"], [], [])
    with pytest.raises(TriptychError, match=r"^SLURM refuses the jobs: MaxArraySize$"):
        _queue(Refusing(), shared, {"vae-20d": ["train@vae-20d"]})
    assert cancelled == ["7"]


@pytest.mark.slow
@pytest.mark.usefixtures("clean_environment")
def test_results_of_jobs_are_collected(project: Project, tmp_path: Path) -> None:
    """Two jobs run as local processes. Stages that were not submitted stay as they are."""
    settings = load(project.params)
    submission = submit(project, settings, STUDIES, LOCAL, tmp_path / "scratch")
    assert list(submission.jobs) == list(STUDIES)
    results = [LocalJob(submission.submitit_folder, number).paths.result_pickle for number in submission.jobs.values()]
    wait_until(lambda: all(path.exists() for path in results))
    assert list((tmp_path / "scratch").iterdir()) == []
    assert not project.metrics(STUDIES[1]).exists()
    found = collect(project, settings)
    assert found.collected == list(STUDIES)
    assert found.states == {}
    assert "train@vae-20d" in found.missing
    assert not {stage for name in STUDIES for stage in stages_of(settings, name)} & set(found.missing)
    for name in STUDIES:
        assert read_json(project.results(name))["weights_sha256"]
        assert read_json(project.metrics(name))["kl"] > 0
        assert look_up(project, "study", name, project.model(name) / "manifest.json")["seconds"] > 0
    assert refused(project, *STUDIES) == "there is nothing to submit: all of it is up to date"
    check_that_other_settings_are_not_collected(project)


def check_that_other_settings_are_not_collected(project: Project) -> None:
    """Check that `collect` takes a result only if the project has the settings of the result."""
    before, lock = project.params.read_text(), project.root / "dvc.lock"
    locked, metrics = lock.read_bytes(), project.metrics(STUDIES[0])
    yaml = YAML()
    params = yaml.load(before)
    params["studies"][STUDIES[0]]["iterations"]["quick"] = 10
    yaml.dump(params, project.params)
    lock.unlink()
    metrics.write_text("{}")
    found = collect(project, load(project.params))
    assert found.states == {STUDIES[0]: OUTDATED}
    assert found.collected == [STUDIES[1]]
    assert metrics.read_text() == "{}"
    assert entry_in(lock.read_text(), f"study@{STUDIES[0]}") is None
    project.params.write_text(before)
    assert collect(project, load(project.params)).collected == list(STUDIES)
    assert lock.read_bytes() == locked
    assert metrics.read_text() != "{}"


@pytest.mark.slow
@pytest.mark.usefixtures("clean_environment")
def test_a_job_continues_on_another_node(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    """The first start is killed after a checkpoint, and leaves a lock that another node could not acquire."""
    name, stage = STUDIES[0], f"study@{STUDIES[0]}"
    code = project.root / Path(checkpoint.__file__).relative_to(Path(checkpoint.__file__).parents[3])
    with code.open("a") as file:
        file.write(DIE_ONCE.format(name=CheckpointFolder.__name__, marker=str(tmp_path / "killed")))
    git(project, "commit", "-qam", "die once")
    submission = Submission.create(project)
    commit, _ = project.commit()
    job = Job(project, commit, submission, name, [stage], [], [stage], tmp_path / "node1")
    with pytest.raises(TriptychError, match=f"{stage} failed"):
        job()
    assert list((tmp_path / "node1").iterdir()) == []
    checkpoints = submission.checkpoints(name)
    [lock] = checkpoints.glob(f"{name}@*.lock")
    from filelock import FileLock

    with FileLock(lock):
        monkeypatch.setenv(RESTARTS_VARIABLE, "1")
        replace(job, scratch=tmp_path / "node2")()
    said = capfd.readouterr().err
    assert "resuming after iteration 3" in said
    assert list(checkpoints.glob("*@*/")) == []
    submission.write(commit, {name: "1"}, {name: [stage]})
    assert submission.is_finished(name)
    assert collect(project, load(project.params)).collected == [name]
    weights = (project.model(name) / "weights.safetensors").read_bytes()
    subprocess.run(["dvc", "repro", "-q", "-f", "-s", stage], cwd=project.root, env=environment(), check=True)
    assert (project.model(name) / "weights.safetensors").read_bytes() == weights
