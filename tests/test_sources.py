"""Image sources: every file format is read; a broken file is refused in one sentence and leaves no output."""

from __future__ import annotations

import gzip
import hashlib
import os
import socket
import struct
import tarfile
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
from filelock import FileLock
from torchvision import datasets

from triptych.core import downloads
from triptych.core.errors import TriptychError
from triptych.core.tracker import Console
from triptych.data.npz_files import read_npz
from triptych.settings.params import Settings
from triptych.sources import download, embedded_images, user_folder
from triptych.sources.load import load_images
from triptych.sources.published_formats import IDX_NAMES
from triptych.stages.fetch import fetch

RNG = np.random.default_rng(0)
GREY = {
    "x_train": RNG.integers(0, 256, (40, 28, 28), dtype=np.uint8),
    "y_train": np.arange(40, dtype=np.uint8) % 10,
    "x_test": RNG.integers(0, 256, (20, 28, 28), dtype=np.uint8),
    "y_test": np.arange(20, dtype=np.uint8) % 10,
}
BINARY = {f"x_{split}": RNG.integers(0, 2, (12, 28, 28), dtype=np.uint8) for split in ("train", "valid", "test")}
COLOUR = {
    "x_train": RNG.integers(0, 256, (50, 3, 32, 32), dtype=np.uint8),
    "y_train": np.arange(50, dtype=np.uint8) % 10,
    "x_test": RNG.integers(0, 256, (20, 3, 32, 32), dtype=np.uint8),
    "y_test": np.arange(20, dtype=np.uint8) % 10,
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "mine"
    place.mkdir()
    monkeypatch.setenv(user_folder.FOLDER_VARIABLE, str(place))
    return place


def run(tiny: Settings, name: str, source: str, output: Path) -> dict[str, np.ndarray]:
    fetch(
        dataset=tiny.dataset(name),
        source=source,
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


def test_npz_file_of_the_user(tiny: Settings, folder: Path, tmp_path: Path) -> None:
    np.savez(folder / "mnist.npz", **GREY)
    found = run(tiny, "mnist", "auto", tmp_path / "raw.npz")
    assert_holds(found, GREY)
    assert str(folder) not in str(found["source"])


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("images", "place"), [("mnist", "MNIST"), ("fashion_mnist", "FashionMNIST"), ("kmnist", "KMNIST")]
)
def test_torchvision_layout(folder: Path, tmp_path: Path, images: str, place: str, packed: bool) -> None:
    for name, file_name in IDX_NAMES.items():
        write_idx(folder / place / "raw" / (file_name + ".gz" * packed), GREY[name], packed=packed)
    assert_holds(load_images(images, "folder", tmp_path).arrays, GREY)


@pytest.mark.parametrize("images", ["fashion_mnist", "kmnist"])
def test_images_that_are_not_embedded_come_from_the_folder_or_the_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, images: str
) -> None:
    monkeypatch.delenv(user_folder.FOLDER_VARIABLE, raising=False)

    def refuse(*_: object, **__: object) -> None:
        raise URLError("no route to host")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    with pytest.raises(TriptychError, match=f"{images} could not be downloaded.*TRIPTYCH_DATA.*{images}.npz"):
        load_images(images, "embedded", tmp_path)
    np.savez(tmp_path / f"{images}.npz", **GREY)
    monkeypatch.setenv(user_folder.FOLDER_VARIABLE, str(tmp_path))
    assert_holds(load_images(images, "embedded", tmp_path).arrays, GREY)


def test_amat_layout(tiny: Settings, folder: Path, tmp_path: Path) -> None:
    write_amats(folder)
    assert_holds(run(tiny, "binarized_mnist", "folder", tmp_path / "raw.npz"), BINARY)


