"""A simulated power cut: the disk loses a random part of all changes that were not synced."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

EXIT = 75  # exit status of a child process whose power was cut


@dataclass
class Disk:
    """Count the disk operations of a process under `root`, and cut the power after the last permitted one."""

    root: Path
    operations: int
    rng: random.Random
    backup: Path = field(init=False)
    pending: list[tuple[str, str, str | None]] = field(default_factory=list)
    """Changes of names that are not synced: (operation, path, backup of the earlier file or target of the move)."""
    synced: dict[int, int] = field(default_factory=dict)
    """The modification time of each file, by inode, when it was last synced."""

    def __post_init__(self) -> None:
        self.backup = self.root.with_name(f"{self.root.name}.before")
        shutil.rmtree(self.backup, ignore_errors=True)
        self.backup.mkdir()
        self.synced = {path.stat().st_ino: path.stat().st_mtime_ns for path in self._files()}
        self.real = {name: getattr(os, name) for name in ("fsync", "replace", "unlink", "mkdir", "rmdir", "rename")}
        for name in ("fsync", "replace", "unlink"):
            setattr(os, name, getattr(self, name))
        for name in ("mkdir", "rmdir"):
            setattr(os, name, self._counted(self.real[name]))

    def _files(self) -> list[Path]:
        return [path for path in self.root.rglob("*") if path.is_file()]

    def _counted(self, action: Callable) -> Callable:
        def counted(*words: object, **more: object) -> object:
            self._tick()
            return action(*words, **more)

        return counted

    def _tick(self) -> None:
        self.operations -= 1
        if self.operations < 0:
            self._cut()

    def _keep(self, path: str) -> str | None:
        """Keep the file that is now at the path under a second name."""
        if not Path(path).is_file():
            return None
        place = self.backup / str(len(list(self.backup.iterdir())))
        os.link(path, place)
        return str(place)

    def fsync(self, descriptor: int) -> None:
        self._tick()
        status = os.fstat(descriptor)
        self.synced[status.st_ino] = status.st_mtime_ns
        place = str(Path(f"/proc/self/fd/{descriptor}").readlink())
        self.pending = [entry for entry in self.pending if str(Path(entry[1]).parent) != place]

    def replace(self, source: os.PathLike, target: os.PathLike) -> None:
        self._tick()
        before = self._keep(str(target))
        self.real["replace"](source, target)
        self.pending += [("appeared", str(target), before), ("vanished", str(source), str(target))]

    def unlink(self, path: os.PathLike, *, dir_fd: int | None = None) -> None:
        self._tick()
        whole = Path(f"/proc/self/fd/{dir_fd}").readlink() / path if dir_fd is not None else Path(path)
        before = self._keep(str(whole)) if whole.is_relative_to(self.root) else None
        self.real["unlink"](path, dir_fd=dir_fd)
        if before:
            self.pending.append(("deleted", str(whole), before))

    def _cut(self) -> None:
        for path in self._files():
            status = path.stat()
            if self.synced.get(status.st_ino) != status.st_mtime_ns:
                with path.open("r+b") as file:
                    file.truncate(self.rng.randrange(status.st_size + 1))
        for operation, path, other in reversed(self.pending):
            if operation == "vanished" or self.rng.random() < 0.5:
                continue  # this change has reached the disk
            if operation == "appeared" and Path(path).is_file():
                self.real["unlink"](path)
            if other and not Path(path).exists() and Path(path).parent.is_dir():
                os.link(other, path)
        os._exit(EXIT)


def cut_power(root: Path, operations: int, action: Callable[[], None]) -> bool:
    """Run the action in a child process, and cut its power after some operations; return whether it was cut."""
    child = os.fork()
    if child == 0:
        try:
            Disk(root, operations, random.Random(operations))
            action()
        except BaseException:
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    assert code in (0, EXIT), f"the run failed without a power cut, exit status {code}"
    return code == EXIT
