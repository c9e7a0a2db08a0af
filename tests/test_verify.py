"""The verdicts of `triptych verify` on results that are equal, rounded, drifted, damaged or missing."""

from __future__ import annotations

import csv
import hashlib
import json
import platform
import re
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from conftest import ROOT
from triptych.core.errors import TriptychError
from triptych.core.json_files import flatten, is_number, read_json, write_json
from triptych.records.journal import Execution
from triptych.records.mlflow.store import Store
from triptych.repository.dvc_cache import cache_folder, content_hash, recorded_outputs
from triptych.repository.project import Project
from triptych.settings.sections import STAGE_SECTIONS
from triptych.stages.summary import summarise
from triptych.training import machine
from triptych.training.reproducible import run_key
from triptych.verify import check_views, table
from triptych.verify.baseline import LARGEST, keep_baseline
from triptych.verify.check_baseline import check_baseline
from triptych.verify.check_outputs import check_outputs, check_weights
from triptych.verify.check_views import check_mlflow, check_page, check_summary
from triptych.verify.finding import Finding, Verdict

HERE = {"device": "cpu", "instruction_set": "AVX2", "threads": 2, "torch": "2.14.0", "processor": "EPYC 9R14"}
METRICS = {
    "test": {"elbo": -100.0, "images": 1000},
    "parameters": 20_000_000,
    "fid_classifier": {"value": 200.0, "samples": 1000, "extractor": "classifier-mnist (96.50% test accuracy)"},
    "precision_classifier": {"value": 0.0},
    "profile": "quick",
    "data": {"sha256": "d"},
    "weights_sha256": "w",
}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Return a project with a trained and evaluated VAE, and a baseline with equal numbers from the same machine."""
    project = Project(tmp_path)
    (tmp_path / "params.yaml").touch()
    manifest = {
        "family": "vae",
        "settings": {"epochs": 8, "batch_size": 128},
        "epoch_updates": 39,
        "weights_sha256": "w",
    }
    write_json(project.model("vae") / "manifest.json", manifest)
    write_json(project.results("vae"), METRICS)
    write_baseline(project, HERE)
    execution = Execution(project, "train", "vae")
    execution.facts |= HERE
    execution.write(project.model("vae") / "manifest.json")
    return project


def write_baseline(project: Project, machine: dict, **changes: object) -> None:
    manifest = read_json(project.model("vae") / "manifest.json")
    kept = METRICS | {"settings": manifest["settings"], "run": machine} | changes
    write_json(project.root / "metrics" / "baseline" / "quick" / "vae.json", kept)


def check(project: Project, **changes: object) -> Finding:
    """Change the metrics and compare them with the baseline."""
    write_json(project.results("vae"), METRICS | changes)
    [finding] = check_baseline(project, ["vae"])
    return finding


SAME_FID = {"fid_classifier.samples", "fid_classifier.extractor"}


def with_fid(value: float) -> dict:
    return {"fid_classifier": METRICS["fid_classifier"] | {"value": value}}


def test_equal_metrics_are_equal(project: Project) -> None:
    assert check(project).verdict is Verdict.EQUAL


@pytest.mark.parametrize("machine", [HERE, HERE | {"processor": "EPYC 9B45"}], ids=["same", "other"])
@pytest.mark.parametrize(
    ("changes", "verdict", "relative"),
    [
        (with_fid(200.0 + 1e-6), Verdict.ROUNDING, "5e-09"),
        (with_fid(200.0 - 1.9e-4), Verdict.ROUNDING, "9.5e-07"),
        (with_fid(200.0 + 2.1e-4), Verdict.AGREES, "1e-06"),
        (with_fid(210.0), Verdict.AGREES, "0.048"),
        (with_fid(240.0), Verdict.DRIFTED, "0.17"),
        ({"test": {"elbo": -100.05, "images": 1000}}, Verdict.AGREES, "0.0005"),
        ({"test": {"elbo": -100.2, "images": 1000}}, Verdict.DRIFTED, "0.002"),
        ({"precision_classifier": {"value": 1e-9}}, Verdict.ROUNDING, "1"),
        ({"precision_classifier": {"value": 0.1}}, Verdict.AGREES, "1"),
        ({"precision_classifier": {"value": 0.7}}, Verdict.DRIFTED, "1"),
        ({"parameters": 20_000_001}, Verdict.DRIFTED, "5e-08"),
    ],
)
def test_the_size_of_the_worst_difference_decides_on_every_machine(
    project: Project, changes: dict, verdict: Verdict, relative: str, machine: dict
) -> None:
    write_baseline(project, machine)
    finding = check(project, **changes)
    assert finding.verdict is verdict
    [key] = flatten(changes).keys() & flatten(METRICS).keys() - {"test.images", *SAME_FID}
    value, kept = flatten(changes)[key], flatten(METRICS)[key]
    assert f"1 of 4 results differ, worst: {key}: {value}, in the baseline {kept}" in finding.detail
    assert f"(relative difference {relative})" in finding.detail
    assert ("processor EPYC 9R14 (in the baseline EPYC 9B45)" in finding.detail) == (machine != HERE)
    assert ("the same kind of machine" in finding.detail) == (machine == HERE)


def test_the_worst_of_several_differences_is_named(project: Project) -> None:
    """The worst one is the largest in tolerances, not in relative size: those of FID are 100 times as wide."""
    finding = check(project, **with_fid(201.0), test={"elbo": -100.05, "images": 1000})
    assert finding.verdict is Verdict.AGREES
    assert "2 of 4 results differ, worst: test.elbo: -100.05, in the baseline -100.0" in finding.detail
    finding = check(project, **with_fid(220.0), test={"elbo": -101.0, "images": 1000})
    assert finding.verdict is Verdict.DRIFTED
    assert "2 of 4 results differ, worst: test.elbo: -101.0, in the baseline -100.0" in finding.detail


def test_weights_are_compared_by_hash(project: Project) -> None:
    assert check(project, **with_fid(201.0)).detail.startswith("equal weights; ")
    finding = check(project, weights_sha256="other")
    assert finding.verdict is Verdict.ROUNDING
    assert finding.detail.startswith("other weights; 0 of 4 results differ; ")


def test_a_number_of_one_side_is_not_compared(project: Project) -> None:
    new = METRICS["fid_classifier"] | {"low": 190.0}
    finding = check(project, fid_classifier=new)
    assert finding.verdict is Verdict.NOT_COMPARED
    assert "fid_classifier.low: 190.0, in the baseline not there" in finding.detail
    assert check(project, fid_classifier=new | {"value": 300.0}).verdict is Verdict.DRIFTED
    write_baseline(project, HERE, recall_classifier={"value": 0.5})
    assert "recall_classifier.value: not there, in the baseline 0.5" in check(project).detail


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({"kl": 1.0005}, Verdict.ROUNDING),
        ({"kl": 1.002}, Verdict.DRIFTED),
        ({"end": 1e-17}, Verdict.ROUNDING),
        ({"share_on_left_arc": 1 / 20_000}, Verdict.AGREES),
        ({"share_on_left_arc": 0.01}, Verdict.DRIFTED),
        ({"verdict": "circles"}, Verdict.DRIFTED),
    ],
)
def test_studies_are_rounded_more_and_their_verdicts_are_words(
    project: Project, changes: dict, verdict: Verdict
) -> None:
    game = {"verdict": "converges", "kl": 1.0, "end": 4.7e-21, "share_on_left_arc": 0.0}
    study = {"game": game, "configurations": ["game"], "numbers_are": {"verdict": "an explanation"}}
    study |= {"profile": "quick", "weights_sha256": "w"}
    write_json(project.model("dirac") / "manifest.json", {"family": "dirac", "settings": {}})
    kept = study | {"numbers_are": {"verdict": "another explanation"}, "settings": {}, "run": HERE}
    write_json(project.root / "metrics" / "baseline" / "quick" / "dirac.json", kept)
    write_json(project.results("dirac"), study | {"game": game | changes})
    [finding] = check_baseline(project, ["dirac"])
    assert finding.verdict is verdict, finding.detail
    assert f"game.{next(iter(changes))}: {next(iter(changes.values()))}, in the baseline" in finding.detail


def test_another_extractor_is_not_compared(project: Project) -> None:
    other = METRICS["fid_classifier"] | {"value": 100.0, "extractor": "mnist-v1"}
    finding = check(project, fid_classifier=other)
    assert finding.verdict is Verdict.NOT_COMPARED
    assert "because of another extractor: fid_classifier" in finding.detail
    assert check(project, fid_classifier=other, test={"elbo": -90.0, "images": 1000}).verdict is Verdict.DRIFTED
    same = METRICS["fid_classifier"] | {"value": 100.0, "extractor": "classifier-mnist (96.60% test accuracy)"}
    assert check(project, fid_classifier=same).verdict is Verdict.DRIFTED


def test_different_settings_data_or_protocol_are_not_compared(project: Project) -> None:
    write_baseline(project, HERE, settings={"epochs": 40, "batch_size": 128})
    assert "epochs" in check(project, **with_fid(100.0)).detail
    write_baseline(project, HERE, data={"sha256": "other"})
    assert "data" in check(project, **with_fid(201.0)).detail
    write_baseline(project, HERE)
    finding = check(project, test={"elbo": -90.0, "images": 500})
    assert finding.verdict is Verdict.NOT_COMPARED
    assert "test.images" in finding.detail
    (project.root / "metrics" / "baseline" / "quick" / "vae.json").unlink()
    assert "there is no baseline" in check(project).detail


@pytest.mark.parametrize("unsettled", [{"family": "gan"}, {"importance_samples": 20}], ids=["gan", "iwae"])
def test_an_unsettled_model_is_compared_only_with_equal_weights(project: Project, unsettled: dict) -> None:
    manifest = read_json(project.model("vae") / "manifest.json")
    manifest |= {key: value for key, value in unsettled.items() if key == "family"}
    settings = manifest["settings"]
    settings["model"] = settings.get("model", {}) | {
        key: value for key, value in unsettled.items() if key == "importance_samples"
    }
    write_json(project.model("vae") / "manifest.json", manifest)
    write_baseline(project, HERE)
    finding = check(project, **with_fid(300.0), weights_sha256="other")
    assert finding.verdict is Verdict.NOT_COMPARED
    assert "rounding can change all digits of this model in fewer than 1,000 updates" in finding.detail
    assert "fid_classifier.value: 300.0" in finding.detail
    assert check(project, **with_fid(300.0)).verdict is Verdict.DRIFTED
    assert check(project).verdict is Verdict.EQUAL


@pytest.mark.parametrize("verdict", Verdict)
def test_only_drifted_damaged_and_missing_are_failures(
    project: Project, monkeypatch: pytest.MonkeyPatch, verdict: Verdict
) -> None:
    for check_ in ("check_outputs", "check_weights", "check_summary", "check_page", "check_mlflow"):
        monkeypatch.setattr(table, check_, lambda *_: iter(()))
    monkeypatch.setattr(table, "check_baseline", lambda *_: iter([Finding("item", "file", verdict, "reason")]))
    text, trustworthy = table.verify(project, SimpleNamespace(measured=[]))
    assert trustworthy == (verdict.value not in {"drifted", "damaged", "missing"})
    assert (f"{verdict.value}: item (with file): reason" in text) == (verdict is not Verdict.EQUAL)


def test_every_comparison_is_made_for_the_measured_items(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    settings, given = SimpleNamespace(measured=["vae"]), {}
    with_settings, with_names = ("outputs", "summary"), ("weights", "page", "mlflow", "baseline")
    for name in (*with_settings, *with_names):
        monkeypatch.setattr(table, f"check_{name}", lambda *args, name=name: given.update({name: args}) or ())
    assert table.verify(project, settings)[1]
    wanted = dict.fromkeys(with_settings, (project, settings)) | dict.fromkeys(with_names, (project, ["vae"]))
    assert given == wanted


def test_damaged_files_are_findings(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison that a damaged file ends is reported, and the others are made."""
    for name in ("check_outputs", "check_weights", "check_mlflow"):
        monkeypatch.setattr(table, name, lambda *_: iter(()))
    for place in (project.summary, project.page):
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(b"\xff,nothing\n1,2\n")
    settings = SimpleNamespace(measured=["vae"], experiments={})
    text, trustworthy = table.verify(project, settings)
    assert not trustworthy
    assert "damaged: summary.csv (with results): not all were compared: " in text
    assert "missing: report.html: vae (with plots/vae/results.json): out of date" in text
    shutil.rmtree(project.model("vae"))
    assert [*check_baseline(project, ["vae"])] == [], "the missing model is a finding of check_outputs"


