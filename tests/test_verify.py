"""What `triptych verify` says of results that are equal, drifted, changed or missing."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from triptych.core.dvc_cache import content_hash, recorded_outputs
from triptych.core.errors import TriptychError
from triptych.core.json_files import flatten, is_number, read_json, write_json
from triptych.core.project import Project
from triptych.records.journal import Execution
from triptych.verify.finding import Finding, Verdict
from triptych.verify.numbers import check_numbers
from triptych.verify.outputs import check_weights
from triptych.verify.tolerances import tolerance
from triptych.verify.views import check_page

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
    """A trained and measured VAE, as if by this machine, and the same kept as the committed result."""
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
    keep(project, HERE)
    execution = Execution(project, "train", "vae")
    execution.facts |= HERE
    execution.write(project.model("vae") / "manifest.json")
    return project


def keep(project: Project, machine: dict, **changes: object) -> None:
    manifest = read_json(project.model("vae") / "manifest.json")
    kept = METRICS | {"settings": manifest["settings"], "run": machine} | changes
    write_json(project.root / "metrics" / "baseline" / "quick" / "vae.json", kept)


def check(project: Project, **changes: object) -> Finding:
    write_json(project.metrics("vae"), METRICS | changes)
    [finding] = check_numbers(project, ["vae"])
    return finding


def with_fid(value: float) -> dict:
    return {"fid_classifier": METRICS["fid_classifier"] | {"value": value}}


def test_equal_numbers(project: Project) -> None:
    assert check(project).verdict is Verdict.EQUAL


@pytest.mark.parametrize("changes", [with_fid(200.0000001), {"precision_classifier": {"value": 1e-6}}])
def test_on_the_same_kind_of_machine_every_digit_counts(project: Project, changes: dict) -> None:
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
    keep(project, HERE | {"instruction_set": "AVX512"})
    finding = check(project, **changes)
    assert finding.verdict is verdict
    assert "AVX512" in finding.detail
    assert next(iter(changes)) in finding.detail


def test_what_was_made_otherwise_is_not_compared(project: Project) -> None:
    keep(project, HERE, settings={"epochs": 40, "batch_size": 128})
    assert "epochs" in check(project, **with_fid(100.0)).detail
    keep(project, HERE, data={"sha256": "other"})
    assert "data" in check(project).detail
    keep(project, HERE)
    finding = check(project, test={"elbo": -90.0, "images": 500})
    assert finding.verdict is Verdict.NOT_COMPARED
    assert "test.images" in finding.detail
    (project.root / "metrics" / "baseline" / "quick" / "vae.json").unlink()
    assert "nothing is kept" in check(project).detail


@pytest.mark.parametrize("wild", [{"family": "gan"}, {"importance_samples": 20}], ids=["gan", "iwae"])
def test_a_young_wild_model_is_compared_on_the_same_machine_alone(project: Project, wild: dict) -> None:
    manifest = read_json(project.model("vae") / "manifest.json")
    manifest |= {key: value for key, value in wild.items() if key == "family"}
    settings = manifest["settings"]
    settings["model"] = settings.get("model", {}) | {
        key: value for key, value in wild.items() if key == "importance_samples"
    }
    write_json(project.model("vae") / "manifest.json", manifest)
    keep(project, HERE | {"threads": 1})
    assert check(project, **with_fid(201.0)).verdict is Verdict.NOT_COMPARED
    assert check(project).verdict is Verdict.EQUAL


def test_tolerances_fit_what_was_measured() -> None:
    """One thread beside two, and AVX2 beside AVX-512: see the module."""
    assert tolerance("test.log_likelihood", -1023.34) > 0.0197
    assert tolerance("fid_classifier.value", 242.6) > 11.8
    assert tolerance("is_classifier.standard_deviation", 0.0132) > 0.0037
    assert tolerance("classes.entropy", 0.096) == 0.3
    assert tolerance("classes.value", 5) == 2
    assert tolerance("recognised.value", 0.0) > 0.006
    assert tolerance("precision_classifier.value", 0.923) > 0.449
    assert tolerance("recognised.value", 0.237) > 0.109
    assert 0 < tolerance("test.elbo", 0.0) < 1e-6


def test_weights_are_held_against_manifest_and_metrics(project: Project) -> None:
    weights = project.model("vae") / "weights.safetensors"
    weights.write_bytes(b"trained")
    manifest = read_json(project.model("vae") / "manifest.json")
    right = hashlib.sha256(b"trained").hexdigest()
    write_json(project.model("vae") / "manifest.json", manifest | {"weights_sha256": right})

    def verdict() -> tuple[str, Verdict]:
        [finding] = check_weights(project, {"vae": project.metrics("vae")})
        return finding.what, finding.verdict

    assert verdict() == ("metrics/vae.json", Verdict.CHANGED)
    write_json(project.metrics("vae"), METRICS | {"weights_sha256": right})
    assert verdict() == ("models/vae/weights.safetensors", Verdict.EQUAL)
    weights.write_bytes(b"by hand")
    assert verdict() == ("models/vae/weights.safetensors", Verdict.CHANGED)


def test_hashes_are_dvcs(tmp_path: Path) -> None:
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


def test_a_page_that_is_not_there_or_was_changed_is_told(project: Project) -> None:
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
def test_a_damaged_lock_is_one_sentence(tmp_path: Path, text: str) -> None:
    assert recorded_outputs(tmp_path) == {}
    (tmp_path / "dvc.lock").write_text(text)
    with pytest.raises(TriptychError, match=r"^dvc\.lock is damaged") as caught:
        recorded_outputs(tmp_path)
    assert "\n" not in str(caught.value)
