"""From a folder of pictures to rows in the table: `triptych add-data`, the pipeline, and the page."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from dvc.utils.serialize import modify_yaml
from PIL import Image

from test_pipeline import Clone, make_clone
from triptych.evaluation.flow import pictures
from triptych.evaluation.flow.latent_traversal import traversals
from triptych.models.common.registry import build
from triptych.models.flow.settings import Model
from triptych.settings.params import load

FAMILIES = ("vae", "flow", "gan")
TINY_BUDGET = {"epochs": {"quick": 2, "full": 2}, "epoch_updates": {"quick": 4, "full": 4}}
TINY_MODELS = {
    "vae": {"hidden": [16], "latent": 3},
    "flow": {"hidden": {"quick": [16], "full": [16]}, "couplings": 2, "alpha": 0.05},
    "gan": {
        "generator": {"quick": [16], "full": [16]},
        "discriminator": {"quick": [16], "full": [16]},
        "latent": 3,
    },
}


def write_pictures(folder: Path, count: int, side: int = 48) -> None:
    """Write discs of one colour on a ground of another, as PNG files."""
    rng, places = np.random.default_rng(0), np.mgrid[:side, :side]
    folder.mkdir(parents=True)
    for index in range(count):
        centre, radius = rng.integers(side // 4, 3 * side // 4, (2, 1, 1)), rng.integers(4, 12)
        inside = ((places - centre) ** 2).sum(0) < radius**2
        pixels = np.where(inside[..., None], rng.integers(128, 256, 3), rng.integers(0, 128, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{index:03d}.png")


@pytest.fixture
def clone(tmp_path: Path, warm_start: dict[str, str]) -> Clone:
    made = make_clone(tmp_path / "clone", warm_start)
    write_pictures(tmp_path / "pictures", 60)
    return made


def test_add_data_writes_entries_that_dvc_leaves_as_they_are(clone: Clone, tmp_path: Path) -> None:
    before = (clone.root / "params.yaml").read_text()
    (tmp_path / "pictures" / "notes.txt").write_text("not an image")
    families = ["--experiments", ", ".join(FAMILIES)]
    said = clone.succeed("triptych", "add-data", "discs", str(tmp_path / "pictures"), *families)
    assert "data/own/discs: 60 colour images of 48 by 48 pixels, without labels" in said
    assert "splits: 48 train, 6 valid, 6 test" in said
    copied = sorted(path.name for path in (clone.root / "data" / "own" / "discs").iterdir())
    assert copied == [f"{index:03d}.png" for index in range(60)]
    path = clone.root / "params.yaml"
    text = path.read_text()
    kept = iter(text.splitlines())
    assert all(line in kept for line in before.splitlines())
    with modify_yaml(str(path)):
        pass
    assert path.read_text() == text
    settings = load(path)
    assert {f"{family}-discs" for family in FAMILIES} < set(settings.experiments)
    budgets = {family: settings.experiment(f"{family}-discs") for family in FAMILIES}
    assert {found.batch_size for found in budgets.values()} == {8}
    assert [budgets[family].epoch_updates.quick for family in FAMILIES] == [80, 12, 80]
    assert [budgets[family].weight_decay for family in FAMILIES] == [0.0, 0.01, 0.0]
    assert (budgets["flow"].model.hidden.quick, budgets["flow"].model.hidden.full) == ([256, 256], [256, 256])
    for words, named in {
        ("add-data", "discs", str(tmp_path / "pictures")): "exists: choose another name",
        ("add-data", "discs", "data/own/discs"): "already has an entry discs",
        ("add-data", "a/b", str(tmp_path / "pictures")): "the name of the data set is 'a/b'",
        ("add-data", "others", str(tmp_path / "nowhere")): "nowhere does not exist",
        ("add-data", "others", str(tmp_path / "pictures"), "--experiments", "vea"): "--experiments names 'vea'",
    }.items():
        assert named in clone.refuse("triptych", *words)
    assert path.read_text() == text
    clone.edit(lambda data: data["experiments"]["gan-discs"].update(reference="mnist"))
    words = "experiments.gan-discs.reference is mnist, grey images of 28 by 28; name one with images like those"
    assert words in clone.refuse("triptych", "check")
    clone.edit(lambda data: data["experiments"]["gan-discs"].update(reference="discs"))
    clone.edit(lambda data: data["datasets"]["binarized_discs"].pop("grey"))
    assert "datasets.binarized_discs.binarization is stochastic, but it is" in clone.refuse("triptych", "check")
    path.write_text(text)
    shutil.rmtree(clone.root / "data" / "own")
    assert "data/own/discs does not exist: put your images" in clone.refuse("triptych", "repro", "prepare@discs")


@pytest.mark.slow
def test_a_changed_file_of_the_user_re_runs_its_chain_alone(clone: Clone, tmp_path: Path) -> None:
    clone.succeed("triptych", "add-data", "discs", str(tmp_path / "pictures"))
    np.save(tmp_path / "others.npy", np.random.default_rng(0).integers(0, 256, (60, 9, 9), dtype=np.uint8))
    clone.succeed("triptych", "add-data", "others", str(tmp_path / "others.npy"))
    stages = ["prepare@discs", "prepare@others", "prepare@mnist"]
    assert sorted(clone.ran(clone.succeed("dvc", "repro", *stages))) == sorted(
        [*stages, "fetch@discs", "fetch@others", "fetch@mnist"]
    )
    file = clone.root / "data" / "own" / "discs" / "003.png"
    Image.open(file).rotate(180).save(file)
    assert clone.ran(clone.succeed("dvc", "repro", *stages)) == ["fetch@discs", "prepare@discs"]
    assert clone.ran(clone.succeed("dvc", "repro", *stages)) == []


def test_traversals_of_colour_images_without_labels_are_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    settings = {"architecture": "nice", "alpha": 0.05, "couplings": 2, "hidden": [8]}
    family = build("flow", Model.model_validate(settings), (3, 12, 12))
    test = torch.randint(0, 256, (30, 3, 12, 12)).to(torch.uint8)
    evaluation = SimpleNamespace(
        family=family,
        shown=torch.randn(10, family.latent),
        splits={"test": SimpleNamespace(pixels=test)},
        labels=lambda _: None,
        folder=tmp_path,
    )
    found = traversals(evaluation)
    assert found.labels == [("", "")] * 3
    assert found.end_error == 0
    assert len({image.numpy().tobytes() for image in found.images.flatten(0, 1)}) == 6
    titles = []
    drawn = pictures.image_rows
    monkeypatch.setattr(pictures, "image_rows", lambda *args: titles.append(args[2]) or drawn(*args))
    pictures._draw_traversals(evaluation)
    pictures._draw_layers(evaluation)
    assert titles[0] == "Along a straight line between two latents, by the share of the way"
    for name in ("R2-layers", "R3-traversals"):
        pixels = np.asarray(Image.open(tmp_path / f"{name}.png").convert("RGBA"))[..., :3].astype(int)
        assert (np.ptp(pixels, axis=2) > 30).any()
    evaluation.labels = lambda _: torch.arange(30) % 4
    assert traversals(evaluation).labels == [("0", "1"), ("2", "3"), ("0", "1")]


@pytest.mark.slow
def test_from_300_pictures_to_samples_fid_and_likelihoods(clone: Clone, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "pictures")
    write_pictures(tmp_path / "pictures", 300)
    clone.succeed("triptych", "add-data", "discs", str(tmp_path / "pictures"), "--experiments", ",".join(FAMILIES))

    def shrink(data: dict) -> None:
        for name in ("vae-20d", "realnvp-mnist"):
            del data["experiments"][name]
        for family in FAMILIES:
            data["experiments"][f"{family}-discs"].update(TINY_BUDGET | {"model": TINY_MODELS[family]})

    clone.edit(shrink)
    said = clone.succeed("triptych", "repro")
    numbers = {family: clone.numbers(f"{family}-discs") for family in FAMILIES}
    for family, found in numbers.items():
        kept = {"fid": found["fid_classifier"], "kid": found["kid_classifier"]}
        assert kept["fid"]["value"] > 0
        assert kept["fid"]["reference_images"] == kept["kid"]["subset_size"] == 30
        assert "on images resized from 48 by 48" in kept["fid"]["extractor"]
        assert found["not_defined"]["classes"].startswith("no labels: ")
        assert (clone.root / "plots" / f"{family}-discs" / "samples.png").exists()
        assert f"{family}-discs" in said
    assert numbers["vae"]["test"]["log_likelihood"] < 0
    assert 0 < numbers["flow"]["test"]["bits_per_dimension"] < 40
    page = (clone.root / "report.html").read_text()
    assert "no labels: cifar10-v1" in page
    assert "compare them only between models of these images" in page
    assert clone.ran(clone.succeed("triptych", "repro")) == []
    file = clone.root / "data" / "own" / "discs" / "003.png"
    Image.open(file).rotate(180).save(file)
    ran = set(clone.ran(clone.succeed("triptych", "repro")))
    assert {stage for stage in ran if "discs" not in stage} == {"report"}
    assert {f"evaluate@{family}-discs" for family in FAMILIES} < ran
