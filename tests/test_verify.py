"""The verdicts of `triptych verify` on results that are equal, drifted, changed or missing."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from triptych.core.dvc_cache import content_hash, recorded_outputs
from triptych.core.errors import TriptychError
from triptych.core.json_files import flatten, is_number, read_json, write_json
from triptych.core.project import Project
from triptych.records.journal import Execution
from triptych.verify.check_baseline import check_baseline
from triptych.verify.check_outputs import check_weights
from triptych.verify.check_views import check_page
from triptych.verify.finding import Finding, Verdict
from triptych.verify.tolerances import tolerance

HERE = {"device": "cpu", "instruction_set": "AVX2", "threads": 2, "torch": "2.14.0"}
METRICS = {
    "test": {"elbo": -100.0, "images": 1000},
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
    write_json(project.metrics("vae"), METRICS)
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
    write_json(project.metrics("vae"), METRICS | changes)
    [finding] = check_baseline(project, ["vae"])
    return finding


def with_fid(value: float) -> dict:
    return {"fid_classifier": METRICS["fid_classifier"] | {"value": value}}


def test_equal_metrics_are_equal(project: Project) -> None:
    assert check(project).verdict is Verdict.EQUAL


@pytest.mark.parametrize("changes", [with_fid(200.0000001), {"precision_classifier": {"value": 1e-6}}])
def test_on_the_same_kind_of_machine_every_difference_is_a_change(project: Project, changes: dict) -> None:
    finding = check(project, **changes)
    assert finding.verdict is Verdict.CHANGED
    assert "1 of 5 numbers differ" in finding.detail


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        (with_fid(210.0), Verdict.AGREES),
        (with_fid(240.0), Verdict.DRIFTED),
        ({"test": {"elbo": -100.05, "images": 1000}}, Verdict.AGREES),
        ({"test": {"elbo": -100.2, "images": 1000}}, Verdict.DRIFTED),
        ({"precision_classifier": {"value": 0.1}}, Verdict.AGREES),
        ({"precision_classifier": {"value": 0.7}}, Verdict.DRIFTED),
    ],
)
def test_on_another_machine_tolerances_decide(project: Project, changes: dict, verdict: Verdict) -> None:
    write_baseline(project, HERE | {"instruction_set": "AVX512"})
    finding = check(project, **changes)
    assert finding.verdict is verdict
    assert "AVX512" in finding.detail
    assert next(iter(changes)) in finding.detail


def test_different_settings_data_or_protocol_are_not_compared(project: Project) -> None:
    write_baseline(project, HERE, settings={"epochs": 40, "batch_size": 128})
    assert "epochs" in check(project, **with_fid(100.0)).detail
    write_baseline(project, HERE, data={"sha256": "other"})
    assert "data" in check(project).detail
    write_baseline(project, HERE)
    finding = check(project, test={"elbo": -90.0, "images": 500})
    assert finding.verdict is Verdict.NOT_COMPARED
    assert "test.images" in finding.detail
    (project.root / "metrics" / "baseline" / "quick" / "vae.json").unlink()
    assert "there is no baseline" in check(project).detail


@pytest.mark.parametrize("unsettled", [{"family": "gan"}, {"importance_samples": 20}], ids=["gan", "iwae"])
def test_an_unsettled_model_is_compared_only_on_the_same_machine(project: Project, unsettled: dict) -> None:
    manifest = read_json(project.model("vae") / "manifest.json")
    manifest |= {key: value for key, value in unsettled.items() if key == "family"}
    settings = manifest["settings"]
    settings["model"] = settings.get("model", {}) | {
        key: value for key, value in unsettled.items() if key == "importance_samples"
    }
    write_json(project.model("vae") / "manifest.json", manifest)
    write_baseline(project, HERE | {"threads": 1})
    assert check(project, **with_fid(201.0)).verdict is Verdict.NOT_COMPARED
    assert check(project).verdict is Verdict.EQUAL


def test_tolerances_exceed_the_measured_differences() -> None:
    """The module lists the differences between one and two threads, and between AVX2 and AVX-512."""
    assert tolerance("test.log_likelihood", -1023.34) > 0.0197
    assert tolerance("fid_classifier.value", 242.6) > 11.8
    assert tolerance("is_classifier.standard_deviation", 0.0132) > 0.0037
    assert tolerance("classes.entropy", 0.096) == 0.3
    assert tolerance("classes.value", 5) == 2
    assert tolerance("recognised.value", 0.0) > 0.006
    assert tolerance("precision_classifier.value", 0.923) > 0.449
    assert tolerance("recognised.value", 0.237) > 0.109
    assert 0 < tolerance("test.elbo", 0.0) < 1e-6


def test_weights_are_compared_with_manifest_and_metrics(project: Project) -> None:
    weights = project.model("vae") / "weights.safetensors"
    weights.write_bytes(b"trained")
    manifest = read_json(project.model("vae") / "manifest.json")
    right = hashlib.sha256(b"trained").hexdigest()
    write_json(project.model("vae") / "manifest.json", manifest | {"weights_sha256": right})

    def verdict() -> tuple[str, Verdict]:
        [finding] = check_weights(project, ["vae"])
        return finding.item, finding.verdict

    assert verdict() == ("metrics/vae.json", Verdict.CHANGED)
    write_json(project.metrics("vae"), METRICS | {"weights_sha256": right})
    assert verdict() == ("models/vae/weights.safetensors", Verdict.EQUAL)
    weights.write_bytes(b"by hand")
    assert verdict() == ("models/vae/weights.safetensors", Verdict.CHANGED)


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


def test_a_missing_or_changed_page_is_reported(project: Project) -> None:
    def verdict() -> Verdict:
        return next(iter(check_page(project, ["vae"]))).verdict

    assert verdict() is Verdict.MISSING
    numbers = {key: value for key, value in flatten(METRICS).items() if is_number(value)}
    cells = [f'<td data-key="{key}" data-value="{value}">' for key, value in numbers.items()]
    project.page.write_text(f'<section id="vae">{"".join(cells)}</section>')
    assert verdict() is Verdict.EQUAL
    project.page.write_text(f'<section id="vae">{"".join(cells).replace("-100.0", "x")}</section>')
    assert verdict() is Verdict.CHANGED


@pytest.mark.parametrize("text", ["stages: [", "stages: {a: 1}", "{}", "stages: {a: {outs: [{path: x}]}}", "1"])
def test_a_damaged_lock_file_gives_one_sentence(tmp_path: Path, text: str) -> None:
    assert recorded_outputs(tmp_path) == {}
    (tmp_path / "dvc.lock").write_text(text)
    with pytest.raises(TriptychError, match=r"^dvc\.lock is damaged") as caught:
        recorded_outputs(tmp_path)
    assert "\n" not in str(caught.value)
