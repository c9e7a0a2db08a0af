"""The user's own images: every form is read, its headers tell the settings what fits, and broken files are refused."""

from __future__ import annotations

import errno
import io
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from conftest import ROOT
from mutations import mutate_bytes, mutate_npz, mutate_place, npy
from triptych.cli.main import cli
from triptych.core.errors import TriptychError
from triptych.core.tracker import Console
from triptych.data.greyscale import to_grey
from triptych.data.own_images import OwnImages, describe_own
from triptych.data.prepared import PreparedData
from triptych.data.settings import Dataset
from triptych.data.splits import default_sizes
from triptych.settings.own_data import own_entries
from triptych.sources.load import load_own
from triptych.stages.fetch import fetch
from triptych.stages.prepare import prepare

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (60, 12, 12), dtype=np.uint8)
COLOUR = RNG.integers(0, 256, (60, 3, 16, 16), dtype=np.uint8)
LABELS = np.arange(60, dtype=np.uint8) % 4
FORMS = {"PNG": ".png", "JPEG": ".jpg"}


def write_images(folder: Path, images: np.ndarray, form: str = "PNG", mode: str | None = None) -> Path:
    folder.mkdir(exist_ok=True)
    for index, image in enumerate(images):
        picture = Image.fromarray(image if image.ndim == 2 else image.transpose(1, 2, 0))
        picture.convert(mode or picture.mode).save(folder / f"{index:03d}{FORMS[form]}", form)
    return folder


def read(path: Path) -> dict[str, np.ndarray]:
    """Return the images of a path as the stage `fetch` checks them."""
    return dict(load_own(path).arrays)


def prepared(path: Path, folder: Path, **settings: object) -> PreparedData:
    """Fetch and prepare own images."""
    dataset = Dataset.model_validate({"images": f"own/{path.name}", **settings})
    fetch(dataset=dataset, source=path, downloads=folder, output=folder / "raw.npz", tracker=Console())
    sizes = dataset.sizes("quick")
    prepare(name="mine", dataset=dataset, splits=sizes, raw=folder / "raw.npz", output=folder / "d", tracker=Console())
    return PreparedData.open(folder / "d")


@pytest.mark.parametrize("images", [GREY, COLOUR], ids=["grey", "colour"])
def test_every_form_holds_the_same_images(tmp_path: Path, images: np.ndarray) -> None:
    np.save(tmp_path / "x.npy", images)
    np.savez(tmp_path / "x.npz", x_train=np.moveaxis(images, 1, -1) if images.ndim == 4 else images[..., None])
    folder = write_images(tmp_path / "x", images)
    (folder / "notes.txt").write_text("not an image")
    (folder / "._000.png").write_text("of another system")
    for path in (tmp_path / "x.npy", tmp_path / "x.npz", folder):
        assert np.array_equal(read(path)["x_train"], images)
        found = describe_own(path)
        assert (found.shape, found.counts, found.labelled) == (images.shape[1:], {"train": 60}, False)


def test_jpeg_and_palette_files_are_read_in_colour(tmp_path: Path) -> None:
    flat = np.repeat(np.repeat(COLOUR[:, :, :1, :1], 16, 2), 16, 3)
    found = read(write_images(tmp_path / "jpeg", flat, "JPEG"))["x_train"].astype(int)
    assert abs(found - flat).max() <= 3
    assert np.array_equal(read(write_images(tmp_path / "p", flat, mode="P"))["x_train"].shape, flat.shape)


def test_splits_default_to_tenths_by_a_fixed_seed_and_keep_labels_beside_images(tmp_path: Path) -> None:
    numbered = np.zeros((60, 12, 12), np.uint8)
    numbered[:, 0, 0], numbered[:, 1] = np.arange(60), 255
    np.savez(tmp_path / "x.npz", x_train=numbered, y_train=LABELS)
    data = prepared(tmp_path / "x.npz", tmp_path)
    assert data.manifest["splits"] == {"train": 48, "valid": 6, "test": 6}
    found = [data.images(split)[:, 0, 0] for split in ("train", "valid", "test")]
    assert sorted(np.concatenate(found)) == list(range(60))
    assert max(found[2]) - min(found[2]) > 10
    for split, numbers in zip(("train", "valid", "test"), found, strict=True):
        assert (data.labels(split) == numbers % 4).all()
    assert prepared(tmp_path / "x.npz", tmp_path).checksum == data.checksum
    assert prepared(tmp_path / "x.npz", tmp_path, seed=1).checksum != data.checksum
    sizes = {"train": 30, "valid": 9, "test": 5}
    some = prepared(tmp_path / "x.npz", tmp_path, splits={"quick": sizes, "full": sizes})
    assert some.manifest["splits"] == sizes
    np.savez(tmp_path / "x.npz", x_train=numbered, x_test=GREY)
    data = prepared(tmp_path / "x.npz", tmp_path)
    assert data.manifest["splits"] == {"train": 54, "valid": 6, "test": 60}
    assert sorted(map(bytes, data.images("test"))) == sorted(map(bytes, GREY))
    assert not data.has_labels("train")


