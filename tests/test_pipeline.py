"""The pipeline as a user runs it: a clone of the project with DVC, MLflow and the page."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from dvc.dependency import ParamsDependency
from dvc.repo import Repo
from mlflow import MlflowClient
from mlflow.entities import LoggedModel, RunOutputs
from ruamel.yaml import YAML

from conftest import ROOT, copy_project, environment, shrink, with_classifiers
from pages import blocks, commands
from test_page import Outline
from triptych.core.settings_types import Section
from triptych.models.common.registry import FAMILIES
from triptych.records.mlflow.store import import_client
from triptych.reports.status import CURRENT, DvcLock
from triptych.repository.code_hash import PACKAGE, closure
from triptych.repository.project import Project
from triptych.runner import parallel
from triptych.settings.params import Settings
from triptych.studies.kinds import STUDIES, study_modules
from triptych.training.history import read_history


class Clone:
    """A clone of the project with tiny budgets."""

    def __init__(self, root: Path, variables: Mapping[str, str]) -> None:
        """Run commands with these variables, with the fork server or without it."""
        self.root = root
        self.environment = environment() | variables

    def run(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            words, cwd=self.root, env={**self.environment, **environment}, capture_output=True, text=True, check=False
        )

    def succeed(self, *words: str, **environment: str) -> str:
        done = self.run(*words, **environment)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def refuse(self, *words: str, **environment: str) -> str:
        """Return the one sentence with which a command stops."""
        done = self.run(*words, **environment)
        assert done.returncode == 1, done.stdout + done.stderr
        sentences = [line for line in done.stderr.splitlines() if line.startswith("triptych: ")]
        assert len(sentences) == 1, done.stderr
        assert "Traceback" not in done.stderr
        return sentences[0]

    def edit(self, change: Callable[[dict], object]) -> None:
        yaml = YAML()
        data = yaml.load(self.root / "params.yaml")
        change(data)
        yaml.dump(data, self.root / "params.yaml")

    def results(self) -> dict[str, bytes]:
        folders = [self.root / name for name in ("data", "models", "metrics", "plots")]
        return {
            str(path.relative_to(self.root)): path.read_bytes()
            for folder in folders
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }

    def numbers(self, name: str) -> dict:
        return json.loads((self.root / "plots" / name / "results.json").read_text())

    def ran(self, output: str) -> list[str]:
        """Return the stages that ran, from the output of `dvc repro` or of `triptych repro`."""
        return re.findall(r"(?:Running stage '|^ *\d+(?:/\d+)?  )([\w@-]+)", output, re.MULTILINE)


def make_clone(folder: Path, variables: Mapping[str, str]) -> Clone:
    copy_project(folder)
    clone = Clone(folder, variables)
    clone.edit(shrink)
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "tiny"]):
        clone.succeed("git", *words)
    return clone


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory, warm_start: dict[str, str]) -> Clone:
    made = make_clone(tmp_path_factory.mktemp("clone"), warm_start)
    output = made.succeed("triptych", "repro")
    assert "report.html" in output
    assert "realnvp-mnist" in output
    assert "planar-samples  lowest negative log-likelihood, nats: arcs-k3 " in output
    made.succeed("git", "add", "-A")
    made.succeed("git", "commit", "-qm", "results")
    return made


@pytest.fixture
def fresh(clone: Clone, tmp_path: Path, warm_start: dict[str, str]) -> Clone:
    """Return a copy of the finished clone, which a test may change."""
    shutil.copytree(clone.root, tmp_path / "copy", symlinks=True)
    return Clone(tmp_path / "copy", warm_start)


@pytest.mark.slow
def test_parallel_stages_leave_the_same_lock_and_results_as_serial_ones(
    clone: Clone, tmp_path: Path, warm_start: dict[str, str]
) -> None:
    alone = make_clone(tmp_path / "alone", warm_start)
    alone.succeed("dvc", "repro", "--quiet")
    assert (alone.root / "dvc.lock").read_bytes() == (clone.root / "dvc.lock").read_bytes()
    found = [{name: made for name, made in of.results().items() if ".gitignore" not in name} for of in (alone, clone)]
    assert found[0] == found[1]
    assert clone.ran(clone.succeed("triptych", "repro")) == []


KEPT_TAGS = (
    *("fidelity", "profile", "fingerprint", "git_commit", "git_dirty", "stage", "triptych_experiment", "started"),
    "dvc_exp",
    "entry",
    *("trained", "result", "mlflow.note.content", "mlflow.loggedImages"),
)


def runs_of(clone: Clone) -> dict[str, dict]:
    """Return parameters, metric histories and pictures of all MLflow runs, by run name."""
    with tempfile.TemporaryDirectory() as folder:  # a copy, since a client still reads a database that was deleted
        database = shutil.copyfile(clone.root / "mlflow.db", Path(folder) / "mlflow.db")
        return _runs(import_client()(f"sqlite:///{database}"))


def weights_of_models(client: MlflowClient, outputs: RunOutputs | None) -> list[tuple[str, str]]:
    """Return the models of a run; each is registered under its name once."""
    found = [client.get_logged_model(output.model_id) for output in outputs.model_outputs] if outputs else []
    for model in found:
        [version] = client.search_model_versions(f"name = '{model.name}' and tags.weights_sha256 = '{_weights(model)}'")
        assert version.source == model.artifact_location
    return [(model.name, _weights(model)) for model in found]


def _weights(model: LoggedModel) -> str:
    return model.tags["weights_sha256"]


def _runs(client: MlflowClient) -> dict[str, dict]:
    found: dict[str, dict] = {}
    for run in client.search_runs([experiment.experiment_id for experiment in client.search_experiments()]):
        run_id, tags = run.info.run_id, run.data.tags
        points = {key: client.get_metric_history(run_id, key) for key in run.data.metrics}
        above = client.get_run(tags["mlflow.parentRunId"]) if "mlflow.parentRunId" in tags else None
        key = f"{run.info.run_name} {(above or run).data.params['learning_rate']}"
        assert key not in found
        found[key] = {
            "params": run.data.params,
            "metrics": {key: sorted([point.step, point.value] for point in line) for key, line in points.items()},
            "pictures": sorted(file.path for file in client.list_artifacts(run_id, "figures")),
            "samples": sorted(file.path.split("+timestamp+")[0] for file in client.list_artifacts(run_id, "images")),
            "model": weights_of_models(client, run.outputs),
            "tags": {key: tags[key] for key in (*KEPT_TAGS, "configuration") if key in tags},
            "data": [[used.dataset.name, used.dataset.digest] for used in run.inputs.dataset_inputs],
            "status": run.info.status,
            "below": above and above.info.run_name,
        }
    return found


def test_a_second_repro_runs_nothing(clone: Clone) -> None:
    assert clone.ran(clone.succeed("dvc", "repro")) == []
    assert clone.succeed("git", "status", "--porcelain") == ""


@pytest.mark.slow
def test_forced_stages_do_not_change_the_lock_or_the_results(fresh: Clone) -> None:
    """Force every kind of stage. Other tests repeat every family without processes.

    The first run used the fork server; here the last three stages run without it.
    """
    before, lock = fresh.results(), (fresh.root / "dvc.lock").read_bytes()
    warmed = ["fetch@mnist", "prepare@mnist", "reference@mnist", "train@vae-20d"]
    cold = ["evaluate@vae-20d", "study@planar-samples", "report"]
    for start, stages in ((fresh, warmed), (Clone(fresh.root, {}), cold)):
        assert start.ran(start.succeed("dvc", "repro", "--force", "--single-item", *stages)) == stages
    assert (fresh.root / "dvc.lock").read_bytes() == lock
    assert fresh.results() == before
    runs = runs_of(fresh)
    assert len(runs) == 4 + 2  # and the study's configurations
    assert all(run["status"] == "FINISHED" for run in runs.values())


@pytest.mark.slow
def test_a_learning_rate_re_runs_its_stages_and_appears_in_the_diffs(fresh: Clone) -> None:
    fresh.edit(lambda data: data["experiments"]["gan-mnist"].update(learning_rate=0.0005))
    fresh.edit(lambda data: data["studies"]["planar-samples"].update(learning_rate=0.001))
    stages = ["train@gan-mnist", "evaluate@gan-mnist", "study@planar-samples", "report"]
    assert fresh.ran(fresh.succeed("dvc", "repro")) == stages
    assert "experiments.gan-mnist.learning_rate" in fresh.succeed("dvc", "params", "diff")
    difference = fresh.succeed("dvc", "metrics", "diff")
    heading, *changed = [line.split()[:2] for line in difference.splitlines()]
    assert heading == ["Path", "Metric"]
    assert sorted(changed) == [  # DVC's order of the files is that of a set
        ["metrics/gan-mnist.json", "fid_classifier"],
        ["metrics/planar-samples.json", "kl"],
    ]
    first, *lines = fresh.succeed("triptych", "compare").splitlines()
    assert first.split() == ["HEAD", "working", "tree", "change"]
    assert [line.split()[:3] for line in lines[:2]] == [
        ["experiments.gan-mnist.learning_rate", "0.0002", "0.0005"],
        ["studies.planar-samples.learning_rate", "0.0005", "0.001"],
    ]
    assert [line.split()[:2] for line in lines[2:]] == [["gan-mnist:", "fid_classifier"], ["planar-samples:", "kl"]]
    assert "no-such-revision" in fresh.refuse("triptych", "compare", "no-such-revision")
    fresh.succeed("triptych", "plots", "HEAD")
    assert curves_of(fresh) == {"gan-mnist/curves", "planar-samples/arcs-k1", "planar-samples/arcs-k3"}
    page = (fresh.root / "triptych_plots" / "index.html").read_text()
    assert "plots/gan-mnist/samples.png of HEAD" in page
    assert "vae-20d" not in page.replace("metrics/comparison", "")
    before = runs_of(fresh)
    assert len(before) == 6 + 4  # the studies' configurations
    (fresh.root / "mlflow.db").unlink()
    shutil.rmtree(fresh.root / "mlartifacts")
    assert "6 runs, 6 of them rebuilt" in fresh.succeed("triptych", "sync")
    after = runs_of(fresh)
    before["gan-mnist 0.0002"]["model"] = []  # its weights are in DVC's cache, no longer in the folder
    assert after == before
    assert "6 runs, 0 of them rebuilt" in fresh.succeed("triptych", "sync")


@pytest.mark.slow
def test_a_sweep_is_recorded_in_the_project_and_does_not_change_it(fresh: Clone) -> None:
    """Each run has a temporary folder that DVC deletes afterwards, as in DVC's queue, which `make torture` tests."""
    lock = (fresh.root / "dvc.lock").read_bytes()
    rates = {"higher": "0.002", "lower": "0.0003"}
    for name, rate in rates.items():
        changes = (f"recipes.vae-20d.learning_rate={rate}", "experiments.vae-20d.model.latent=3")
        fresh.succeed(
            "dvc", "exp", "run", "--temp", "-n", name, *(word for change in changes for word in ("-S", change))
        )
    runs = runs_of(fresh)
    swept = {run["tags"]["dvc_exp"]: run for run in runs.values() if "dvc_exp" in run["tags"]}
    assert {name: run["params"]["learning_rate"] for name, run in swept.items()} == rates
    for name, run in swept.items():
        assert run["params"]["model.latent"] == "3"
        assert run["status"] == "FINISHED"
        assert run["tags"]["triptych_experiment"] == "vae-20d"
        assert f"`dvc exp apply {name}`" in run["tags"]["mlflow.note.content"]
        assert [step for step, _ in run["metrics"]["valid_negative_elbo"]] == [0, 1, 2, 3]
        assert "test.log_likelihood" in run["metrics"]
        assert run["pictures"]
        assert len(run["model"]) == 1
        run["model"] = []  # its weights are in DVC's cache alone
    assert not list((fresh.root / ".dvc" / "tmp" / "exps").rglob("params.yaml"))
    assert (fresh.root / "dvc.lock").read_bytes() == lock
    assert fresh.succeed("git", "status", "--porcelain") == ""
    assert "All are up to date" in fresh.succeed("triptych", "status")
    (fresh.root / "mlflow.db").unlink()
    shutil.rmtree(fresh.root / "mlartifacts")
    assert "6 runs, 6 of them rebuilt" in fresh.succeed("triptych", "sync")
    assert runs_of(fresh) == runs
    command = next(words for words in commands(HOW_TO.read_text()) if "--hide-queued" in words)
    table = fresh.succeed(*command, COLUMNS="120")
    assert "vae-20d.json:valid" in table
    assert "recipes.vae-20d.learning_rate" in table
    assert "…" not in table
    compared = fresh.succeed("triptych", "compare", "higher", "lower").splitlines()
    assert compared[0].split() == ["higher", "lower", "change"]
    assert compared[1].split() == ["recipes.vae-20d.learning_rate", *rates.values()]
    assert compared[2].startswith("vae-20d: elbo ")
    fresh.succeed("dvc", "exp", "apply", "lower")
    assert fresh.succeed("git", "diff", "--numstat", "params.yaml").split()[:2] == ["2", "2"]
    metrics = fresh.numbers("vae-20d")
    assert metrics["fingerprint"] == swept["lower"]["tags"]["fingerprint"]
    assert fresh.ran(fresh.succeed("triptych", "repro")) == []


