"""Stages stopped at random moments: the next `dvc repro` goes on, and ends with the bytes of an undisturbed run."""

from __future__ import annotations

import os
import random
import resource
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from threading import Lock, Thread

import psutil
from table import Row, say
from world import LAST_WORDS, World, stage_process

STAGES = (
    "train@vae-20d",
    "train@gan-mnist",
    "train@cifar10-jsd-2",
    "train@realnvp-mnist",
    "study@planar-samples",
    "study@dirac",
    "classifier@mnist",
    "classifier@cifar10",
    "reference@mnist",
    "evaluate@vae-20d",
    "evaluate@cifar10-jsd-2",
    "evaluate@realnvp-mnist",
    "prepare@mnist",
    "report",
)


def _kill_stage(dvc: subprocess.Popen[str], number: int = signal.SIGKILL) -> None:
    stage = stage_process(dvc)
    if stage:
        stage.send_signal(number)
    dvc.wait()


def _kill_dvc(dvc: subprocess.Popen[str]) -> None:
    dvc.kill()
    dvc.wait()


def _kill_group(dvc: subprocess.Popen[str]) -> None:
    os.killpg(dvc.pid, signal.SIGKILL)
    dvc.wait()


def _interrupt(dvc: subprocess.Popen[str]) -> None:
    os.killpg(dvc.pid, signal.SIGINT)
    dvc.wait()


def _interrupt_twice(dvc: subprocess.Popen[str]) -> None:
    os.killpg(dvc.pid, signal.SIGINT)
    time.sleep(0.05)
    with suppress(ProcessLookupError):
        os.killpg(dvc.pid, signal.SIGINT)
    dvc.wait()


WAYS: dict[str, Callable[[subprocess.Popen[str]], None]] = {
    "kill -9 of the stage": _kill_stage,
    "kill -9 of DVC, its stage lives on": _kill_dvc,
    "kill -9 of the whole group": _kill_group,
    "Ctrl-C": _interrupt,
    "Ctrl-C, twice": _interrupt_twice,
    "SIGTERM to the stage": lambda dvc: _kill_stage(dvc, signal.SIGTERM),
}
FULL_DISK = "a full disk under the stage"


def durations(world: World, stages: tuple[str, ...]) -> dict[str, float]:
    """Seconds that each stage takes undisturbed, in a process of its own."""
    found = {}
    for stage in stages:
        world.forget(stage)
        began = time.monotonic()
        world.run("dvc", "repro", "-s", stage)
        found[stage] = time.monotonic() - began
    return found


class Killer:
    """Takes trials from a common list, each in a world of its own."""

    def __init__(self, world: World, seconds: dict[str, float], rng: random.Random) -> None:
        self.world, self.seconds, self.rng = world, seconds, rng
        self.expected = {stage: world.contents(stage) for stage in STAGES}
        self.locked = world.lock()["stages"]

    def trial(self, stage: str, way: str) -> str | None:
        """Stop the stage in this way at a random moment, and run it again; what went wrong, if anything did."""
        self.world.forget(stage)
        if way == FULL_DISK:
            self._fill_disk(stage)
        else:
            dvc = self.world.start("dvc", "repro", "-s", stage)
            time.sleep(self.rng.uniform(0.3, 1.0) * self.seconds[stage])
            WAYS[way](dvc)
            dvc.stdout.close()
        status, output = self.world.run("dvc", "repro", "-s", stage)
        if status:
            return f"{stage}: the next dvc repro failed: {output[-LAST_WORDS:]}"
        if "Traceback" in output:
            return f"{stage}: a stack trace: {output[-LAST_WORDS:]}"
        return self._compare(stage)

    def _fill_disk(self, stage: str) -> None:
        largest = max(len(content) for content in self.expected[stage].values())
        limit = self.rng.randrange(1, largest)
        process = psutil.Popen(
            ["dvc", "repro", "-s", stage],
            cwd=self.world.root,
            env=self.world.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        while process.is_running() and not stage_process(process):
            time.sleep(0.02)
        stage_found = stage_process(process)
        if stage_found:
            with suppress(psutil.NoSuchProcess, ProcessLookupError):
                resource.prlimit(stage_found.pid, resource.RLIMIT_FSIZE, (limit, limit))
        process.wait()

    def _compare(self, stage: str) -> str | None:
        found = self.world.contents(stage)
        differing = sorted(
            name
            for name in found.keys() | self.expected[stage].keys()
            if found.get(name) != self.expected[stage].get(name)
        )
        if differing:
            return f"{stage}: other bytes in {', '.join(differing)}"
        if self.world.lock()["stages"][stage] != self.locked[stage]:
            return f"{stage}: another entry in dvc.lock"
        if self.world.litter():
            return f"{stage}: left behind {', '.join(self.world.litter())}"
        return None


def torture(worlds: list[World], seconds: dict[str, float], kills: int, seed: int) -> list[Row]:
    """So many trials, dealt evenly over stages and ways, in all worlds at once."""
    rows = {way: Row(way) for way in (*WAYS, FULL_DISK)}
    ways = list(rows)
    trials = [
        (STAGES[number % len(STAGES)], ways[(number + number // len(STAGES)) % len(ways)]) for number in range(kills)
    ]
    random.Random(seed).shuffle(trials)
    guard = Lock()

    def work(number: int) -> None:
        killer = Killer(worlds[number], seconds, random.Random(seed + number))
        while True:
            with guard:
                if not trials:
                    return
                stage, way = trials.pop()
                say(f"{way}: {stage} ({len(trials)} to go)")
            problem = killer.trial(stage, way)
            with guard:
                rows[way].add(problem)

    threads = [Thread(target=work, args=[number]) for number in range(len(worlds))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return list(rows.values())
