"""Folders beside the data in DVC's remote: what DVC itself does not hold, such as checkpoints and the journal.

A folder of the name `a/b` is `<remote>/triptych/a/b/`: its files, each under the hash of its bytes, and `index.json`,
written last, which says what they are called. So whatever is half-written is never taken for something. It needs no
more of the remote than DVC does: a folder, a machine under ssh and a bucket serve alike.
"""

from __future__ import annotations

import json
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from triptych.core.errors import TriptychError
from triptych.core.files import atomic_folder
from triptych.core.hashing import sha256_of_file
from triptych.core.json_files import write_json

if TYPE_CHECKING:
    from dvc.repo import Repo
    from dvc_objects.fs.base import FileSystem

PLACE, INDEX = "triptych", "index.json"
ADVICE = (
    "the jobs meet in DVC's default remote, and there is none: `dvc remote add --default shared FOLDER`, and commit "
    ".dvc/config"
)


@contextmanager
def remote_errors() -> Iterator[None]:
    """Turn DVC's trouble with the remote into one sentence."""
    from dvc.config import NoRemoteError
    from dvc.exceptions import DvcException

    try:
        yield
    except NoRemoteError:
        raise TriptychError(ADVICE) from None
    except (DvcException, OSError) as error:
        raise TriptychError(f"DVC's remote cannot be used ({' '.join(str(error).split())})") from error


@dataclass(frozen=True)
class Shelf:
    """Named folders in a remote."""

    fs: FileSystem
    root: str

    @classmethod
    def of(cls, repo: Repo) -> Shelf:
        """That of the repository's default remote. Raises TriptychError if there is none."""
        with remote_errors():
            remote = repo.cloud.get_remote(command="submit")
            return cls(remote.fs, remote.fs.join(remote.path, PLACE))

    def put(self, folder: Path, name: str) -> None:
        """Make the shelf's folder of that name the same as this one, in which nothing changes meanwhile."""
        before = self.index(name)
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        index = {path.relative_to(folder).as_posix(): sha256_of_file(path) for path in files}
        self.fs.makedirs(self._place(name), exist_ok=True)
        for path in files:
            self._put_object(path, self._place(name, index[path.relative_to(folder).as_posix()]))
        self._put_index(name, index)
        for digest in set(before.values()) - set(index.values()):
            self._remove(self._place(name, digest))

    def get(self, name: str, folder: Path) -> bool:
        """Make `folder` the same as the shelf's of that name; False, and nothing, if there is none that is whole."""
        while index := self.index(name):
            with suppress(FileNotFoundError, ValueError), atomic_folder(folder) as draft:
                for path, digest in index.items():
                    self._get_object(self._place(name, digest), _within(draft, path), digest)
                return True
            if self.index(name) == index:  # else another has just been put
                return False
        return False

    def index(self, name: str) -> dict[str, str]:
        """The hashes of a folder's files, by their paths; empty where there is no such folder."""
        try:
            return json.loads(self.fs.cat_file(self._place(name, INDEX)))
        except (FileNotFoundError, ValueError):
            return {}

    def names(self, prefix: str) -> list[str]:
        """The folders below `prefix`."""
        place = self._place(prefix)
        if not self.fs.exists(place):
            return []
        found = (self.fs.relparts(path, place) for path in self.fs.find(place))
        return sorted("/".join((prefix, *parts[:-1])) for parts in found if parts[-1] == INDEX)

    def drop(self, name: str) -> None:
        """Remove a folder, its index first."""
        self._remove(self._place(name, INDEX))
        with suppress(FileNotFoundError):
            self.fs.rm(self._place(name), recursive=True)

    def _place(self, *parts: str) -> str:
        return self.fs.join(self.root, *(piece for part in parts for piece in part.split("/")))

    def _put_object(self, path: Path, place: str) -> None:
        """Unless it is there; one that a dead process has left half-written shows by its size."""
        with suppress(FileNotFoundError):
            if self.fs.info(place)["size"] == path.stat().st_size:
                return
        self.fs.put_file(str(path), place)

    def _put_index(self, name: str, index: Mapping[str, str]) -> None:
        place = self._place(name, INDEX)
        draft = f"{place}.{uuid.uuid4().hex}"
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / INDEX
            write_json(path, index)
            self.fs.put_file(str(path), draft)
        self.fs.mv(draft, place)

    def _get_object(self, place: str, path: Path, digest: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.fs.get_file(place, str(path))
        if sha256_of_file(path) != digest:
            raise ValueError(f"{place} is damaged")

    def _remove(self, place: str) -> None:
        with suppress(FileNotFoundError):
            self.fs.rm_file(place)


def _within(folder: Path, name: str) -> Path:
    """A place in the folder. Raises TriptychError where the name leads out of it."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise TriptychError(f"the remote has a file called {name}, which leads out of its folder: remove it")
    return folder / path