@pytest.mark.slow
def test_the_steps_of_the_readme_compare_two_learning_rates(fresh: Clone) -> None:
    """All commands of the section run in order, as they stand, except the web interface."""
    section = README.read_text(encoding="utf-8").partition("## Change one thing and compare\n")[2].partition("\n## ")[0]
    steps = [words for language, block in blocks(section) if language == "sh" for words in _commands_of(block)]
    assert len(steps) == 9
    (fresh.root / "results.txt").write_text("results of make repro\n")  # something to commit
    steps.remove(["triptych", "ui"])
    printed = {" ".join(words): fresh.succeed(*words) for words in steps}
    table = printed["triptych compare faster slower"].splitlines()
    assert table[0].split() == ["faster", "slower", "change"]
    assert table[1].split() == ["experiments.vae-20d.learning_rate", "0.004", "0.00025"]
    runs = [run for run in runs_of(fresh).values() if run["tags"].get("triptych_experiment") == "vae-20d"]
    assert {run["params"]["learning_rate"] for run in runs} == {"0.001", "0.004", "0.00025"}
    assert fresh.succeed("git", "status", "--porcelain") == ""
    assert "All are up to date" in fresh.succeed("triptych", "status")


def _commands_of(block: str) -> list[list[str]]:
    return list(commands(f"```sh\n{block}```\n"))