def test_outputs_are_compared_with_the_lock_file(tmp_path: Path) -> None:
    """A changed folder names its new, changed and deleted files, which DVC's cache lists."""
    (tmp_path / "params.yaml").touch()
    before = {"changed": "old", "deleted": "x", "same": "x"}
    listing = json.dumps([{"md5": md5(text), "relpath": name} for name, text in before.items()])
    outputs = {"equal.csv": md5("equal"), "other.csv": md5("as written"), "gone.csv": md5(""), "plots": "ab12.dir"}
    cached = tmp_path / ".dvc" / "cache" / "files" / "md5" / "ab" / "12.dir"
    files = {cached: listing, tmp_path / "equal.csv": "equal", tmp_path / "other.csv": "by hand"}
    for path, text in files.items() | {(tmp_path / "plots" / name, name) for name in ("changed", "new")}:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "plots" / "same").write_text("x")
    entries = [{"path": path, "md5": recorded} for path, recorded in outputs.items()]
    (tmp_path / "dvc.lock").write_text(json.dumps({"schema": "2.0", "stages": {"train@vae": {"outs": entries}}}))
    settings = SimpleNamespace(**dict.fromkeys(STAGE_SECTIONS.values(), ()) | {"experiments": ["vae"]})
    afterwards = "changed after the stage wrote it: run `triptych repro`"
    assert [*check_outputs(Project(tmp_path), settings)] == [
        Finding("equal.csv", "dvc.lock", Verdict.EQUAL),
        Finding("other.csv", "dvc.lock", Verdict.DAMAGED, f"other.csv {afterwards}"),
        Finding("gone.csv", "dvc.lock", Verdict.MISSING, "run `triptych repro`"),
        Finding("plots", "dvc.lock", Verdict.DAMAGED, f"changed, deleted, new {afterwards}"),
        *(
            Finding(stage, "dvc.lock", Verdict.MISSING, "the stage has not run under DVC: run `triptych repro`")
            for stage in ("evaluate@vae", "report")
        ),
    ]


