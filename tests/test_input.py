"""Invalid settings and damaged files are refused in one sentence, and no code in a file is ever run.

`make torture` tries more examples, from a new seed.
"""

from __future__ import annotations

import gzip
import io
import os
import tarfile
import tracemalloc
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from types import MappingProxyType

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from conftest import ROOT
from mutations import Tree, mutate_place, npy
from torture.fuzz import DAMAGE, Outcome, PipelineResults, fuzz_settings, small_settings, try_settings, try_text
from triptych.core import downloads
from triptych.core.errors import TriptychError
from triptych.core.hashing import sha256_of_file
from triptych.core.json_files import Document, read_json
from triptych.data import image_shapes
from triptych.data.image_shapes import MOST_IMAGES
from triptych.data.npz_files import read_npz
from triptych.models.common.load import load_family
from triptych.runner.restore import restore_outputs
from triptych.settings.params import load, parse
from triptych.sources import download, published_formats
from triptych.sources.published_formats import CIFAR_BATCHES, CIFAR_FOLDER, read_amat, read_idx
from triptych.sources.user_folder import FOLDER_VARIABLE, folder_files, read_user_folder
from triptych.training.reproducible import deterministic
from triptych.training.weights import load_tensors

CHANCE = st.randoms(use_true_random=False)
SHARED = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def tree() -> Tree:
    return small_settings()


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> PipelineResults:
    return PipelineResults.build(tmp_path_factory.mktemp("results"))


@contextmanager
def limited_memory(most: int = 20_000_000) -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < most


def assert_one_sentence(path: Path, caught: pytest.ExceptionInfo) -> None:
    sentence = str(caught.value)
    assert str(path) in sentence
    assert "\n" not in sentence
    assert sentence.rpartition(": ")[2] != "None", "the advice"


@settings(SHARED, max_examples=120)
@given(chance=CHANCE)
def test_mutated_settings_are_valid_or_refused(tree: Tree, tmp_path: Path, chance: Random) -> None:
    outcome = Outcome()
    try_settings(outcome, tree, chance, tmp_path, run=False)
    assert not outcome.failed


@settings(SHARED, max_examples=30)
@given(chance=CHANCE)
def test_mutated_yaml_is_read_or_refused(tmp_path: Path, chance: Random) -> None:
    outcome = Outcome()
    try_text(outcome, (ROOT / "params.yaml").read_text(encoding="utf-8"), chance, tmp_path)
    assert not outcome.failed


def test_mutated_settings_run_to_the_end_or_are_refused() -> None:
    outcome = fuzz_settings(15, seed=9)
    assert not outcome.failed
    assert outcome.ran


@pytest.mark.parametrize("kind", dict.fromkeys(DAMAGE), ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("seed", range(6))
def test_damaged_files_are_read_or_refused(results: PipelineResults, tmp_path: Path, kind: object, seed: int) -> None:
    outcome = Outcome()
    outcome.check(kind.__name__, kind(results, tmp_path, Random(seed)))
    assert not outcome.failed


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        (
            {"classifiers/mnist/model": {"architecture": "residual", "channels": [2] * 4, "dropout": 0.0}},
            "residual is for",
        ),
        ({"datasets/mnist/images": "cifar10"}, "classifiers.mnist.model.architecture"),
        (
            {"experiments/gan-mnist/dataset": "cifar10"},
            "experiments.gan-mnist.reference is mnist, grey images of 28 by 28; name one with images like those",
        ),
        ({"experiments/gan-mnist/reference": "cifar10"}, "experiments.gan-mnist.reference"),
        ({"experiments/cifar10-jsd-2/dataset": "mnist"}, "experiments.cifar10-jsd-2.dataset"),
        ({"experiments/gan-mnist/batch_size": 1}, "experiments.gan-mnist.batch_size is 1"),
        ({"experiments/cifar10-jsd-2/model/critic_steps": 100}, "batch_size is 5 times 100 critic_steps"),
        ({"datasets/binarized_mnist/splits/quick/test": 1}, "datasets.binarized_mnist.splits.quick.test"),
        ({"datasets/mnist/splits/quick/train": 10**30}, "datasets.mnist.splits.quick.train"),
        ({"experiments/vae-20d/model/hidden": [10**9]}, "experiments.vae-20d.model.hidden.0"),
        ({"experiments/vae-20d/learning_rate": 1e300}, "experiments.vae-20d.learning_rate"),
        ({"runtime/threads": 10**6}, "runtime.threads"),
        ({"studies/dirac/iterations/quick": 10**9}, "studies.dirac.iterations.quick"),
    ],
)
def test_settings_that_cannot_run_are_refused_early(tree: Tree, changes: dict, names: str) -> None:
    data = YAML(typ="safe", pure=True).load(_dumped(tree))
    for key, value in changes.items():
        *path, last = key.split("/")
        part = data
        for name in path:
            part = part[name]
        part[last] = value
    with pytest.raises(TriptychError) as caught:
        parse(data)
    assert names in str(caught.value)