def curves_of(clone: Clone) -> set[str]:
    """Return the names of the curves that `triptych plots` drew."""
    folder = clone.root / "triptych_plots" / "curves" / "plots"
    return {str(path.relative_to(folder).with_suffix("")) for path in folder.rglob("*.svg")}


@pytest.mark.slow
def test_a_new_seed_runs_alone_and_appears_in_every_view(fresh: Clone) -> None:
    before = (fresh.root / "params.yaml").read_bytes()
    said = fresh.succeed("triptych", "seeds", "2", "vae-20d", "planar-samples")
    assert said == "params.yaml: added vae-20d-seed-1, planar-samples-seed-1\n"
    others = ["train@vae-20d-seed-1", "evaluate@vae-20d-seed-1", "study@planar-samples-seed-1"]
    said = fresh.succeed("triptych", "repro")
    assert sorted(fresh.ran(said)) == sorted([*others, "report"])
    assert re.search(r"^  vae-20d \(2 seeds\) ", said, re.MULTILINE)
    assert not re.search(r"^  vae-20d-seed-1 ", said, re.MULTILINE)
    assert fresh.ran(fresh.succeed("dvc", "repro")) == []
    assert "no problems" in fresh.succeed("triptych", "verify")
    runs = runs_of(fresh)
    assert {runs[f"{name} 0.001"]["tags"]["entry"] for name in OF_TWO_SEEDS} == {"vae-20d"}
    assert runs["planar-samples-seed-1 0.0005"]["tags"]["entry"] == "planar-samples"
    assert runs["gan-mnist 0.0002"]["tags"]["entry"] == "gan-mnist"
    seeds = pd.read_csv(fresh.root / "metrics" / "seeds.csv").set_index(["experiment", "number"])
    elbos = [fresh.numbers(name)["test"]["elbo"] for name in OF_TWO_SEEDS]
    assert elbos[0] != elbos[1]
    assert seeds.loc[("vae-20d", "test.elbo"), "mean"] == pytest.approx(np.mean(elbos))
    assert seeds.loc[("vae-20d", "test.elbo"), "standard_deviation"] == pytest.approx(np.std(elbos, ddof=1))
    assert seeds.loc[("planar-samples", "arcs-k1.kl"), "n"] == 2
    assert seeds.loc[("gan-mnist", "fid_classifier"), "n"] == 1
    assert "X2-seeds-fid-mnist.png" in {path.name for path in (fresh.root / "metrics" / "comparison").iterdir()}
    removed = "params.yaml: removed vae-20d-seed-1, planar-samples-seed-1\n"
    assert fresh.succeed("triptych", "seeds", "1") == removed
    assert (fresh.root / "params.yaml").read_bytes() == before
    assert fresh.ran(fresh.succeed("triptych", "repro")) == ["report"]


def to_run(clone: Clone) -> set[str]:
    """Return the stages that DVC would run."""
    plan = parallel.begin_planning(Project(clone.root))()
    assert plan
    return set(plan.waits)


