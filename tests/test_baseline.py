"""The committed baseline: it has the present settings, is complete and small, and its table has the same numbers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from conftest import ROOT
from triptych.core.json_files import read_json
from triptych.core.settings_types import resolve
from triptych.evaluation.fidelity.metric_names import name_of
from triptych.repository.project import Project
from triptych.settings.params import parse
from triptych.verify.baseline import LARGEST, table, write_table

FOLDER = ROOT / "metrics" / "baseline"
NAMES = sorted(path.stem for path in FOLDER.glob("*.json"))


def test_the_table_is_made_from_the_files() -> None:
    assert (FOLDER / "README.md").read_text(encoding="utf-8") == table(FOLDER)


def test_the_table_is_written_beside_the_files(tmp_path: Path) -> None:
    folder = tmp_path / "metrics" / "baseline"
    folder.mkdir(parents=True)
    (folder / "vae-20d.json").write_bytes((FOLDER / "vae-20d.json").read_bytes())
    write_table(Project(tmp_path))
    assert (folder / "README.md").read_text(encoding="utf-8") == table(folder)


@pytest.mark.parametrize("name", NAMES)
def test_a_baseline_result_has_the_present_settings(params: dict, name: str) -> None:
    result, full = read_json(FOLDER / f"{name}.json"), parse(params | {"profile": "full"})
    assert result["profile"] == "full"
    assert result["run"]["git_commit"] != "none"
    seed = result["settings"]["seed"]
    base = name.removesuffix(f"-seed-{seed}")
    if base in full.studies:
        settings = full.study(base).model_dump(mode="json") | {"seed": seed}
        assert result["settings"] == settings | {"iterations": settings["iterations"]["full"]}
        return
    assert {key: result[name_of("fid", result)][key] for key in ("samples", "reference_images")} == {
        "samples": full.active.fidelity.samples,
        "reference_images": full.dataset(result[name_of("fid", result)]["reference"].split("/")[0]).sizes("full").test,
    }
    if base in full.experiments:
        wanted = resolve(full.experiment(base).model_dump(mode="json"), "full") | {"seed": seed}
        settings = {**wanted, **result["settings"], "model": {**wanted["model"], **result["settings"]["model"]}}
        if settings["epoch_updates"]:  # made without a GPU: shorter and narrower, which its settings show
            assert settings["epochs"] * settings["epoch_updates"] <= wanted["epochs"] * wanted["epoch_updates"]
            assert settings["model"].pop("width") <= wanted["model"].pop("width")
            for counted in ("epochs", "epoch_updates", "snapshot_epochs"):
                del settings[counted], wanted[counted]
        else:
            assert settings.pop("epochs") == wanted.pop("epochs")
        assert settings == wanted


@pytest.mark.parametrize("folder", sorted((ROOT / "plots" / "baseline").iterdir()), ids=lambda path: path.name)
def test_baseline_pictures_are_small(folder: Path) -> None:
    assert folder.name == "comparison" or folder.name in NAMES
    assert all(picture.stat().st_size <= LARGEST for picture in folder.iterdir())


def test_results_of_several_seeds_have_a_table_of_their_own(tmp_path: Path) -> None:
    kept = {name: read_json(FOLDER / f"{name}.json") for name in ("vae-20d", "planar-density")}
    heading = "Over seeds"
    for name, result in kept.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(result))
    assert heading not in table(tmp_path)
    kept["vae-20d"]["test"]["elbo"] += 2.0
    kept["planar-density"]["arcs-k2"]["kl"] += 1.0
    for name, result in kept.items():
        result["settings"]["seed"] += 1
        (tmp_path / f"{name}-with-another-name.json").write_text(json.dumps(result))
    _, of_vae, of_study = table(tmp_path).split(heading)
    elbo, kl = (read_json(FOLDER / f"{name}.json") for name in kept)
    mean, deviation = elbo["test"]["elbo"] + 1.0, 2**0.5
    assert f"| `vae-20d` | 2 | {mean:.5g} ± {deviation:.2g} |" in of_vae
    assert "| `planar-density` | `arcs-k2` | 2 |" in of_study
    assert f"{kl['arcs-k2']['kl'] + 0.5:.5g} ± {0.5**0.5:.2g} |" in of_study


def test_means_over_seeds_do_not_mix_extractors(tmp_path: Path) -> None:
    first, second = (read_json(FOLDER / f"nice-mnist{ending}.json") for ending in ("", "-seed-1"))
    fid, bits = (
        (first[key][one] + second[key][one]) / 2
        for key, one in (("fid_classifier", "value"), ("test", "bits_per_dimension"))
    )
    for extractor, shown in (("mnist-v1", True), ("another", False)):
        second["fid_classifier"]["extractor"] = extractor
        for number, result in enumerate((first, second)):
            (tmp_path / f"{number}.json").write_text(json.dumps(result))
        _, over_seeds = table(tmp_path).split("Over seeds: ")
        assert (f"{fid:.5g} ± " in over_seeds) == shown
        assert f"{bits:.5g} ± " in over_seeds


def test_the_table_shows_the_processor(tmp_path: Path) -> None:
    for name, run in {"vae-20d": {"processor": "EPYC 9R14"}, "planar-density": {"processor": "Xeon 8488C"}}.items():
        result = read_json(FOLDER / f"{name}.json")
        (tmp_path / f"{name}.json").write_text(json.dumps(result | {"run": result["run"] | run}))
    lines = table(tmp_path).splitlines()
    assert [line.endswith(" | EPYC 9R14 |") for line in lines if line.startswith("| `vae-20d`")] == [True]
    of_study = [line for line in lines if line.startswith("| `planar-density`")]
    assert len(of_study) == 6
    assert all(line.endswith(" | Xeon 8488C |") for line in of_study)
