"""Where images come from: every layout is read, every broken file is refused in one sentence and leaves nothing."""

from __future__ import annotations

import gzip
import struct
from io import BytesIO
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest

from triptych.config import Settings
from triptych.data import sources
from triptych.data.images import read_npz
from triptych.data.readers import IDX_NAMES
from triptych.errors import TriptychError
from triptych.stages.fetch import fetch
from triptych.tracker import Console

RNG = np.random.default_rng(0)
GREY = {
    "x_train": RNG.integers(0, 256, (40, 28, 28), dtype=np.uint8),
    "y_train": np.arange(40, dtype=np.uint8) % 10,
    "x_test": RNG.integers(0, 256, (20, 28, 28), dtype=np.uint8),
    "y_test": np.arange(20, dtype=np.uint8) % 10,
}
BINARY = {f"x_{split}": RNG.integers(0, 2, (12, 28, 28), dtype=np.uint8) for split in ("train", "valid", "test")}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "mine"
    place.mkdir()
    monkeypatch.setenv(sources.FOLDER_VARIABLE, str(place))
    return place


def run(tiny: Settings, name: str, source: str, output: Path) -> dict[str, np.ndarray]:
    profile = tiny.active.model_copy(update={"source": source})
    fetch(
        dataset=tiny.dataset(name),
        profile=profile,
        embedded=tiny.embedded,
        downloads=output.parent / "downloads",
        output=output,
        tracker=Console(),
    )
    return read_npz(output)


def assert_holds(found: dict[str, np.ndarray], wanted: dict[str, np.ndarray]) -> None:
    for name, array in wanted.items():
        assert np.array_equal(found[name], array)


def write_idx(path: Path, array: np.ndarray, *, packed: bool = False) -> None:
    content = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content) if packed else content)


def amat(images: np.ndarray) -> bytes:
    return b"".join(b" ".join(str(pixel).encode() for pixel in image.ravel()) + b"\n" for image in images)


def write_amats(folder: Path, change: bytes | None = None) -> None:
    (folder / "binarized_mnist").mkdir(parents=True)
    for split in ("train", "valid", "test"):
        text = amat(BINARY[f"x_{split}"])
        if change and split == "test":
            text = change + text[1:]
        (folder / "binarized_mnist" / f"binarized_mnist_{split}.amat").write_bytes(text)


def test_npz_of_the_user(tiny: Settings, folder: Path, tmp_path: Path) -> None:
    np.savez(folder / "mnist.npz", **GREY)
    found = run(tiny, "mnist", "auto", tmp_path / "raw.npz")
    assert_holds(found, GREY)
    assert str(folder) not in str(found["source"])


@pytest.mark.parametrize("packed", [False, True])
def test_torchvision_layout(tiny: Settings, folder: Path, tmp_path: Path, packed: bool) -> None:
    for name, file_name in IDX_NAMES.items():
        write_idx(folder / "MNIST" / "raw" / (file_name + ".gz" * packed), GREY[name], packed=packed)
    assert_holds(run(tiny, "mnist", "folder", tmp_path / "raw.npz"), GREY)


def test_amat_layout(tiny: Settings, folder: Path, tmp_path: Path) -> None:
    write_amats(folder)
    assert_holds(run(tiny, "binarized_mnist", "folder", tmp_path / "raw.npz"), BINARY)