@pytest.mark.slow
def test_a_variant_and_a_recipe_re_run_only_dependent_stages(fresh: Clone) -> None:
    variant = {"family": "vae", "dataset": "binarized_mnist", "reference": "mnist", "recipe": "vae-20d", "seed": 0}
    variant |= {"epochs": {"quick": 1}, "batch_size": 50, "model": {"latent": 3, "hidden": [16]}}
    fresh.edit(lambda data: data["experiments"].update({"vae-3d": variant}))
    new = {"train@vae-3d", "evaluate@vae-3d"}
    assert to_run(fresh) == {*new, "report"}
    assert set(fresh.ran(fresh.succeed("triptych", "repro"))) == {*new, "report"}
    fresh.edit(lambda data: data["recipes"]["vae-20d"].update(learning_rate=0.002))
    assert to_run(fresh) == {*new, "train@vae-20d", "evaluate@vae-20d", "report"}
    assert "recipes.vae-20d.learning_rate" in fresh.succeed("dvc", "params", "diff")
    fresh.edit(lambda data: data["recipes"]["vae-20d"].update(learning_rate=0.001))
    fresh.edit(lambda data: data["recipes"]["planar"].update(learning_rate=0.002))
    assert to_run(fresh) == {"study@planar-samples", "report"}
    fresh.edit(lambda data: data["recipes"]["planar"].update(learning_rate=0.0005))
    fresh.edit(lambda data: data["recipes"].update(spare={"learning_rate": 1.0}))
    assert to_run(fresh) == {"report"}


def test_all_settings_of_an_experiment_are_printed(clone: Clone) -> None:
    found = YAML(typ="safe").load(clone.succeed("triptych", "check", "--resolved", "vae-20d"))["vae-20d"]
    manifest = json.loads((clone.root / "models" / "vae-20d" / "manifest.json").read_text())
    assert found == manifest["settings"] | {"epochs": {"quick": 3, "full": 3}}
    study = YAML(typ="safe").load(clone.succeed("triptych", "check", "--resolved", "planar-samples"))
    assert study["planar-samples"]["smoothing"] == 0.99
    assert "experiments.nothing" in clone.refuse("triptych", "check", "--resolved", "nothing")


HOW_TO, README = ROOT / "docs" / "how-to.md", ROOT / "README.md"
OF_TWO_SEEDS = ("vae-20d", "vae-20d-seed-1")


def test_plots_need_no_network_and_show_training_beside_validation(fresh: Clone) -> None:
    found = json.loads(fresh.run("dvc", "plots", "show", "--json").stdout)
    assert "errors" not in found
    fresh.succeed("dvc", "plots", "show")
    of_dvc = (fresh.root / "dvc_plots" / "index.html").read_bytes()
    fresh.succeed("triptych", "plots")
    assert (fresh.root / "dvc_plots" / "index.html").read_bytes() == of_dvc
    names = {"vae-20d", "gan-mnist", "realnvp-mnist"}
    assert curves_of(fresh) == {f"{name}/curves" for name in names} | {
        "planar-samples/arcs-k1",
        "planar-samples/arcs-k3",
    }
    folder = fresh.root / "triptych_plots"
    page = (folder / "index.html").read_text()
    sources = re.findall(r'src="([^"]+)"', page)
    assert all((folder / source).stat().st_size for source in sources)
    assert "http" not in page
    for name, unit in (("vae-20d", "negative ELBO (nats per image)"), ("realnvp-mnist", "bits per dimension")):
        curve = (folder / "curves" / "plots" / name / "curves.svg").read_text()
        assert all(f">{words}<" in curve for words in ("train", "valid", "epoch, from 1 on", unit))
    assert "no-such-revision" in fresh.refuse("triptych", "plots", "no-such-revision")


def test_status_agrees_with_dvc_and_gives_the_reasons(fresh: Clone) -> None:
    project, loop = Project(fresh.root), fresh.root / "src" / "triptych" / "training" / "loop.py"

    def stale() -> set[str]:
        plan, lock = parallel.begin_planning(project)(), DvcLock.read(project)
        assert plan
        found = {stage for stage in plan.order if lock.state(stage) != CURRENT}
        assert found == set(plan.waits)
        return found

    assert stale() == set()
    said = fresh.succeed("triptych", "status")
    assert "All are up to date" in said
    line = re.search(r"^vae-20d +up to date +quick +20\d\d-.* (\S+) s  FID .*, ELBO -.* nats$", said, re.MULTILINE)
    assert line and f">{line[1]}</td>" in (fresh.root / "report.html").read_text()  # the seconds on the page
    fresh.edit(lambda data: data["studies"]["planar-samples"].update(learning_rate=0.001))
    assert stale() == {"study@planar-samples", "report"}
    shutil.rmtree(fresh.root / "plots" / "gan-mnist")
    assert stale() == {"study@planar-samples", "evaluate@gan-mnist", "report"}
    said = fresh.succeed("triptych", "status")
    assert "studies.planar-samples.learning_rate was " in said
    assert "evaluation is stale" in said
    assert "plots/gan-mnist is missing" in said
    (fresh.root / "src" / "triptych" / "evaluation" / "vae" / "importance.py").write_text("")
    assert {"evaluate@gan-mnist", "evaluate@vae-20d"} < stale()
    assert "src/triptych/evaluation has changed" in fresh.succeed("triptych", "status")
    loop.write_text(loop.read_text() + "\n")
    fresh.edit(lambda data: data["experiments"].update({"vae-new": data["experiments"]["vae-20d"]}))
    assert {"train@vae-20d", "train@vae-new"} < stale()
    assert re.search(r"^vae-new +not run$", fresh.succeed("triptych", "status"), re.MULTILINE)
    results = fresh.root / "plots" / "vae-20d" / "results.json"
    results.unlink()  # a link into DVC's cache
    results.write_text("{")
    said = fresh.succeed("triptych", "status")
    assert re.search(r"^vae-20d +damaged\n +/.*/plots/vae-20d/results.json is damaged: ", said, re.MULTILINE)
    assert re.search(r"^planar-samples +stale ", said, re.MULTILINE)
    (fresh.root / "dvc.lock").write_text("stages: [")
    assert "dvc.lock is damaged" in fresh.refuse("triptych", "status")