def md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()


def test_each_row_of_the_summary_is_compared_with_its_results(project: Project) -> None:
    families = {"vae-20d": "vae", "gan-mnist": "gan", "realnvp-mnist": "flow"}
    settings = SimpleNamespace(experiments={name: SimpleNamespace(family=families[name]) for name in families})
    assert [*check_summary(project, settings)] == []
    rows = []
    for name, family in families.items():
        metrics = read_json(ROOT / "metrics" / "baseline" / "quick" / f"{name}.json")
        write_json(project.results(name), metrics)
        rows.append(summarise(name, family, metrics, ["classifier"]))
    rows[1]["recognised"] += 1e-9
    with project.summary.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows[:2])
    equal, changed, missing = check_summary(project, settings)
    assert equal == Finding("metrics/summary.csv: vae-20d", "plots/vae-20d/results.json", Verdict.EQUAL)
    assert changed == Finding(
        *("metrics/summary.csv: gan-mnist", "plots/gan-mnist/results.json", Verdict.MISSING),
        "out of date (recognised): run `triptych repro`",
    )
    assert (missing.item, missing.verdict) == ("metrics/summary.csv: realnvp-mnist", Verdict.MISSING)
    assert f"and {len(rows[2]) - 3} more" in missing.detail


def test_every_point_in_mlflow_is_compared_with_the_run_folder(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = {"fingerprint": "0123456789abcdef" * 4, "family": "vae"}
    write_json(project.model("vae") / "manifest.json", manifest)
    run = project.private / "runs" / "vae" / "0123456789abcdef"
    points = {"train_elbo": [(0, -200.0), (1, -100.0)], "test.elbo": [(1, -100.0)], "parameters": [(1, 2e7)]}
    points |= {"fid_classifier": [(1, 200.0)], "precision_classifier": [(1, 0.0)]}
    runs = [SimpleNamespace(info=SimpleNamespace(run_id="id"))]

    class Shown:
        uri, is_missing = "sqlite:///mlflow.db", False

        def __init__(self, given: Project) -> None:
            assert given is project

        def find_runs(self, name: str, fingerprint: str, family: str) -> list:
            assert (name, fingerprint, family) == ("vae", manifest["fingerprint"], "vae")
            return runs

        def curves(self, run_id: str, names: object) -> dict:
            assert (run_id, {*names}) == ("id", {*points})
            return points

    def finding() -> tuple[Verdict, str]:
        [found] = check_mlflow(project, ["vae", "not trained"])
        assert (found.item, found.compared_with) == ("MLflow: vae", "plots/vae/results.json")
        return found.verdict, found.detail

    monkeypatch.setattr(check_views, "Store", Shown)
    outdated = Verdict.MISSING, "the run folder is out of date: run `triptych sync`"
    assert finding() == outdated
    write_json(run / "manifest.json", manifest)
    (run / "history.csv").write_text("epoch,elbo\n0,-200.0\n1,-100.0\n")
    assert finding() == outdated, "without the results of the evaluation"
    write_json(run / "metrics.json", METRICS)
    assert finding() == (Verdict.EQUAL, "")
    points["train_elbo"][0] = (0, -201.0)
    assert finding() == (Verdict.MISSING, "out of date (train_elbo): run `triptych sync`")
    runs *= 2
    assert finding() == (Verdict.MISSING, "2 runs instead of one: run `triptych sync`")


@pytest.mark.parametrize(
    ("problem", "verdict"),
    [("database disk image is malformed", Verdict.DAMAGED), ("database is locked", Verdict.NOT_COMPARED)],
)
def test_a_damaged_database_of_mlflow_is_a_problem_and_a_busy_one_is_none(
    project: Project, monkeypatch: pytest.MonkeyPatch, problem: str, verdict: Verdict
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    manifest = {"fingerprint": "0123456789abcdef" * 4, "family": "vae"}
    write_json(project.model("vae") / "manifest.json", manifest)
    Store(project).database.touch()

    def fail(*arguments: object) -> None:
        raise OSError(problem)

    monkeypatch.setattr(check_views, "_check_run", fail)
    [found] = check_mlflow(project, ["vae"])
    assert found.verdict is verdict
    assert problem in found.detail
    assert ("run `triptych sync`" in found.detail) == (verdict is Verdict.DAMAGED)


def test_a_missing_database_of_mlflow_is_one_finding_and_stays_missing(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    for name in ("vae", "gan"):
        write_json(project.model(name) / "manifest.json", {"fingerprint": "0" * 64, "family": name})
    [found] = check_mlflow(project, ["vae", "gan"])
    assert (found.item, found.verdict, found.detail) == ("MLflow", Verdict.MISSING, "run `triptych sync`")
    assert not Store(project).database.exists()
    assert list(check_mlflow(project, ["not trained"])) == []


def test_weights_are_compared_with_manifest_and_results(project: Project) -> None:
    weights = project.model("vae") / "weights.safetensors"
    weights.write_bytes(b"trained")
    manifest = read_json(project.model("vae") / "manifest.json")
    right = hashlib.sha256(b"trained").hexdigest()
    write_json(project.model("vae") / "manifest.json", manifest | {"weights_sha256": right})

    def verdict() -> tuple[str, Verdict]:
        [finding] = check_weights(project, ["vae"])
        return finding.item, finding.verdict

    assert verdict() == ("plots/vae/results.json", Verdict.DAMAGED)
    write_json(project.results("vae"), METRICS | {"weights_sha256": right})
    assert verdict() == ("models/vae/weights.safetensors", Verdict.EQUAL)
    weights.write_bytes(b"by hand")
    assert verdict() == ("models/vae/weights.safetensors", Verdict.DAMAGED)


def test_the_cache_is_where_dvc_has_it(tmp_path: Path) -> None:
    """DVC quotes some paths in its configuration."""
    from dvc.config import Config

    assert cache_folder(tmp_path) == tmp_path / ".dvc" / "cache"
    (tmp_path / ".dvc").mkdir()
    place = tmp_path / "100 %, # all"
    with Config(str(tmp_path / ".dvc")).edit("local") as config:
        config["cache"]["dir"] = str(place)
    assert cache_folder(tmp_path) == place
    (tmp_path / ".dvc" / "config").write_text("[cache")
    with pytest.raises(TriptychError, match=r"^DVC cannot read its configuration"):
        cache_folder(tmp_path)


def test_content_hashes_equal_those_of_dvc(tmp_path: Path) -> None:
    from dvc_data.hashfile.build import build
    from dvc_data.hashfile.db.local import LocalHashFileDB
    from dvc_objects.fs.local import LocalFileSystem

    folder = tmp_path / "folder"
    for name in ("a-b/c", "a/b", "a.b", "z", "ä"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    files = LocalFileSystem()
    database = LocalHashFileDB(files, str(tmp_path / "cache"))
    for path in (folder, folder / "z"):
        *_, found = build(database, str(path), files, "md5")
        assert content_hash(path) == found.hash_info.value


def test_a_missing_or_damaged_page_is_reported(project: Project) -> None:
    def verdict() -> Verdict:
        return next(iter(check_page(project, ["vae"]))).verdict

    assert [*check_page(project, ["vae"])] == [Finding("report.html", "plots", Verdict.MISSING, "run `triptych page`")]
    numbers = {key: value for key, value in flatten(METRICS).items() if is_number(value)}
    cells = [f'<td data-key="{key}" data-value="{value}">' for key, value in numbers.items()]
    project.page.write_text(f'<section id="vae">{"".join(cells)}</section>')
    assert verdict() is Verdict.EQUAL
    project.page.write_text(f'<section id="vae">{"".join(cells).replace("-100.0", "x")}</section>')
    assert verdict() is Verdict.MISSING


@pytest.mark.parametrize(
    "text",
    [
        *("stages: [", "stages: {a: 1}", "{}", "stages: {a: {outs: [{path: x}]}}", "1"),
        *("stages: {a: {deps: [{path: x}]}}", "stages: {a: {params: [1]}}"),
    ],
)
def test_a_damaged_lock_file_gives_one_sentence(tmp_path: Path, text: str) -> None:
    assert recorded_outputs(tmp_path) == {}
    (tmp_path / "dvc.lock").write_text(text)
    with pytest.raises(TriptychError, match=r"^dvc\.lock is damaged") as caught:
        recorded_outputs(tmp_path)
    assert "\n" not in str(caught.value)


def test_the_machine_facts_name_the_processor_and_the_blas(monkeypatch: pytest.MonkeyPatch) -> None:
    device = torch.device("cpu")
    facts, key = machine.machine_facts(device), run_key(device)
    assert facts["processor"]
    if sys.platform == "linux" and platform.machine() == "x86_64":
        keys = (r"model name", r"cpu family", r"model")
        found = [re.search(rf"{key}\s*: (.*)", Path("/proc/cpuinfo").read_text())[1] for key in keys]
        assert facts["processor"] == "{}, family {}, model {}".format(*found)
    by_torch, *by_numpy = facts["blas"].split(", ")
    assert by_torch.replace("PyTorch ", "BLAS_INFO=") in torch.__config__.show()
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    if "openblas" in blas["name"]:
        assert any(re.fullmatch(rf"NumPy openblas {re.escape(blas['version'])} \w+", each) for each in by_numpy)
    monkeypatch.setattr(machine, "processor", lambda: "another")
    assert machine.machine_facts(device) == facts | {"processor": "another"}
    assert run_key(device) == key, "a checkpoint continues on another processor with the same instructions"


def test_the_baseline_keeps_the_processor_and_the_blas(project: Project) -> None:
    path = project.model("vae") / "manifest.json"
    write_json(path, read_json(path) | {"runtime": {}})
    execution = Execution(project, "train", "vae")
    execution.facts |= HERE | {"blas": "PyTorch mkl"}
    execution.write(path)
    execution = Execution(project, "evaluate", "vae")
    execution.facts |= {"seconds_per_sample": 0.25, "processor": "of the evaluation"}
    execution.write(project.results("vae"))
    keep_baseline(project, "vae", "vae", pictures=False)
    kept = read_json(project.root / "metrics" / "baseline" / "quick" / "vae.json")["run"]
    assert kept["seconds_per_sample"] == 0.25
    assert kept.items() >= {"processor": "EPYC 9R14", "blas": "PyTorch mkl"}.items()


def test_the_baseline_of_the_full_profile_keeps_pictures_that_are_small(project: Project) -> None:
    path, results = project.model("vae") / "manifest.json", project.results("vae")
    write_json(path, read_json(path) | {"runtime": {}})
    write_json(results, read_json(results) | {"profile": "full"})
    picture = project.plots("vae") / "U1.13-elbo.png"
    picture.write_bytes(b"x" * LARGEST)
    keep_baseline(project, "vae", "longer", pictures=True)
    assert read_json(project.root / "metrics" / "baseline" / "longer.json")["profile"] == "full"
    kept = project.root / "plots" / "baseline" / "longer"
    assert [each.name for each in kept.iterdir()] == [picture.name]
    picture.write_bytes(b"x" * (LARGEST + 1))
    write_json(results, read_json(results) | {"epochs": 77})
    with pytest.raises(TriptychError, match=r"U1\.13-elbo\.png has 200,001 bytes, more than 200,000: draw it smaller"):
        keep_baseline(project, "vae", "longer", pictures=True)
    assert read_json(project.root / "metrics" / "baseline" / "longer.json").get("epochs") != 77


def test_the_baseline_of_an_untrained_model_has_no_seconds_per_epoch(project: Project) -> None:
    path, results = project.model("vae") / "manifest.json", project.results("vae")
    write_json(path, read_json(path) | {"runtime": {}})
    execution = Execution(project, "train", "vae")
    execution.facts["train_seconds"] = 1.0
    execution.write(path)
    write_json(results, read_json(results) | {"epochs": 0})
    keep_baseline(project, "vae", "vae", pictures=False)
    kept = read_json(project.root / "metrics" / "baseline" / "quick" / "vae.json")
    assert kept["run"]["train_seconds"] == 1.0
    assert "seconds_per_epoch" not in kept["run"]
