"""`triptych score`: images of any origin are read and measured as torch-fidelity does, or refused in one sentence."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch_fidelity
from click.testing import CliRunner
from PIL import Image
from ruamel.yaml import YAML

from conftest import shrink, wait_until
from mutations import npy
from test_fidelity import ByteImages
from triptych.api.scoring import score
from triptych.cli.main import cli
from triptych.core import progress
from triptych.core.errors import TriptychError
from triptych.core.json_files import read_json
from triptych.core.tracker import Console
from triptych.data.image_files import read_images
from triptych.data.image_shapes import MOST_IMAGES
from triptych.data.prepared import PreparedData
from triptych.evaluation.settings import Fidelity
from triptych.models.classifier.shipped import shipped_folder
from triptych.settings.params import Settings, parse
from triptych.stages.reference import measure_reference
from triptych.training.reproducible import deterministic

RNG = np.random.default_rng(0)
GREY, COLOUR = (RNG.integers(0, 256, (12, *shape), dtype=np.uint8) for shape in ((28, 28), (3, 32, 32)))
PROTOCOL = Fidelity(samples=300, kid_subsets=5, kid_subset_size=50)
KEYS = {
    "fid_classifier": "frechet_inception_distance",
    "kid_classifier": "kernel_inception_distance_mean",
    "is_classifier": "inception_score_mean",
    "precision_classifier": "precision",
    "recall_classifier": "recall",
}


def write_png(folder: Path, images: np.ndarray, mode: str = "L") -> Path:
    folder.mkdir(exist_ok=True)
    for index, image in enumerate(images):
        pixels = image.transpose(1, 2, 0) if image.ndim == 3 else image
        Image.fromarray(pixels).convert(mode).save(folder / f"{index:02d}.PNG", format="PNG")
    (folder / "notes.txt").write_text("no image", encoding="utf-8")
    return folder


def write_npy(path: Path, images: np.ndarray) -> Path:
    np.save(path, images)
    return path


def write_npz(path: Path, **arrays: np.ndarray) -> Path:
    np.savez(path, **arrays)
    return path


def write_broken_link(path: Path) -> Path:
    path.symlink_to("nowhere")
    return path


@pytest.mark.parametrize(
    ("write", "images"),
    [
        (lambda folder: write_npy(folder / "x.npy", GREY), GREY),
        (lambda folder: write_npy(folder / "x.npy", GREY[:, None]), GREY),
        (lambda folder: write_npy(folder / "x.npy", GREY[..., None]), GREY),
        (lambda folder: write_npy(folder / "x.npy", COLOUR), COLOUR),
        (lambda folder: write_npy(folder / "x.npy", COLOUR.transpose(0, 2, 3, 1)), COLOUR),
        (lambda folder: write_npy(folder / "x.npy", GREY / 255), GREY),
        (lambda folder: write_npz(folder / "x.npz", images=GREY > 99), 255 * (GREY > 99)),
        (lambda folder: write_npz(folder / "x.npz", digits=GREY), GREY),
        (lambda folder: write_npz(folder / "x.npz", x_train=GREY[::-1], x_test=GREY, y_test=np.arange(12)), GREY),
        (lambda folder: write_npz(folder / "x.npz", arr_1=np.arange(12), arr_0=GREY), GREY),
        (lambda folder: write_png(folder / "x", GREY), GREY),
        (lambda folder: write_png(folder / "x", GREY, "RGB"), GREY),
        (lambda folder: write_png(folder / "x", COLOUR, "RGB"), COLOUR),
        (lambda folder: write_png(folder / "x", 255 * (GREY > 99).astype(np.uint8), "1"), 255 * (GREY > 99)),
    ],
    ids=[
        "npy",
        "npy with a channel first",
        "npy with a channel last",
        "npy in colour",
        "npy in colour, channels last",
        "npy with floats",
        "npz with booleans",
        "npz with one array",
        "npz with splits and labels",
        "npz without names",
        "folder",
        "folder of grey images in RGB",
        "folder in colour",
        "folder of binary images",
    ],
)  # fmt: skip
def test_images_of_any_origin_are_read(tmp_path: Path, write: Callable[[Path], Path], images: np.ndarray) -> None:
    found = read_images(write(tmp_path), images.shape[1:])
    assert found.dtype == np.uint8
    assert np.array_equal(found, images)


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (lambda folder: folder / "x.npy", "x.npy does not exist: check the path"),
        (lambda folder: folder / "x.npz", "x.npz does not exist: check the path"),
        (lambda folder: folder / "x.txt", "x.txt does not exist: check the path"),
        (lambda folder: write_broken_link(folder / "x.npy"), "x.npy is a broken link: copy it again"),
        (lambda folder: folder, "holds no PNG or JPEG files"),
        (lambda folder: write_npz(folder / "x.npz", a=GREY, b=GREY), "x.npz holds a, b: rename the array"),
        (lambda folder: write_npz(folder / "x.npz"), "x.npz holds no array"),
        (lambda folder: write_npy(folder / "x.npy", GREY / 2), "holds float64 from 0 to 127.*divide by 255"),
        (lambda folder: write_npz(folder / "x.npz", images=GREY.astype(int)), "x.npz: images holds int64"),
        (lambda folder: write_npy(folder / "x.npy", np.array([[0]], object)), "Python objects"),
        (lambda folder: write_npy(folder / "x.npy", GREY % 2), "nothing above 1.*multiply them by 255"),
        (lambda folder: write_npy(folder / "x.npy", GREY[:0]), "is empty"),
        (lambda folder: write_npy(folder / "x.npy", GREY[:, 1:]), r"the shape \(12, 27, 28\).*\(n, 28, 28\)"),
        (lambda folder: write_npy(folder / "x.npy", COLOUR), r"the shape \(12, 3, 32, 32\)"),
        (lambda folder: write_png(folder / "x", GREY[:, 1:]), "00.PNG has 28 by 27 pixels of mode L: save"),
        (lambda folder: write_png(folder / "x", GREY, "RGBA"), "28 by 28 pixels of mode RGBA.*without transparency"),
        (lambda folder: write_png(folder / "x", COLOUR[..., 2:30, 2:30], "RGB"), "is in colour"),
        (lambda folder: write_png(folder / "x", GREY) / "00.PNG", "00.PNG is one picture: name a folder"),
    ],
    ids=[
        "no npy",
        "no npz",
        "no folder",
        "broken link",
        "empty folder",
        "two arrays",
        "no array",
        "floats",
        "integers",
        "objects",
        "nothing above 1",
        "no image",
        "wrong height",
        "colour for grey",
        "wrong width",
        "transparent",
        "a folder in colour",
        "one file of a folder",
    ],
)  # fmt: skip
def test_other_images_are_refused_in_one_sentence(tmp_path: Path, write: Callable[[Path], Path], words: str) -> None:
    path = write(tmp_path)
    with pytest.raises(TriptychError, match=words) as caught:
        read_images(path, (28, 28))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.npy").write_bytes(npy((MOST_IMAGES, 28, 28), "|u1"))
    (tmp_path / "y.npy").write_bytes(npy((MOST_IMAGES + 1, 1), "|u1", bytes(MOST_IMAGES + 1)))
    (tmp_path / "z.npz").write_bytes(b"PK")
    for name, words in (("x.npy", "announces"), ("y.npy", "2,000,000 images"), ("z.npz", "not a readable .npz")):
        with pytest.raises(TriptychError, match=words):
            read_images(tmp_path / name, (28, 28))
    picture = write_png(tmp_path / "x", GREY[:1]) / "00.PNG"
    content = picture.read_bytes()
    for end in (3, 20, 60, len(content) // 2):
        picture.write_bytes(content[:end])
        with pytest.raises(TriptychError, match="00.PNG"):
            read_images(picture.parent, (28, 28))


@pytest.fixture(scope="module")
def project(params: dict, prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project with the statistics of embedded digits on the features of mnist-v1."""
    folder = tmp_path_factory.mktemp("project")
    shrunk = shrink(copy.deepcopy(params))
    settings: Settings = parse(shrunk)
    with (folder / "params.yaml").open("w", encoding="utf-8") as file:
        YAML().dump(shrunk, file)
    measure_reference(
        name="mnist",
        kind="classifier",
        split="test",
        protocol=settings.active.fidelity,
        runtime=settings.runtime,
        data=prepared / "mnist",
        classifier=shipped_folder("mnist-v1"),
        output=folder / "data" / "reference" / "mnist",
        tracker=Console(),
    )
    return folder