def _dumped(tree: Tree) -> str:
    text = io.StringIO()
    YAML(typ="safe", pure=True).dump(tree, text)
    return text.getvalue()


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{before}'] * 9)}]\n"
    for before, name in zip("abcdefghijk", "bcdefghijkl", strict=True)
)


@pytest.mark.parametrize(
    "text",
    [
        "profile: quick\nprofile: full\n",
        "x: !!python/object/apply:os.mkdir [sprung]\n",
        "x: !!timestamp 2020-13-45\n",
        "profile: &r [*r]\n",
        "&r {profile: *r}\n",
        BOMB,
        BOMB + "profile: *l\n",
        "profile: " + "[" * 600,
        "profile: " + "9" * 5000,
        "1: 2\n",
        "? [a, b]\n: c\n",
        "profile: quick\n---\nprofile: full\n",
        "experiments: {'a\\nb': {}}\n",
        "profile: 'a\\nb'\n",
    ],
    ids=[
        "a key twice",
        "an object of Python",
        "an impossible date",
        "a list in itself",
        "a mapping in itself",
        "a bomb",
        "a bomb before a key",
        "deep nesting",
        "a long number",
        "a number as key",
        "a list as key",
        "two documents",
        "a name of two lines",
        "a value of two lines",
    ],
)
def test_malicious_yaml_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "params.yaml").write_text(text)
    with limited_memory(), pytest.raises(TriptychError, match=r"^params\.yaml") as caught:
        load(tmp_path / "params.yaml")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400
    assert not Path("sprung").exists()


def test_lack_of_memory_is_one_sentence(tree: Tree) -> None:
    with pytest.raises(TriptychError, match="memory of cpu is not enough"), deterministic(parse(tree).runtime):
        torch.empty(1 << 60)
    with pytest.raises(RuntimeError, match="bug"), deterministic(parse(tree).runtime):
        raise RuntimeError("bug")