def test_status_names_missing_and_damaged_results(fresh: Clone) -> None:
    shutil.rmtree(fresh.root / "models" / "vae-20d")
    (fresh.root / "metrics" / "gan-mnist.json").unlink()
    history = fresh.root / "models" / "planar-samples" / "history.csv"
    text = history.read_text()
    history.unlink()  # a link into DVC's cache
    history.write_text(text[:-10])
    lines = fresh.succeed("triptych", "status").splitlines()
    assert "    models/vae-20d is missing" in lines
    assert "    metrics/gan-mnist.json is missing" in lines
    assert "    models/planar-samples was changed or damaged" in lines
    assert "3 of 4 are not up to date: run `triptych repro`" in lines
    said = fresh.succeed("triptych", "repro")
    for stage in ("train@vae-20d", "evaluate@gan-mnist", "study@planar-samples"):
        assert re.search(rf"{stage} .* from DVC's cache", said)
    assert "All are up to date" in fresh.succeed("triptych", "status")


def test_outside_a_project_there_is_one_sentence() -> None:
    root = Clone(Path("/"), {})  # a folder of the test would lie below a stray params.yaml in /tmp
    assert root.refuse("triptych", "status").startswith("triptych: there is no params.yaml in /")


def test_mlflow_shows_the_numbers_of_the_files(clone: Clone) -> None:
    runs = runs_of(clone)
    assert len(runs) == 4 + 2  # and the study's configurations
    for name in ("vae-20d", "gan-mnist", "realnvp-mnist"):
        run = next(run for key, run in runs.items() if key.startswith(name))
        metrics = clone.numbers(name)
        for measure in ("fid_classifier", "kid_classifier", "is_classifier"):
            assert run["metrics"][measure] == [[3, metrics[measure]["value"]]]
        assert run["tags"]["fidelity"].startswith("150 samples against mnist/test (120 images)")
        assert not any(key.endswith(("samples", "epochs")) for key in run["metrics"])
        valid = next(key for key in run["metrics"] if key.startswith("valid_"))
        assert [step for step, _ in run["metrics"][valid]] == [0, 1, 2, 3]
        pictures = sorted(path.name for path in (clone.root / "plots" / name).glob("[A-Z]*.png"))
        assert run["pictures"] == [f"figures/{picture}" for picture in pictures]
        assert run["model"] == [(name, metrics["weights_sha256"])]
        assert "To reproduce this run: `git checkout " in run["tags"]["mlflow.note.content"]
        assert run["tags"]["result"] in run["tags"]["mlflow.note.content"]
        assert run["samples"].count("images/samples+step+3") == 2  # and a smaller copy
        manifest = json.loads((clone.root / "models" / name / "manifest.json").read_text())
        updates = manifest["epoch_updates"]
        assert run["metrics"]["updates"] == [[epoch, updates * epoch] for epoch in range(4)]
        [[step, seconds]] = run["metrics"]["seconds_per_update"]
        assert step == 3
        assert seconds > 0
        assert run["tags"]["profile"] == "quick"
        assert run["tags"]["fingerprint"] == metrics["fingerprint"]
        assert run["data"] == [[metrics["data"]["dataset"], metrics["data"]["sha256"][:32]]]
    study = runs["planar-samples 0.0005"]
    metrics = clone.numbers("planar-samples")
    curve = study["metrics"]["arcs-k3.train_negative_log_likelihood"]
    assert [step for step, _ in curve] == list(range(1, 13))
    assert study["metrics"]["arcs-k3.kl"] == [[12, metrics["arcs-k3"]["kl"]]]
    assert "figures/M3.7-samples.png" in study["pictures"]
    assert study["tags"]["stage"] == "study"
    assert study["tags"]["fingerprint"] == metrics["fingerprint"]
    child = runs["planar-samples arcs-k3 0.0005"]
    assert child["below"] == "planar-samples"
    assert child["metrics"]["train_negative_log_likelihood"] == curve
    assert child["metrics"]["kl"] == [[12, metrics["arcs-k3"]["kl"]]]
    assert child["tags"]["configuration"] == "arcs-k3"
    assert study["below"] is None


def test_verify_names_every_change(fresh: Clone) -> None:
    """Table, page and MLflow agree with the metrics, and a change by hand is found."""
    assert "no problems" in fresh.succeed("triptych", "verify")
    fresh.succeed("triptych", "baseline")
    assert "not compared:" not in fresh.succeed("triptych", "verify")

    def change(name: str, old: str, new: str) -> None:
        path = fresh.root / name
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")

    weights = fresh.root / "models" / "gan-mnist" / "weights.safetensors"
    content = bytearray(weights.read_bytes())
    content[-2] ^= 1
    weights.write_bytes(content)
    metrics = fresh.numbers("vae-20d")
    fid = repr(metrics["fid_classifier"]["value"])
    change("metrics/summary.csv", fid, "1.25")
    change("report.html", f'data-value="{fid}"', 'data-value="1.25"')
    change("metrics/baseline/quick/vae-20d.json", fid, "1.25")
    with sqlite3.connect(fresh.root / "mlflow.db") as connection:
        connection.execute("update metrics set value = 1.25 where key = 'kid_classifier'")
    done = fresh.run("triptych", "verify")
    assert done.returncode == 1
    named = [
        line.partition(" (")[0]
        for line in done.stdout.splitlines()
        if line.startswith(("damaged: ", "drifted: ", "missing: "))
    ]
    assert set(named) >= {
        "damaged: models/gan-mnist",
        "damaged: models/gan-mnist/weights.safetensors",
        "damaged: metrics/summary.csv",
        "missing: metrics/summary.csv: vae-20d",
        "missing: report.html: vae-20d",
        "missing: MLflow: vae-20d",
        "drifted: plots/vae-20d/results.json",
    }
    assert not any("realnvp-mnist" in line for line in named if "MLflow" not in line)