def test_colour_is_binarised_only_as_grey(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", COLOUR)
    grey = prepared(tmp_path / "x.npy", tmp_path, grey=True).images("test")
    assert grey.shape == (6, 16, 16)
    whole = np.stack([np.asarray(Image.fromarray(image.transpose(1, 2, 0)).convert("L")) for image in COLOUR])
    assert np.array_equal(to_grey(COLOUR), whole)
    binary = prepared(tmp_path / "x.npy", tmp_path, grey=True, binarization="threshold", threshold=0.5).images("test")
    assert np.array_equal(binary, grey >= 127.5)
    with pytest.raises(TriptychError, match=r"datasets\.mine: binarization is for grey images; add `grey: true`"):
        prepared(tmp_path / "x.npy", tmp_path, binarization="static")


def broken(folder: Path, **changed: Callable[[Path], None]) -> Path:
    """Write 60 good files and then damage one."""
    write_images(folder, COLOUR)
    for change in changed.values():
        change(folder / "030.png")
    return folder


def save(picture: Image.Image, path: Path, **options: object) -> None:
    picture.save(path, "PNG", **options)


SMALL = Image.fromarray(COLOUR[0].transpose(1, 2, 0))
ADVICE = {"no image": "remove it from the folder", "another size": "16 by 16", "4 channels": "without transparency"}
BAD = {
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:200]),
    "no image": lambda path: path.write_bytes(b"hello"),
    "empty": lambda path: path.write_bytes(b""),
    "another size": lambda path: save(SMALL.resize((17, 16)), path),
    "16 bits": lambda path: save(Image.fromarray(np.zeros((16, 16), np.uint16)), path),
    "4 channels": lambda path: save(SMALL.convert("RGBA"), path),
    "grey with transparency": lambda path: save(SMALL.convert("LA"), path),
    "a palette with transparency": lambda path: save(SMALL.convert("P"), path, transparency=0),
    "animated": lambda path: save(SMALL, path, save_all=True, append_images=[SMALL.rotate(90)]),
    "a GIF": lambda path: SMALL.save(path, "GIF"),
    "a bomb": lambda path: save(Image.new("1", (20_000, 20_000)), path),
    "a broken link": lambda path: (path.unlink(), path.symlink_to(path.with_name("nowhere"))),
    "a link to itself": lambda path: (path.unlink(), path.symlink_to(path)),
    "an endless device": lambda path: (path.unlink(), path.symlink_to("/dev/zero")),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_file_in_a_folder_is_refused_in_one_sentence(tmp_path: Path, what: str) -> None:
    folder = broken(tmp_path / "x", damage=BAD[what])
    with pytest.raises(TriptychError) as caught:
        read(folder)
    sentence = str(caught.value)
    assert str(folder / "030.png") in sentence
    assert ADVICE.get(what, "") in sentence
    assert "\n" not in sentence


ARRAYS = {
    "NaN": (np.full((60, 12, 12), np.nan, np.float32), "must be uint8"),
    "16 bits": (GREY.astype(np.uint16), "must be uint8"),
    "4 channels": (RNG.integers(0, 256, (60, 4, 12, 12), dtype=np.uint8), r"\(n, h, w\) or \(n, 3, h, w\)"),
    "2 dimensions": (GREY[0], r"\(n, h, w\) or \(n, 3, h, w\)"),
    "not square": (GREY[:, 1:], "12 by 11 pixels, but they must be square, 8 to 64"),
    "too small": (GREY[:, :7, :7], "7 by 7 pixels"),
    "too large": (np.zeros((60, 65, 65), np.uint8), "65 by 65 pixels"),
    "empty": (GREY[:0], "has 0 images: use 50 or more"),
    "few": (GREY[:49], "has 49 images"),
    "binary": (GREY % 2, "nothing above 1"),
    "objects": (np.array([{}]), "Python objects"),
}


