"""Files are written atomically; disk errors are reported in one sentence."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from triptych.core.errors import TriptychError
from triptych.core.files import atomic_file, atomic_folder, copy_file, disk_errors
from triptych.core.json_files import canonical_json, flatten, read_json, write_json


def test_a_failed_write_keeps_the_earlier_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("earlier")
    with pytest.raises(ValueError, match="mid-write"), atomic_file(path) as draft:
        draft.write_text("half")
        raise ValueError("mid-write")
    assert path.read_text() == "earlier"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_write_keeps_the_earlier_folder(tmp_path: Path) -> None:
    path = tmp_path / "results"
    for word in ("first", "second"):
        with atomic_folder(path) as folder:
            (folder / word).write_text(word)
    assert [file.name for file in path.iterdir()] == ["second"]
    with pytest.raises(KeyboardInterrupt), atomic_folder(path) as folder:
        (folder / "third").write_text("third")
        raise KeyboardInterrupt
    assert [file.name for file in path.iterdir()] == ["second"]
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "free some"),
        (errno.EDQUOT, "free some"),
        (errno.EACCES, "make its folder writable"),
        (errno.EROFS, "make its folder writable"),
        (errno.ENOTDIR, "remove what is at this path"),
        (errno.ENAMETOOLONG, "choose a shorter path"),
    ],
)
def test_disk_errors_are_one_sentence(tmp_path: Path, number: int, advice: str) -> None:
    words = rf"results\.json.*: {advice} and run again$"
    with pytest.raises(TriptychError, match=words) as caught, atomic_file(tmp_path / "results.json"):
        raise OSError(number, "no")
    assert "\n" not in str(caught.value)
    with pytest.raises(OSError, match="other"), disk_errors(tmp_path):
        raise OSError(errno.EINTR, "other")


def test_an_error_about_another_file_keeps_its_name(tmp_path: Path) -> None:
    target = tmp_path / "target" / "file"
    with pytest.raises(IsADirectoryError) as caught:
        copy_file(tmp_path, target)
    assert caught.value.filename == str(tmp_path)
    assert not target.exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="macOS has no such device")
def test_the_full_device_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(TriptychError, match="no space left"), disk_errors(tmp_path):
        Path("/dev/full").write_bytes(b"x" * 100_000)


def test_json(tmp_path: Path) -> None:
    assert canonical_json({"b": 1, "a": [1.5, None]}) == '{"a":[1.5,null],"b":1}'
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "a.json", {"x": float("nan")})
    assert not list(tmp_path.iterdir())
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(TriptychError, match="damaged"):
        read_json(tmp_path / "a.json")
    assert flatten({"a": {"b": {"c": 1}}, "d": 2}) == {"a.b.c": 1, "d": 2}