def test_a_registered_model_draws_the_samples_of_the_command(
    clone: Clone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow
    import pandas as pd

    clone.succeed(
        "triptych", "sample", "vae-20d", "--count", "5", "--seed", "1", "--output", str(tmp_path / "five.npy")
    )
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{clone.root / 'mlflow.db'}")
    model = mlflow.pyfunc.load_model("models:/vae-20d/1")
    for asked in (pd.DataFrame({"count": [5], "seed": [1]}), {"count": [5], "seed": [1]}):
        images = model.predict(asked)
        assert images.dtype == "uint8"
        assert np.array_equal(images, np.load(tmp_path / "five.npy"))
    assert [spec.name for spec in model.metadata.get_input_schema()] == ["count", "seed"]
    assert model.metadata.get_output_schema().input_types() == [np.dtype("uint8")]
    assert model.predict(model.input_example).shape == (64, 28, 28)
    [run] = mlflow.search_runs(search_all_experiments=True, filter_string="attributes.run_name = 'vae-20d'").run_id
    same = mlflow.pyfunc.load_model(f"runs:/{run}/vae-20d").predict({"count": [5], "seed": [1]})
    assert np.array_equal(same, images)


def test_a_lost_tracking_server_costs_one_warning(fresh: Clone) -> None:
    fresh.edit(lambda data: data["experiments"]["vae-20d"].update(seed=7))
    output = fresh.succeed("dvc", "repro", MLFLOW_TRACKING_URI="http://127.0.0.1:9")
    assert fresh.ran(output) == ["train@vae-20d", "evaluate@vae-20d", "report"]
    assert output.count("warning: MLflow does not show all of this run") == 2
    assert "1 of them rebuilt" in fresh.succeed("triptych", "sync")
    assert "not answer" in fresh.refuse("triptych", "sync", MLFLOW_TRACKING_URI="http://127.0.0.1:9")


def test_the_page_is_complete_and_self_contained(clone: Clone) -> None:
    html = (clone.root / "report.html").read_text(encoding="utf-8")
    for identifier in ("U1.13", "U1.14", "U2.5", "U2.6", "U3.8", "U4.1", "X2", "M3.2", "M3.7"):
        assert identifier in html
    for name in ("vae-20d", "gan-mnist", "realnvp-mnist"):
        metrics = clone.numbers(name)
        assert metrics["data"]["sha256"] in html
        assert metrics["fingerprint"] in html
    study = clone.numbers("planar-samples")
    assert study["fingerprint"] in html
    assert all(f">{name}</th>" in html for name in study["configurations"])
    commits = clone.succeed("git", "log", "--format=%H").split()
    assert any(commit in html for commit in commits)
    assert "not recorded" not in html
    assert not re.search(r"src=.(https?:)?//", html)
    assert len(html) < 5_000_000
    outline = Outline(html)
    assert outline.open == []
    assert len(set(outline.ids)) == len(outline.ids)
    inside, files, outside = (
        [link for link in outline.links if link.startswith(start)] for start in ("#", "docs/", "https:")
    )
    assert {link.removeprefix("#") for link in inside} <= set(outline.ids)
    assert all((ROOT / link).is_file() for link in files)
    assert len(inside) + len(files) + len(outside) == len(outline.links)
    assert all(outline.alternatives)
    assert len(set(outline.alternatives)) == len(outline.alternatives)
    assert outline.headings[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(outline.headings))
    assert outline.headings.count(1) == 1


@pytest.mark.slow
def test_the_page_follows_the_files_on_disk(fresh: Clone) -> None:
    page, summary = fresh.root / "report.html", fresh.root / "metrics" / "summary.csv"
    written, first = page.stat().st_mtime_ns, page.read_bytes()
    fresh.succeed("triptych", "repro")
    assert page.stat().st_mtime_ns == written
    assert "report.html" not in fresh.succeed("triptych", "status")

    fresh.edit(lambda data: data["studies"]["planar-samples"].update(samples=90))
    fresh.succeed("triptych", "repro")
    assert page.read_bytes() != first
    fresh.succeed("git", "restore", ".")
    fresh.succeed("dvc", "checkout", "--quiet")
    assert "report.html is stale: run `triptych page`" in fresh.succeed("triptych", "status")
    assert fresh.ran(fresh.succeed("triptych", "repro")) == []
    assert page.read_bytes() == first

    page.unlink()
    assert "report.html is missing: run `triptych page`" in fresh.succeed("triptych", "status")
    fresh.succeed("triptych", "page")
    summary.unlink()
    assert "report.html is stale, and cannot be built: " in fresh.succeed("triptych", "status")
    fresh.succeed("triptych", "repro")
    assert "report.html" not in fresh.succeed("triptych", "status")
    assert page.read_bytes() == first

    metrics = fresh.root / "plots" / "vae-20d" / "results.json"
    kept = json.loads(metrics.read_text())
    metrics.write_text(json.dumps(kept | {"parameters": 12345}))
    assert "differs from plots/vae-20d/results.json: run `triptych repro`" in fresh.refuse("triptych", "page")
    metrics.write_text(json.dumps(kept | {"inverse_error": 12345}))  # a number that is not in the summary
    assert "report.html is stale" in fresh.succeed("triptych", "status")
    fresh.succeed("triptych", "page")
    assert b'data-value="12345"' in page.read_bytes()
    fresh.succeed("triptych", "repro")
    assert b'data-value="12345"' not in page.read_bytes()


def test_curves_on_the_page_are_those_of_the_histories(clone: Clone) -> None:
    html = (clone.root / "report.html").read_text(encoding="utf-8")
    figure = html.partition('<figure id="vae-20d/U1.13-elbo"')[2].partition("</figure>")[0]
    chart = json.loads(figure.partition('class="curves">')[2].partition("</script>")[0])
    history = read_history(clone.root / "models" / "vae-20d" / "history.csv")
    assert chart["values"] == [[-row[f"{split}_negative_elbo"] for row in history] for split in ("train", "valid")]
    assert html.count('class="curves"') == 2 * 4  # panels of a VAE's bound, a GAN's losses, a flow's bits and nats


def test_the_page_marks_facts_that_are_not_recorded(fresh: Clone) -> None:
    shutil.rmtree(fresh.root / ".triptych")
    fresh.succeed("triptych", "page")
    assert "not recorded" in (fresh.root / "report.html").read_text(encoding="utf-8")


def test_wrong_settings_keep_every_earlier_result(fresh: Clone) -> None:
    before = fresh.results()
    fresh.edit(lambda data: data["experiments"]["vae-20d"]["epochs"].update(quick=-1))
    done = fresh.run("dvc", "repro")
    assert done.returncode != 0
    assert "experiments.vae-20d.epochs.quick" in done.stderr
    assert fresh.results() == before
    assert "experiments.vae-20d.epochs.quick" in fresh.refuse("triptych", "repro")
    fresh.edit(lambda data: data["experiments"]["vae-20d"].update(learning_rat=1, epochs={"quick": 3, "full": 3}))
    assert "experiments.vae-20d.learning_rat" in fresh.refuse("triptych", "check")


def test_broken_data_keeps_every_earlier_result(fresh: Clone, tmp_path: Path) -> None:
    before = fresh.results()
    fresh.edit(lambda data: data["profiles"]["quick"].update(source="folder"))
    sentence = fresh.run("dvc", "repro", TRIPTYCH_DATA=str(tmp_path / "nowhere")).stderr
    assert "TRIPTYCH_DATA names" in sentence
    (tmp_path / "mnist.npz").write_bytes(b"PK\3\4")
    assert "mnist.npz" in fresh.run("dvc", "repro", TRIPTYCH_DATA=str(tmp_path)).stderr
    assert fresh.results() == before


@pytest.mark.slow
def test_changed_data_of_the_user_is_noticed_and_no_other_data_is_asked_for(fresh: Clone, tmp_path: Path) -> None:
    import numpy as np

    rng, checksums = np.random.default_rng(0), set()
    fresh.edit(lambda data: data["profiles"]["quick"].update(source="folder"))
    for _ in range(2):
        sizes = {"train": 450, "test": 120}
        arrays = {f"x_{key}": rng.integers(0, 256, (size, 28, 28), dtype=np.uint8) for key, size in sizes.items()}
        arrays |= {f"y_{key}": (np.arange(size) % 10).astype(np.uint8) for key, size in sizes.items()}
        np.savez(tmp_path / "mnist.npz", **arrays)
        fresh.succeed("triptych", "repro", "prepare@mnist", TRIPTYCH_DATA=str(tmp_path))
        manifest = json.loads((fresh.root / "data" / "prepared" / "mnist" / "manifest.json").read_text())
        checksums.add(manifest["sha256"])
    assert len(checksums) == 2
    fresh.succeed("triptych", "repro", "evaluate@realnvp-mnist", TRIPTYCH_DATA=str(tmp_path))
    assert (
        "(TRIPTYCH_DATA) has no binarized_mnist" in fresh.run("triptych", "repro", TRIPTYCH_DATA=str(tmp_path)).stdout
    )


def test_a_full_disk(fresh: Clone) -> None:
    before = fresh.results()
    fresh.edit(lambda data: data["experiments"]["vae-20d"].update(seed=9))
    limited = fresh.run("sh", "-c", "ulimit -f 20; exec triptych train vae-20d")
    assert limited.returncode == 1
    assert "triptych: no space left on the disk while writing" in limited.stderr
    assert "Traceback" not in limited.stderr
    assert fresh.results() == before


def test_errors_of_commands_are_one_sentence(fresh: Clone) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert f"port {port} is in use" in fresh.refuse("triptych", "ui", "--port", str(port))
    assert "experiments.nothing" in fresh.refuse("triptych", "sample", "nothing")
    assert "experiments.nothing" in fresh.refuse("triptych", "train", "nothing")
    assert "studies.nothing" in fresh.refuse("triptych", "study", "nothing")
    assert "datasets.nothing" in fresh.refuse("triptych", "fetch", "nothing")
    weights = fresh.root / "models" / "vae-20d" / "weights.safetensors"
    weights.write_bytes(b"nonsense")
    assert "damaged" in fresh.refuse("triptych", "sample", "vae-20d")


def test_samples_from_the_command_line(fresh: Clone) -> None:
    fresh.succeed("triptych", "sample", "realnvp-mnist", "--count", "4", "--seed", "2", "--output", "s.npy")
    fresh.succeed("triptych", "sample", "gan-mnist")
    assert (fresh.root / "s.npy").exists()
    assert (fresh.root / "samples" / "gan-mnist.png").exists()
    assert fresh.succeed("git", "status", "--porcelain") == "?? s.npy\n"


@pytest.mark.slow
def test_without_git(clone: Clone, tmp_path: Path, warm_start: dict[str, str]) -> None:
    """An unpacked archive has no folder .git; the pipeline runs there without a commit."""
    copy = tmp_path / "archive"
    shutil.copytree(clone.root, copy, ignore=shutil.ignore_patterns(".git", "mlflow.db"))
    archive = Clone(copy, warm_start)
    archive.edit(lambda data: data["experiments"]["vae-20d"].update(seed=3))
    output = archive.succeed("triptych", "repro")
    assert archive.ran(output) == ["train@vae-20d", "evaluate@vae-20d", "report"]


def declared_code(stage: str, item: dict) -> dict[str, set[Path]]:
    """Return the paths of code that `dvc.yaml` declares for a stage, each with its modules."""
    stages = YAML(typ="safe", pure=True).load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    dependencies = stages[stage].get("do", stages[stage])["deps"]
    named = (re.sub(r"\$\{item\.(\w+)\}", lambda match: item.get(match[1], ""), path) for path in dependencies)
    code = [path for path in named if path.startswith("src")]
    assert len(code) <= 10
    found = {}
    for path in code:
        place = ROOT / path
        assert place.exists(), f"{path} is declared for {stage} but does not exist"
        files = place.rglob("*.py") if place.is_dir() else [place]
        found[path] = {PACKAGE / file.relative_to(ROOT / "src" / "triptych") for file in files}
    return found


STAGES = [(stage, {}, []) for stage in ("fetch", "prepare", "classifier", "reference", "report")]
STAGES += [
    (stage, {"family": family}, modules)
    for family, entry in FAMILIES.items()
    for stage, modules in (("train", entry.training_modules), ("evaluate", entry.evaluation_modules))
]
STAGES += [("study", {"study": kind}, study_modules(kind)) for kind in STUDIES]


@pytest.mark.parametrize(
    ("stage", "item", "loaded"), STAGES, ids=["-".join([name, *of.values()]) for name, of, _ in STAGES]
)
def test_a_stage_declares_the_code_that_it_imports(stage: str, item: dict, loaded: list[str]) -> None:
    declared = declared_code(stage, item)
    used = set(closure([f"triptych.stages.{stage}", *loaded]))
    covered = set().union(*declared.values())
    assert used - covered == set(), f"{stage} uses code that dvc.yaml does not declare"
    # One entry serves all kinds of studies, of which only some use the objectives.
    kinds = closure([module for kind in STUDIES for module in study_modules(kind)]) if stage == "study" else ()
    unused = [path for path, modules in declared.items() if not modules & (used | set(kinds))]
    assert unused == [], f"dvc.yaml declares code that {stage} does not use"


NOT_IN_RESULTS = {  # settings that change the speed of a training and not its numbers
    "runtime.checkpoint_seconds",
    "runtime.cuda_graphs",
    "runtime.data_on_device",
}


READ_FOR_SOME_MODELS = {"runtime.processes"}


class SettingsRecorder:
    """Records which settings are read, by their paths in `params.yaml`."""

    def __init__(self, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
        self.places = dict(self._sections(settings, ""))
        self.read: set[str] = set()
        recorder = self

        def read(section: Section, name: str) -> object:
            value = object.__getattribute__(section, name)
            place = recorder.places.get(id(section))
            if place is not None and (name == "model_dump" or name in type(section).model_fields):
                recorder.add(place, name, value)
            return value

        monkeypatch.setattr(Section, "__getattribute__", read, raising=False)

    def _sections(self, value: object, place: str) -> Iterator[tuple[int, str]]:
        if isinstance(value, Section):
            yield id(value), place
        for name, inner in dict(value).items() if isinstance(value, Section | dict) else ():
            yield from self._sections(inner, f"{place}.{name}".lstrip("."))

    def add(self, place: str, name: str, value: object) -> None:
        if name == "model_dump":
            self.read.add(place)
        elif id(value) not in self.places and not (
            isinstance(value, dict) and (not value or any(map(self._is_section, value.values())))
        ):
            self.read.add(f"{place}.{name}".lstrip("."))

    def _is_section(self, value: object) -> bool:
        return id(value) in self.places


@pytest.mark.parametrize(
    "stage",
    [
        "fetch@mnist", "prepare@mnist", "classifier@mnist", "classifier_reference@mnist", "reference@mnist",
        "train@vae-20d", "evaluate@vae-20d", "evaluate@gan-mnist", "study@planar-samples", "report",
    ],
)  # fmt: skip
def test_a_stage_declares_the_settings_that_it_reads(fresh: Clone, monkeypatch: pytest.MonkeyPatch, stage: str) -> None:
    """A setting of an experiment may stand in its entry or in its recipe: the stage declares both."""
    import triptych.cli.stages as commands

    monkeypatch.chdir(fresh.root)
    if stage.startswith("classifier"):
        fresh.edit(with_classifiers)
    if stage == "classifier_reference@mnist":
        fresh.succeed("triptych", "classifier", "mnist")
    [declared] = [
        set(dependency.params)
        for dependency in Repo(str(fresh.root)).stage.load_one(name=stage).deps
        if isinstance(dependency, ParamsDependency)
    ]
    project, settings = commands.open_project()
    monkeypatch.setattr(commands, "open_project", lambda: (project, settings))
    monkeypatch.setattr("triptych.reports.page.build.build_page", lambda *_: None)  # the page is not an output of DVC
    if stage != "report":  # elsewhere the groups are only for a tag in MLflow
        monkeypatch.setattr(Settings, "seed_groups", lambda _: {})
    monkeypatch.delenv("DVC_STAGE", raising=False)
    recorder = SettingsRecorder(settings, monkeypatch)
    kind, _, item = stage.removeprefix("classifier_").partition("@")
    command = next(command for command in commands.STAGES if command.name == kind)
    done = CliRunner().invoke(command, [item] if item else [], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    read = recorder.read - NOT_IN_RESULTS
    known = declared | {"profile"} if any(f".{settings.profile}." in f"{key}." for key in declared) else declared
    undeclared = {key for key in read if not any(f"{key}.".startswith(f"{each}.") for each in known)}
    assert undeclared == set(), f"{stage} reads settings that dvc.yaml does not declare"
    recipes = {key for key in declared if key.startswith("recipes")}
    assert bool(recipes) == any(key.startswith(("experiments", "studies")) for key in declared)
    unread = {key for key in declared - recipes if not any(f"{found}.".startswith(f"{key}.") for found in read)}
    assert unread - READ_FOR_SOME_MODELS == set(), f"dvc.yaml declares settings that {stage} does not read"