@pytest.mark.parametrize("what", ARRAYS)
@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_other_arrays_are_refused_in_one_sentence(tmp_path: Path, what: str, suffix: str) -> None:
    array, words = ARRAYS[what]
    path = tmp_path / f"x{suffix}"
    np.save(path, array) if suffix == ".npy" else np.savez(path, x_train=array)
    with pytest.raises(TriptychError, match=words) as caught:
        read(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_other_paths_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    np.savez(tmp_path / "x.npz", images=GREY)
    (tmp_path / "x.txt").write_text("")
    for name, words in {
        "x": "holds no PNG or JPEG files",
        "y": "does not exist: check the path",
        "y.npz": "does not exist: check the path",
        "x.txt": "is neither",
        "x.npz": "has no array x_train: it has images; rename",
    }.items():
        with pytest.raises(TriptychError, match=words):
            read(tmp_path / name)
    for changed, words in (
        ({"y_train": LABELS.astype(int) + 300}, "0 to 255: number the classes from 0, and keep at most 256"),
        ({"y_train": LABELS[1:]}, "59 labels for 60 images; give one label per image"),
        ({"y_valid": LABELS}, "60 labels for 0 images; add the images, or remove the labels"),
        ({"x_test": GREY[:1]}, "has 1 test images: use 5 or more"),
        ({"x_test": GREY[:, 1:, 1:]}, r"x_test has the shape \(60, 11, 11\)"),
        (
            {"x_train": np.zeros((60, 128, 128), np.uint8)},
            "images of 128 by 128 pixels, but they must be square, 8 to 64",
        ),
    ):
        np.savez(tmp_path / "x.npz", **{"x_train": GREY, **changed})
        with pytest.raises(TriptychError, match=words):
            read(tmp_path / "x.npz")
    (tmp_path / "x" / "cats").mkdir()
    write_images(tmp_path / "x" / "cats", GREY)
    with pytest.raises(TriptychError, match="name a folder that directly contains them"):
        read(tmp_path / "x")
    write_images(tmp_path / "x", GREY)
    with pytest.raises(TriptychError, match=r"030\.png is in colour, but grey images are needed"):
        SMALL.resize((12, 12)).save(tmp_path / "x" / "030.png")
        read(tmp_path / "x")
    SMALL.convert("RGBA").save(tmp_path / "x" / "000.png")
    with pytest.raises(TriptychError, match=r"000\.png has 16 by 16 pixels of mode RGBA: save .* without transparency"):
        read(tmp_path / "x")


def test_the_headers_of_a_zip_bomb_are_read_without_its_content(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x_train.npy", npy((10**9, 12, 12), "|u1", bytes(10**7)))
    with pytest.raises(TriptychError, match=r"2,000,000 images|announces"):
        read(tmp_path / "x.npz")


def _packed(chance: Random) -> bytes:
    content = io.BytesIO()
    np.save(content, GREY)
    return mutate_bytes(content.getvalue(), chance)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(chance=st.randoms(use_true_random=False))
def test_damaged_own_images_are_read_or_refused(tmp_path: Path, chance: Random) -> None:
    """Damage a `.npz`, a `.npy`, a PNG or a JPEG; what is read is uint8, of one plausible shape, and complete."""
    kind = chance.choice(("npz", "npy", "PNG", "JPEG", "place"))
    path = tmp_path / f"x.{kind}"
    if kind in ("npz", "npy"):
        arrays = {"x_train": GREY, "y_train": LABELS, "x_test": GREY}
        path.write_bytes(mutate_npz(arrays, chance) if kind == "npz" else _packed(chance))
    else:
        form = "PNG" if kind == "place" else kind
        if not (tmp_path / f"{form}.whole").exists():
            write_images(tmp_path / f"{form}.whole", COLOUR, form)
        path = tmp_path / f"{form}.whole"
        file = path / f"0{chance.randrange(60):02d}{FORMS[form]}"
        whole = file.read_bytes()
        mutate_place(file, chance) if kind == "place" else file.write_bytes(mutate_bytes(whole, chance))
    try:
        found = read(path)
    except TriptychError as error:
        assert "\n" not in str(error)
        assert len(str(error)) < 700
    else:
        assert {array.dtype for array in found.values()} == {np.dtype(np.uint8)}
        assert found["x_train"].shape[1:] in ((12, 12), (3, 16, 16), (3, 12, 12))
    finally:
        if path.is_dir():
            file.rmdir() if file.is_dir() and not file.is_symlink() else file.unlink(missing_ok=True)
            file.write_bytes(whole)


@pytest.mark.parametrize("images", [60, 600, 6000, 12_000, 60_000])
def test_an_epoch_of_own_images_is_one_pass_or_more(images: int) -> None:
    found = OwnImages(shape=(28, 28), counts={"train": images}, labelled=False)
    entries = own_entries("digits", "own/digits.npz", found, ["vae", "gan"])["experiments"]
    train = default_sizes(found.counts).train
    for entry in entries.values():
        assert ("epoch_updates" in entry) == ("batch_size" in entry) == (train < 80 * 128)
        if "epoch_updates" in entry:
            assert entry["epoch_updates"]["quick"] * entry["batch_size"] >= train


@pytest.mark.parametrize("form", ["folder", "file"])
def test_after_a_full_disk_the_data_set_can_be_added_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    images = tmp_path / "x.npy" if form == "file" else write_images(tmp_path / "x", GREY)
    if form == "file":
        np.save(images, GREY)
    params = tmp_path / "project" / "params.yaml"
    params.parent.mkdir()
    shutil.copyfile(ROOT / "params.yaml", params)
    monkeypatch.chdir(params.parent)
    copy, before = shutil.copyfile, params.read_bytes()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    assert CliRunner().invoke(cli, ["add-data", "faces", str(images)]).exit_code
    assert params.read_bytes() == before
    monkeypatch.setattr(shutil, "copyfile", copy)
    assert CliRunner().invoke(cli, ["add-data", "faces", str(images)]).exit_code == 0
    assert b"own/faces" in params.read_bytes()