@pytest.fixture(scope="module")
def digits(prepared: Path) -> np.ndarray:
    return PreparedData.open(prepared / "mnist").images("train")


def test_the_numbers_are_those_of_torch_fidelity(
    tiny: Settings, project: Path, prepared: Path, digits: np.ndarray
) -> None:
    """torch-fidelity uses the shipped extractor under its registered name.

    Both use the same number of threads. Another number changes the rounding of float32 features. KID is a small
    difference of large sums, so it changes by more than 1e-6 of its value.
    """
    ours = score(digits, project / "data" / "reference" / "mnist", PROTOCOL, tiny.runtime)
    real = PreparedData.open(prepared / "mnist").images("test")
    generated, against = (ByteImages(torch.from_numpy(each)) for each in (digits, real))
    with deterministic(tiny.runtime):
        theirs = torch_fidelity.calculate_metrics(
            input1=generated, input2=against, feature_extractor="triptych-mnist-v1", cuda=False,
            isc=True, fid=True, kid=True, prc=True, kid_subsets=5, kid_subset_size=50, cache=False, save_cpu_ram=True,
            verbose=False,
        )  # fmt: skip
    assert {name: row["value"] for name, row in ours.items()} == {
        name: pytest.approx(theirs[key], rel=1e-6) for name, key in KEYS.items()
    }
    assert ours["fid_classifier"]["samples"] == len(digits) == 300
    assert ours["fid_classifier"]["extractor"] == "mnist-v1"