@pytest.mark.parametrize("name", ["mnist", "cifar10"])
def test_embedded_digits_are_equal_each_time_and_none_is_in_two_splits(
    tiny: Settings, tmp_path: Path, name: str
) -> None:
    first = run(tiny, name, "embedded", tmp_path / "a.npz")
    run(tiny, name, "embedded", tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    sizes = {"train": 10_000, "valid": 1000, "test": 1000}
    for split, size in sizes.items():
        assert np.bincount(first[f"y_{split}"]).tolist() == [size // 10] * 10
    images = [image.tobytes() for split in sizes for image in first[f"x_{split}"]]
    assert len(set(images)) == len(images) == 12_000


def test_embedded_digits_are_those_of_mnist() -> None:
    """The package names the file's checksum; with MNIST at hand, each digit is looked up in its published split."""
    notice = (embedded_images.FILE.parent / "README.md").read_text(encoding="utf-8")
    assert hashlib.sha256(embedded_images.FILE.read_bytes()).hexdigest() in notice
    published = Path(os.environ.get(user_folder.FOLDER_VARIABLE, "")) / "mnist.npz"
    if not published.is_file():
        pytest.skip("TRIPTYCH_DATA names no folder with mnist.npz")
    with np.load(published) as mnist, np.load(embedded_images.FILE) as digits:
        for part in ("train", "test"):
            known = dict(zip((image.tobytes() for image in mnist[f"x_{part}"]), mnist[f"y_{part}"], strict=True))
            for split in ("train", "valid") if part == "train" else ("test",):
                found = [known.get(image.tobytes()) for image in digits[f"x_{split}"]]
                assert found == digits[f"y_{split}"].tolist()


def test_a_coloured_digit_is_a_mixture_of_one_ink_and_one_ground() -> None:
    digits = embedded_images.embedded_images("mnist").arrays["x_test"]
    coloured = embedded_images.embedded_images("cifar10").arrays["x_test"].astype(float)
    ground = coloured[:, :, :2].reshape(len(coloured), 3, -1)  # the two top rows are margin
    assert (ground == ground[..., :1]).all()
    share = np.pad(digits, ((0, 0), (2, 2), (2, 2))) / 255
    darkest = share.reshape(len(share), -1).argmax(1)
    full = share.reshape(len(share), -1)[np.arange(len(share)), darkest] == 1  # digits with a pixel of pure ink
    assert full.sum() > 500
    ink = np.take_along_axis(coloured.reshape(len(coloured), 3, -1), darkest[:, None, None], 2)[..., 0]
    mixture = ground[:, :, :1, None] * (1 - share[:, None]) + ink[:, :, None, None] * share[:, None]
    assert np.abs(mixture - coloured)[full].max() <= 0.5 + 1e-4
    assert ground.max() < 128 <= ink[full].min()


@pytest.mark.parametrize("last", [True, False], ids=["colours last", "colours first"])
def test_npz_file_of_colour_images(tiny: Settings, folder: Path, tmp_path: Path, last: bool) -> None:
    """Keras and most archives hold CIFAR-10 with colours last and labels in a column, PyTorch with colours first."""
    order = (0, 2, 3, 1) if last else (0, 1, 2, 3)
    labels = {name: array[:, None] if last else array for name, array in COLOUR.items() if name.startswith("y_")}
    images = {name: array.transpose(order) for name, array in COLOUR.items() if name.startswith("x_")}
    np.savez(folder / "cifar10.npz", **images, **labels)
    assert_holds(run(tiny, "cifar10", "folder", tmp_path / "raw.npz"), COLOUR)


def cifar_batches() -> dict[str, bytes]:
    """Return the six files of the published binary version; a record is the class, then the red, green, blue plane."""
    records = {
        split: np.concatenate([COLOUR[f"y_{split}"][:, None], COLOUR[f"x_{split}"].reshape(-1, 3072)], axis=1)
        for split in ("train", "test")
    }
    files = {f"data_batch_{number + 1}.bin": records["train"][10 * number :][:10].tobytes() for number in range(5)}
    return {**files, "test_batch.bin": records["test"].tobytes()}


def write_batches(folder: Path, **changes: bytes) -> None:
    place = folder / "cifar-10-batches-bin"
    place.mkdir(parents=True)
    for name, content in (cifar_batches() | changes).items():
        (place / name).write_bytes(content)


def test_cifar_batches(tiny: Settings, folder: Path, tmp_path: Path) -> None:
    write_batches(folder)
    assert_holds(run(tiny, "cifar10", "folder", tmp_path / "raw.npz"), COLOUR)


@pytest.mark.parametrize(("content", "words"), [(b"\3" * 3072, "records of 3,073 bytes"), (b"\12" * 3073, "0 to 9")])
def test_a_broken_cifar_batch_is_refused(
    tiny: Settings, folder: Path, tmp_path: Path, content: bytes, words: str
) -> None:
    write_batches(folder, **{"data_batch_3.bin": content})
    with pytest.raises(TriptychError, match=words):
        run(tiny, "cifar10", "folder", tmp_path / "raw.npz")


@pytest.mark.parametrize(("there", "named"), [(5, "test_batch"), (1, "data_batch_2")])
def test_a_missing_cifar_batch_is_refused(tiny: Settings, folder: Path, tmp_path: Path, there: int, named: str) -> None:
    write_batches(folder)
    for path in sorted((folder / "cifar-10-batches-bin").iterdir())[there:]:
        path.unlink()
    with pytest.raises(TriptychError, match=rf"{named}\.bin does not exist"):
        run(tiny, "cifar10", "folder", tmp_path / "raw.npz")


def cifar_archive() -> bytes:
    packed = BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, content in cifar_batches().items():
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = len(content)
            archive.addfile(member, BytesIO(content))
    return packed.getvalue()


def test_the_public_cifar_archive(tiny: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = cifar_archive()
    (tmp_path / "cifar-10-binary.tar.gz").write_bytes(archive)
    monkeypatch.setattr(download, "CIFAR_ADDRESS", (tmp_path / "cifar-10-binary.tar.gz").as_uri())
    with pytest.raises(TriptychError, match="cifar-10-binary.*published MD5"):
        run(tiny, "cifar10", "public", tmp_path / "raw.npz")
    assert not list(tmp_path.rglob("*.bin"))
    monkeypatch.setattr(download, "CIFAR_MD5", hashlib.md5(archive).hexdigest())
    assert_holds(run(tiny, "cifar10", "public", tmp_path / "raw.npz"), COLOUR)


@pytest.mark.parametrize(
    ("images", "place", "named"),
    [
        ("mnist", "mnist/MNIST/raw", "MNIST"),
        ("cifar10", "cifar10/cifar-10-batches-bin", "CIFAR-10"),
        ("binarized_mnist", "binarized_mnist", "binarised MNIST"),
    ],
)
def test_images_that_are_there_are_not_downloaded_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, images: str, place: str, named: str
) -> None:
    monkeypatch.setattr("urllib.request.urlopen", None)
    (tmp_path / place).mkdir(parents=True)
    for split in ("train", "valid", "test"):
        (tmp_path / images / f"binarized_mnist_{split}.amat").touch()
    folder, description = download.download(images, tmp_path)
    assert folder == tmp_path / place
    assert description.startswith(named)


def broken_npz(folder: Path, **changes: np.ndarray) -> None:
    np.savez(folder / "mnist.npz", **{**GREY, **changes})


BROKEN = {
    "truncated": lambda folder: (folder / "mnist.npz").write_bytes(b"PK\3\4 and no more"),
    "wrong shape": lambda folder: broken_npz(folder, x_train=GREY["x_train"][:, :27]),
    "wrong type": lambda folder: broken_npz(folder, x_train=GREY["x_train"].astype(np.float32)),
    "16 bits per pixel": lambda folder: broken_npz(folder, x_train=GREY["x_train"].astype(np.uint16) * 257),
    "an object array": lambda folder: broken_npz(folder, x_train=np.array([{}], dtype=object)),
    "no images": lambda folder: broken_npz(folder, x_test=GREY["x_test"][:0], y_test=GREY["y_test"][:0]),
    "binary instead of 8 bits": lambda folder: broken_npz(folder, x_train=GREY["x_train"] % 2),
    "too few labels": lambda folder: broken_npz(folder, y_train=GREY["y_train"][:5]),
    "a label of 10": lambda folder: broken_npz(folder, y_train=GREY["y_train"] + 1),
    "a missing array": lambda folder: np.savez(folder / "mnist.npz", x_train=GREY["x_train"]),
    "an empty folder": lambda folder: None,
    "half an IDX file": lambda folder: (
        [write_idx(folder / "MNIST/raw" / name, GREY[key]) for key, name in IDX_NAMES.items()]
        and (folder / "MNIST/raw" / IDX_NAMES["x_train"]).write_bytes(b"\0\0\x08\x03" + struct.pack(">III", 40, 28, 28))
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_broken_files_do_not_change_the_earlier_output(tiny: Settings, folder: Path, tmp_path: Path, what: str) -> None:
    output = tmp_path / "raw.npz"
    output.write_bytes(b"earlier")
    BROKEN[what](folder)
    with pytest.raises(TriptychError) as caught:
        run(tiny, "mnist", "folder", output)
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)
    assert output.read_bytes() == b"earlier"
    assert {path.name for path in tmp_path.iterdir()} == {"mine", "raw.npz"}


def test_a_truncated_npz_is_refused(tiny: Settings, folder: Path, tmp_path: Path) -> None:
    np.savez_compressed(folder / "whole.npz", **GREY)
    whole = (folder / "whole.npz").read_bytes()
    for length in (0, 10, len(whole) // 2, len(whole) - 30):
        (folder / "mnist.npz").write_bytes(whole[:length])
        with pytest.raises(TriptychError, match="mnist.npz"):
            run(tiny, "mnist", "folder", tmp_path / "raw.npz")


@pytest.mark.parametrize("symbol", [b"2", b"x", b"-", b"."])
def test_an_amat_with_other_symbols_is_refused(tiny: Settings, folder: Path, tmp_path: Path, symbol: bytes) -> None:
    write_amats(folder, symbol)
    with pytest.raises(TriptychError, match=f"'{symbol.decode()}'"):
        run(tiny, "binarized_mnist", "folder", tmp_path / "raw.npz")


def test_a_truncated_amat_is_refused(tiny: Settings, folder: Path, tmp_path: Path) -> None:
    write_amats(folder)
    path = folder / "binarized_mnist" / "binarized_mnist_valid.amat"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(TriptychError, match="line .* not 784"):
        run(tiny, "binarized_mnist", "folder", tmp_path / "raw.npz")


def test_the_error_names_a_missing_folder(tiny: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(user_folder.FOLDER_VARIABLE, str(tmp_path / "nowhere"))
    with pytest.raises(TriptychError, match="TRIPTYCH_DATA names .*nowhere"):
        run(tiny, "mnist", "auto", tmp_path / "raw.npz")


def test_the_error_without_a_network_names_the_alternative(
    tiny: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(user_folder.FOLDER_VARIABLE, raising=False)

    def refuse(*_: object, **__: object) -> None:
        raise URLError("no route to host")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    for name in tiny.datasets:
        with pytest.raises(TriptychError, match="could not be downloaded.*TRIPTYCH_DATA"):
            run(tiny, name, "auto", tmp_path / "raw.npz")
    assert not (tmp_path / "raw.npz").exists()


def test_a_second_process_waits_for_a_download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It then finds the images, and downloads nothing."""
    monkeypatch.setattr(download, "_download_mnist", lambda *_: pytest.fail("the other process has done it"))
    lock = FileLock(tmp_path / "mnist.lock")
    with lock, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(download.download, "mnist", tmp_path)
        with pytest.raises(TimeoutError):
            waiting.result(0.2)
        (tmp_path / "mnist").mkdir()
        lock.release()
        assert waiting.result()[0].is_relative_to(tmp_path / "mnist")


def test_downloads_are_verified(tiny: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_amats(tmp_path)
    monkeypatch.setattr(download, "AMAT_ADDRESS", f"{(tmp_path / 'binarized_mnist').as_uri()}/")
    with pytest.raises(TriptychError, match="published MD5"):
        run(tiny, "binarized_mnist", "public", tmp_path / "raw.npz")
    assert not list((tmp_path / "downloads").rglob("*.amat"))
    published = {split: hashlib.md5(amat(BINARY[f"x_{split}"])).hexdigest() for split in ("train", "valid", "test")}
    monkeypatch.setattr(download, "AMAT_MD5", published)
    assert_holds(run(tiny, "binarized_mnist", "public", tmp_path / "raw.npz"), BINARY)


@pytest.mark.parametrize("images", ["mnist", "fashion_mnist", "kmnist"])
def test_the_archives_of_torchvision_come_from_the_first_address_that_has_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, images: str
) -> None:
    published = []
    for name, file_name in IDX_NAMES.items():
        path = tmp_path / "there" / f"{file_name}.gz"
        write_idx(path, GREY[name], packed=True)
        published.append((path.name, hashlib.md5(path.read_bytes()).hexdigest()))
    torchvisions = getattr(datasets, download.TORCHVISION[images])
    monkeypatch.setattr(torchvisions, "mirrors", [f"{(tmp_path / name).as_uri()}/" for name in ("gone", "there")])
    monkeypatch.setattr(torchvisions, "resources", published)
    assert_holds(load_images(images, "public", tmp_path / "downloads").arrays, GREY)
    monkeypatch.setattr(torchvisions, "resources", [(name, "0" * 32) for name, _ in published])
    with pytest.raises(TriptychError, match="train-images.* does not have its published MD5"):
        load_images(images, "public", tmp_path / "others")
    assert not (tmp_path / "others" / images).exists()


def test_a_server_that_does_not_answer_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        monkeypatch.setattr(datasets.MNIST, "mirrors", [address])
        with pytest.raises(TriptychError, match="mnist could not be downloaded .*timed out"):
            load_images("mnist", "public", tmp_path)


def test_changed_user_data_change_the_checksum(folder: Path) -> None:
    np.savez(folder / "mnist.npz", **GREY)
    before = user_folder.folder_checksum("mnist")
    assert before == hashlib.sha256((folder / "mnist.npz").read_bytes()).hexdigest()
    broken_npz(folder, x_test=GREY["x_test"][::-1])
    assert user_folder.folder_checksum("mnist") != before