def test_embedded_images_repeat_and_do_not_leak(tiny: Settings, tmp_path: Path) -> None:
    first = run(tiny, "mnist", "embedded", tmp_path / "a.npz")
    run(tiny, "mnist", "embedded", tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    assert len(first["x_train"]) == tiny.active.splits.train
    assert set(first["y_train"]) == set(range(10))
    assert "not MNIST" in str(first["source"])
    train = {image.tobytes() for image in first["x_train"]}
    assert not any(image.tobytes() in train for image in first["x_test"])


def broken_npz(folder: Path, **changes: np.ndarray) -> None:
    np.savez(folder / "mnist.npz", **{**GREY, **changes})


BROKEN = {
    "cut short": lambda folder: (folder / "mnist.npz").write_bytes(b"PK\3\4 and no more"),
    "wrong shape": lambda folder: broken_npz(folder, x_train=GREY["x_train"][:, :27]),
    "wrong type": lambda folder: broken_npz(folder, x_train=GREY["x_train"].astype(np.float32)),
    "16 bits a pixel": lambda folder: broken_npz(folder, x_train=GREY["x_train"].astype(np.uint16) * 257),
    "an object array": lambda folder: broken_npz(folder, x_train=np.array([{}], dtype=object)),
    "no images": lambda folder: broken_npz(folder, x_test=GREY["x_test"][:0], y_test=GREY["y_test"][:0]),
    "binary where 8 bits belong": lambda folder: broken_npz(folder, x_train=GREY["x_train"] % 2),
    "labels that do not fit": lambda folder: broken_npz(folder, y_train=GREY["y_train"][:5]),
    "a label of 10": lambda folder: broken_npz(folder, y_train=GREY["y_train"] + 1),
    "a missing array": lambda folder: np.savez(folder / "mnist.npz", x_train=GREY["x_train"]),
    "an empty folder": lambda folder: None,
    "half an IDX file": lambda folder: (
        [write_idx(folder / "MNIST/raw" / name, GREY[key]) for key, name in IDX_NAMES.items()]
        and (folder / "MNIST/raw" / IDX_NAMES["x_train"]).write_bytes(b"\0\0\x08\x03" + struct.pack(">III", 40, 28, 28))
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_broken_files_leave_the_earlier_result(tiny: Settings, folder: Path, tmp_path: Path, what: str) -> None:
    output = tmp_path / "raw.npz"
    output.write_bytes(b"earlier")
    BROKEN[what](folder)
    with pytest.raises(TriptychError) as caught:
        run(tiny, "mnist", "folder", output)
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)
    assert output.read_bytes() == b"earlier"
    assert {path.name for path in tmp_path.iterdir()} == {"mine", "raw.npz"}


def test_a_cut_npz_at_any_length(tiny: Settings, folder: Path, tmp_path: Path) -> None:
    np.savez_compressed(folder / "whole.npz", **GREY)
    whole = (folder / "whole.npz").read_bytes()
    for length in (0, 10, len(whole) // 2, len(whole) - 30):
        (folder / "mnist.npz").write_bytes(whole[:length])
        with pytest.raises(TriptychError, match="mnist.npz"):
            run(tiny, "mnist", "folder", tmp_path / "raw.npz")


@pytest.mark.parametrize("symbol", [b"2", b"x", b"-", b"."])
def test_an_amat_with_something_else_than_0_and_1(tiny: Settings, folder: Path, tmp_path: Path, symbol: bytes) -> None:
    write_amats(folder, symbol)
    with pytest.raises(TriptychError, match=f"'{symbol.decode()}'"):
        run(tiny, "binarized_mnist", "folder", tmp_path / "raw.npz")


def test_an_amat_cut_short(tiny: Settings, folder: Path, tmp_path: Path) -> None:
    write_amats(folder)
    path = folder / "binarized_mnist" / "binarized_mnist_valid.amat"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(TriptychError, match="line .* not 784"):
        run(tiny, "binarized_mnist", "folder", tmp_path / "raw.npz")


def test_a_missing_folder_is_named(tiny: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(sources.FOLDER_VARIABLE, str(tmp_path / "nowhere"))
    with pytest.raises(TriptychError, match="TRIPTYCH_DATA names .*nowhere"):
        run(tiny, "mnist", "auto", tmp_path / "raw.npz")


def test_no_network(tiny: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(sources.FOLDER_VARIABLE, raising=False)

    def refuse(*_: object, **__: object) -> None:
        raise URLError("no route to host")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    monkeypatch.setattr("torchvision.datasets.utils.urllib.request.urlopen", refuse)
    for name in ("mnist", "binarized_mnist"):
        with pytest.raises(TriptychError, match="could not be downloaded.*TRIPTYCH_DATA"):
            run(tiny, name, "auto", tmp_path / "raw.npz")
    assert not (tmp_path / "raw.npz").exists()


def test_downloads_are_verified(tiny: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("urllib.request.urlopen", lambda *_, **__: BytesIO(amat(BINARY["x_test"])))
    with pytest.raises(TriptychError, match="published MD5"):
        run(tiny, "binarized_mnist", "public", tmp_path / "raw.npz")
    assert not list(tmp_path.rglob("*.amat"))
    import hashlib

    published = {split: hashlib.md5(amat(BINARY["x_test"])).hexdigest() for split in ("train", "valid", "test")}
    monkeypatch.setattr(sources, "AMAT_MD5", published)
    found = run(tiny, "binarized_mnist", "public", tmp_path / "raw.npz")
    assert np.array_equal(found["x_train"], BINARY["x_test"])


def test_changed_data_of_the_user_changes_the_checksum(folder: Path) -> None:
    np.savez(folder / "mnist.npz", **GREY)
    before = sources.folder_checksum("mnist")
    broken_npz(folder, x_test=GREY["x_test"][::-1])
    assert sources.folder_checksum("mnist") != before
