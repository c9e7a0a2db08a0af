"""The committed reference results: of today's settings, whole, small, and the same in the table as in the files."""

from __future__ import annotations

from pathlib import Path

import pytest

from conftest import ROOT
from triptych.config import parse
from triptych.evaluation.fidelity.names import name_of
from triptych.files import read_json
from triptych.schema import resolve
from triptych.tracking.reference import LARGEST, table

FOLDER = ROOT / "metrics" / "reference"
NAMES = sorted(path.stem for path in FOLDER.glob("*.json"))


def test_the_table_is_made_from_the_files() -> None:
    assert (FOLDER / "README.md").read_text(encoding="utf-8") == table(FOLDER)


@pytest.mark.parametrize("name", NAMES)
def test_a_reference_result_is_of_the_settings_in_force(params: dict, name: str) -> None:
    result, full = read_json(FOLDER / f"{name}.json"), parse(params | {"profile": "full"})
    assert result["profile"] == "full"
    assert result["run"]["git_commit"] != "none"
    if name in full.studies:
        settings = full.study(name).model_dump(mode="json")
        assert result["settings"] == settings | {"iterations": settings["iterations"]["full"]}
        return
    assert {key: result[name_of("fid", result)][key] for key in ("samples", "reference_images")} == {
        "samples": full.active.fidelity.samples,
        "reference_images": full.dataset(result[name_of("fid", result)]["reference"].split("/")[0]).sizes("full").test,
    }
    if name in full.experiments:
        wanted = resolve(full.experiment(name).model_dump(mode="json"), "full")
        settings = {**wanted, **result["settings"], "model": {**wanted["model"], **result["settings"]["model"]}}
        if settings["epoch_updates"]:  # shortened and narrowed where no GPU was at hand; its own fields say so
            assert settings["epochs"] * settings["epoch_updates"] <= wanted["epochs"] * wanted["epoch_updates"]
            assert settings["model"].pop("width") <= wanted["model"].pop("width")
            for counted in ("epochs", "epoch_updates", "snapshot_epochs"):
                del settings[counted], wanted[counted]
        else:
            assert settings.pop("epochs") <= wanted.pop("epochs")
        assert settings == wanted


@pytest.mark.parametrize("folder", sorted((ROOT / "plots" / "reference").iterdir()), ids=lambda path: path.name)
def test_reference_pictures_are_small(folder: Path) -> None:
    assert folder.name == "comparison" or folder.name in NAMES
    assert all(picture.stat().st_size <= LARGEST for picture in folder.iterdir())
