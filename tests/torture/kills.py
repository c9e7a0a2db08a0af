"""Stages are stopped at random moments: the next `dvc repro` continues and writes the bytes of an undisturbed run."""

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
from small_project import EXCERPT, SmallProject, stage_process
from table import Row, say

STAGES = (
    "train@vae-20d",
    "train@gan-mnist",
    "train@cifar10-jsd-2",
    "train@realnvp-mnist",
    "study@planar-samples",
    "study@dirac",
    "classifier@mnist",
    "classifier@cifar10",
    "classifier_reference@mnist",
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


FAULTS: dict[str, Callable[[subprocess.Popen[str]], None]] = {
    "kill -9 of the stage": _kill_stage,
    "kill -9 of DVC": _kill_dvc,
    "kill -9 of the process group": _kill_group,
    "Ctrl-C": _interrupt,
    "Ctrl-C, twice": _interrupt_twice,
    "SIGTERM to the stage": lambda dvc: _kill_stage(dvc, signal.SIGTERM),
}
FULL_DISK = "full disk during the stage"


def durations(project: SmallProject, stages: tuple[str, ...]) -> dict[str, float]:
    """Return the seconds that each stage takes without faults."""
    found = {}
    for stage in stages:
        project.forget(stage)
        began = time.monotonic()
        project.run("dvc", "repro", "-s", stage)
        found[stage] = time.monotonic() - began
    return found


class KillTrials:
    """Trials in one project, which has the results of an undisturbed run."""

    def __init__(self, project: SmallProject, seconds: dict[str, float], rng: random.Random) -> None:
        self.project, self.seconds, self.rng = project, seconds, rng
        self.expected = {stage: project.contents(stage) for stage in STAGES}
        self.locked = project.lock()["stages"]

    def trial(self, stage: str, fault: str) -> str | None:
        """Stop the stage at a random moment and run it again; return the problem, or None."""
        self.project.forget(stage)
        if fault == FULL_DISK:
            self._fill_disk(stage)
        else:
            dvc = self.project.start("dvc", "repro", "-s", stage)
            time.sleep(self.rng.uniform(0.3, 1.0) * self.seconds[stage])
            FAULTS[fault](dvc)
            dvc.stdout.close()
        status, output = self.project.run("dvc", "repro", "-s", stage)
        if status:
            return f"{stage}: the next dvc repro failed: {output[-EXCERPT:]}"
        if "Traceback" in output:
            return f"{stage}: it printed a stack trace: {output[-EXCERPT:]}"
        return self._compare(stage)

    def _fill_disk(self, stage: str) -> None:
        largest = max(len(content) for content in self.expected[stage].values())
        limit = self.rng.randrange(1, largest)
        process = psutil.Popen(
            ["dvc", "repro", "-s", stage],
            cwd=self.project.root,
            env=self.project.variables,
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
        found = self.project.contents(stage)
        differing = sorted(
            name
            for name in found.keys() | self.expected[stage].keys()
            if found.get(name) != self.expected[stage].get(name)
        )
        if differing:
            return f"{stage}: different bytes in {', '.join(differing)}"
        if self.project.lock()["stages"][stage] != self.locked[stage]:
            return f"{stage}: a different entry in dvc.lock"
        if self.project.leftovers():
            return f"{stage}: leftovers: {', '.join(self.project.leftovers())}"
        return None


def torture(projects: list[SmallProject], seconds: dict[str, float], kills: int, seed: int) -> list[Row]:
    """Run `kills` trials, spread evenly over stages and faults, with one thread per project."""
    rows = {fault: Row(fault) for fault in (*FAULTS, FULL_DISK)}
    faults = list(rows)
    trials = [
        (STAGES[number % len(STAGES)], faults[(number + number // len(STAGES)) % len(faults)])
        for number in range(kills)
    ]
    random.Random(seed).shuffle(trials)
    lock = Lock()

    def work(number: int) -> None:
        own = KillTrials(projects[number], seconds, random.Random(seed + number))
        while True:
            with lock:
                if not trials:
                    return
                stage, fault = trials.pop()
                say(f"{fault}: {stage} ({len(trials)} left)")
            problem = own.trial(stage, fault)
            with lock:
                rows[fault].add(problem)

    threads = [Thread(target=work, args=[number]) for number in range(len(projects))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return list(rows.values())