def test_a_random_subset_of_too_many_images_is_measured(
    tiny: Settings, prepared: Path, project: Path, digits: np.ndarray
) -> None:
    """The first images of a set that is sorted by class would be one class."""
    reference, protocol = project / "data" / "reference" / "mnist", PROTOCOL.model_copy(update={"samples": 100})
    by_class = PreparedData.open(prepared / "mnist").labels("train").argsort(stable=True)
    found, again = (score(digits[by_class], reference, protocol, tiny.runtime) for _ in range(2))
    assert found == again
    assert found["fid_classifier"]["samples"] == 100
    first = score(digits[by_class][:100], reference, protocol, tiny.runtime)
    assert found["fid_classifier"]["value"] < first["fid_classifier"]["value"]


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (GREY / 2.0, "^the image array holds float64"),
        (COLOUR, r"^the image array has the shape \(12, 3, 32, 32\)"),
        (GREY, "^the image array holds 12 images, fewer than the 50 that IS and KID need: use more"),
    ],
    ids=["floats", "colours", "few"],
)
def test_arrays_are_checked(tiny: Settings, project: Path, images: np.ndarray, words: str) -> None:
    with pytest.raises(TriptychError, match=words):
        score(images, project / "data" / "reference" / "mnist", PROTOCOL, tiny.runtime)


def run_score(*arguments: object) -> tuple[str, str]:
    done = CliRunner().invoke(cli, ["score", *map(str, arguments)], standalone_mode=False)
    if done.exception:
        raise done.exception
    return done.stdout, done.stderr


def test_the_command_compares_sets_side_by_side(
    project: Path, prepared: Path, digits: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Real test images against themselves have an FID of 0; other sets stand beside them."""
    monkeypatch.chdir(project)
    real, more = prepared / "mnist" / "x_test.npy", write_npz(tmp_path / "more.npz", images=digits)
    part = write_npy(tmp_path / "part.npy", np.load(real)[:60])
    of_part = json.loads(run_score(part, "--reference", "mnist", "--json")[0])["sets"][str(part)]["fid_classifier"]
    assert of_part["low"] <= 0.0 <= of_part["high"], "the value of all"
    assert of_part["value"] > of_part["standard_error"] > 0
    table, said = run_score(real, more, "--reference", "mnist")
    assert f"{more}: 300 images, of which a random 150 are measured" in said
    heading, fid, *_, counts, _, compared, note, protocol, errors, _ = table.splitlines()
    assert errors.startswith("± is the standard error")
    assert heading.split() == [str(real), str(more), "real", "validation", "images"]
    measured = read_json(project / "data" / "reference" / "mnist" / "manifest.json")["real_validation_images"]
    name, own, *_ = fid.split()
    assert (name, own) == ("fid_classifier", "0.00")
    assert "± " in fid
    assert fid.endswith(f" {measured['fid_classifier']['value']:.2f}")
    assert counts.split() == ["images", "120", "150", "100"]
    assert "120 images of mnist/test: 12,000 digits of MNIST" in compared
    assert note.startswith("Only 120 real images: ")
    assert "mnist-v1" in protocol
    assert "5 subsets of 50 images" in protocol
    found = json.loads(run_score(real, more, "--reference", "mnist", "--json")[0])
    assert found["reference"]["extractor"] == "mnist-v1"
    assert list(found["sets"]) == [str(real), str(more)]
    assert set(found["sets"][str(more)]) == set(KEYS)
    assert found["sets"][str(real)]["fid_classifier"]["value"] == pytest.approx(0.0, abs=1e-6)
    assert found["sets"][str(real)]["precision_classifier"]["value"] == 1.0


def test_missing_statistics_name_the_stage(project: Path, tiny_params: dict, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch, pytest.raises(TriptychError, match="`triptych repro reference@mnist`"):
        (tmp_path / "params.yaml").write_bytes((project / "params.yaml").read_bytes())
        patch.chdir(tmp_path)
        run_score("x.npy", "--reference", "mnist")
    with pytest.MonkeyPatch.context() as patch, pytest.raises(TriptychError, match="classifier_reference@cifar10`"):
        with (tmp_path / "params.yaml").open("w", encoding="utf-8") as file:
            YAML().dump(tiny_params, file)
        patch.chdir(tmp_path)
        run_score("x.npy", "--reference", "cifar10")


def test_a_long_measurement_is_not_silent(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(progress, "HEARTBEAT_SECONDS", 0.001)
    seen = []
    with progress.heartbeat("x.npy  FID") as show:
        wait_until(lambda: seen.append(capsys.readouterr().err) or re.search(r"x\.npy  FID  \d:\d\d\n", "".join(seen)))
        show("1 of 2")
        show("2 of 2")
        wait_until(
            lambda: seen.append(capsys.readouterr().err) or re.search(r"  FID  2 of 2  \d:\d\d\n", "".join(seen))
        )