class CreatesFolder:
    """An object that creates a folder when it is unpickled."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.place),)


def test_a_pickled_array_is_never_unpickled(tmp_path: Path) -> None:
    path = tmp_path / "mnist.npz"
    np.savez(path, x_train=np.array([CreatesFolder(tmp_path / "sprung")], dtype=object))
    with pytest.raises(TriptychError, match="Python objects") as caught:
        read_npz(path)
    assert_one_sentence(path, caught)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    ("member", "words"),
    [
        (npy((10**12, 28, 28), "|u1"), "x_train announces"),
        (npy((-1, 28, 28), "|u1"), "is impossible"),
        (npy((2, 28, 28), "<f8", bytes(2 * 784 * 8)), "holds float64"),
        (npy((2, 28, 28), [("a", "|O")], b""), "Python objects"),
        (npy((2, 28, 28), "|u1", bytes(784)), "x_train announces 1,568 bytes of data, but 784 follow"),
        (npy((3, 28, 28), "|u1", bytes(5 * 784)), "announces"),
        (npy((MOST_IMAGES + 1,), "|u1", bytes(MOST_IMAGES + 1)), "2,000,000 images"),
        (npy((1, 20_000), "|u1", bytes(20_000)), "12,288 values"),
        (b"", "not a readable"),
        (b"\x93NUMPY\3\0" + bytes(20), "version 3.0"),
    ],
    ids=[
        "many images",
        "negative size",
        "floats",
        "objects",
        "short",
        "long",
        "one image too many",
        "one large image",
        "empty",
        "other version",
    ],
)
def test_headers_are_checked_before_memory_is_allocated(tmp_path: Path, member: bytes, words: str) -> None:
    path = tmp_path / "mnist.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x_train.npy", member)
    with limited_memory(), pytest.raises(TriptychError, match=words) as caught:
        read_npz(path)
    assert_one_sentence(path, caught)


def test_only_known_names_are_read(tmp_path: Path) -> None:
    path = tmp_path / "mnist.npz"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("../x_train.npy", "/etc/x_test.npy", "x_other.npy", "notes.txt"):
            archive.writestr(name, b"anything")
        archive.writestr("y_train.npy", npy((3,), "|u1", bytes(3)))
    assert {name: array.tolist() for name, array in read_npz(path).items()} == {"y_train": [0, 0, 0]}
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("y_train.npy", npy((3,), "|u1", bytes(3)))
    with pytest.raises(TriptychError, match="y_train twice"):
        read_npz(path)


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_shapes, "MOST_IMAGES", 50_000)
    path = tmp_path / "mnist.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x_train.npy", npy((50_001, 28, 28), "|u1", bytes(50_001 * 784)))
    assert path.stat().st_size < 100_000
    with limited_memory(1_000_000), pytest.raises(TriptychError, match="50,000 images"):
        read_npz(path)


@pytest.mark.parametrize("packed", [False, True])
def test_an_idx_file_needs_no_more_memory_than_its_data(tmp_path: Path, packed: bool) -> None:
    path = tmp_path / ("x.gz" if packed else "x")

    def write(*sizes: int, data: bytes = b"") -> None:
        content = bytes((0, 0, 8, len(sizes))) + np.array(sizes, ">u4").tobytes() + data
        path.write_bytes(gzip.compress(content) if packed else content)

    for sizes, data, words in (
        ((MOST_IMAGES, 28, 28), b"", "should hold 1,568,000,000 bytes"),
        ((2**32 - 1, 2**32 - 1, 2**32 - 1), b"", "2,000,000 images"),
        ((1, 28, 28), bytes(50_000_000), "but holds more"),
        ((1,) * 70, b"", "not an IDX file"),
        ((0,), b"x", "but holds more"),
    ):
        write(*sizes, data=data)
        with limited_memory(), pytest.raises(TriptychError, match=words) as caught:
            read_idx(path)
        assert_one_sentence(path, caught)
    write(2, data=b"ab")
    assert read_idx(path).tolist() == [97, 98]


@pytest.mark.parametrize("chunk", [3, 1 << 20])
def test_no_more_of_a_file_is_read_than_wanted(monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    monkeypatch.setattr(published_formats, "CHUNK", chunk)
    file = io.BytesIO(bytes(range(100)))
    assert published_formats._read_at_most(file, 7) == bytes(range(7))
    assert file.tell() == 7
    assert published_formats._read_at_most(io.BytesIO(b"ab"), 7) == b"ab"


def test_a_binary_or_huge_amat_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "binarized_mnist_train.amat"
    path.write_bytes(bytes(range(256)))
    with pytest.raises(TriptychError, match="is text of 0 and 1"):
        read_amat(path)
    with path.open("wb") as file:
        file.truncate(1 << 40)
    with limited_memory(), pytest.raises(TriptychError, match="1,099,511,627,776 bytes, more than"):
        read_amat(path)


@pytest.mark.parametrize("seed", range(16))
def test_paths_that_are_no_files_are_refused(tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Try a folder, a broken link, a circular link, a pipe without a writer, and an endless device."""
    path = tmp_path / "mnist.npz"
    path.write_bytes(b"")
    kind = mutate_place(path, Random(seed))
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    readers = [read_npz, read_idx, read_amat, read_json, load_tensors]
    readers += [sha256_of_file] if kind != "empty" else []
    for read in readers:
        with limited_memory(), pytest.raises(TriptychError) as caught:
            read(path)
        assert_one_sentence(path, caught)
    with pytest.raises(TriptychError):
        read_user_folder("mnist")


def test_a_link_to_a_good_file_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez(tmp_path / "elsewhere.npz", y_train=np.zeros(3, np.uint8))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "mnist.npz").symlink_to(tmp_path / "elsewhere.npz")
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "mine"))
    assert read_user_folder("mnist")[0]["y_train"].tolist() == [0, 0, 0]


@pytest.mark.parametrize("name", ["x" * 5000, "~nosuchuser/data", "/dev/null", "\u202e"])
def test_a_folder_with_an_odd_name_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, name)
    with pytest.raises(TriptychError, match="is not a folder"):
        folder_files("mnist")


def test_a_file_without_read_permission_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "mnist.npz"
    path.write_bytes(b"x")

    def forbid(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")  # chmod has no effect if the tests run as root

    monkeypatch.setattr(Path, "open", forbid)
    with pytest.raises(TriptychError, match=r"cannot be read \(Permission denied\)") as caught:
        read_npz(path)
    assert_one_sentence(path, caught)


def test_an_archive_cannot_write_outside_its_folder(tmp_path: Path) -> None:
    """Links, devices and paths outside the folder are ignored; a batch must be a regular file."""
    names = [name for names in CIFAR_BATCHES.values() for name in names]
    archive, place = tmp_path / "archive.tar.gz", tmp_path / "inner" / "out"
    place.parent.mkdir()
    for odd in (None, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE):
        with tarfile.open(archive, "w:gz") as file:
            for name in (
                "../../escaped",
                str(tmp_path / "escaped"),
                *(f"{CIFAR_FOLDER}/{name}" for name in names),
            ):
                member = tarfile.TarInfo(name)
                member.size = 3
                if odd and name.endswith(names[-1]):
                    member.type, member.linkname, member.size = odd, "/etc/passwd", 0
                file.addfile(member, io.BytesIO(b"abc") if member.size else None)
        if odd:
            with pytest.raises(TriptychError, match=f"holds no file {CIFAR_FOLDER}/{names[-1]}"):
                download.unpack_cifar(archive, place)
        else:
            download.unpack_cifar(archive, place)
            assert {path.name: path.read_bytes() for path in place.iterdir()} == dict.fromkeys(names, b"abc")
        assert not list(tmp_path.rglob("escaped"))
        for path in place.iterdir():
            assert not path.is_symlink()
            path.unlink()
        place.rmdir()


def test_an_endless_download_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Endless(io.RawIOBase):
        headers = MappingProxyType({})

        def read(self, size: int = -1) -> bytes:
            return bytes(size)

    monkeypatch.setattr("urllib.request.urlopen", lambda *_, **__: Endless())
    monkeypatch.setattr(downloads, "MOST_BYTES", 1 << 22)
    with pytest.raises(TriptychError, match="published MD5"):
        download.download_amat(tmp_path / "amat")
    assert not list((tmp_path / "amat").iterdir())


def test_a_missing_key_means_a_damaged_file(tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    path.write_text('{"a": {"b": 1}}')
    document = read_json(path)
    assert document == {"a": {"b": 1}}
    assert isinstance(document["a"], Document)
    for read in (lambda: document["c"], lambda: document["a"]["d"]):
        with pytest.raises(TriptychError, match="is damaged: it has no [cd]") as caught:
            read()
        assert_one_sentence(path, caught)
    for text in ("[]", "3", "NaN", '{"a": NaN}', "[" * 100_000, "\xff", ""):
        path.write_text(text, encoding="latin-1")
        with pytest.raises(TriptychError, match="is damaged"):
            read_json(path)


def test_a_model_with_changed_weights_is_refused(results: PipelineResults, tmp_path: Path) -> None:
    for name in ("weights.safetensors", "manifest.json"):
        (tmp_path / name).write_bytes((results.folder / "model" / name).read_bytes())
    load_family(tmp_path, torch.device("cpu"))
    content = bytearray((tmp_path / "weights.safetensors").read_bytes())
    content[-1] ^= 1
    (tmp_path / "weights.safetensors").write_bytes(content)
    with pytest.raises(TriptychError, match=r"weights\.safetensors is damaged: run `triptych repro`"):
        load_family(tmp_path, torch.device("cpu"))


@pytest.mark.parametrize(
    ("lock", "listing", "words"),
    [
        ("stages: {s: {outs: [{path: ../out, md5: aa.dir}]}}", '[{"relpath": "x", "md5": "bbcc"}]', "leads out of"),
        ("stages: {s: {outs: [{path: out, md5: aa.dir}]}}", '[{"relpath": "../../x", "md5": "bbcc"}]', "leads out of"),
        ("stages: {s: {outs: [{path: out, md5: aa.dir}]}}", "[{}]", "DVC's cache is damaged: delete"),
        ("stages: {s: {outs: [{path: out, md5: aa.dir}]}}", "{", "DVC's cache is damaged: delete"),
        ("stages: [", "", "damaged"),
        ("stages: 3", "", "damaged"),
    ],
)
def test_restored_results_stay_in_the_project(tmp_path: Path, lock: str, listing: str, words: str) -> None:
    root = tmp_path / "a" / "b"
    cache = root / ".dvc" / "cache" / "files" / "md5"
    for place, text in (("aa/.dir", listing), ("bb/cc", "content")):
        (cache / place).parent.mkdir(parents=True, exist_ok=True)
        (cache / place).write_text(text)
    (root / "dvc.lock").write_text(lock)
    with pytest.raises(TriptychError, match=words) as caught:
        restore_outputs(root, "s")
    assert "\n" not in str(caught.value)
    assert not [path for path in tmp_path.rglob("*") if path.name in ("x", "out")]
