"""Any process of a running `triptych repro` is killed: the next run succeeds and ends with the same `dvc.lock`."""

from __future__ import annotations

import random
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import psutil
from small_project import EXCERPT, SmallProject
from table import Row, say

FORGOTTEN = 4  # stages that a trial has to run again
SIGNALS = (signal.SIGKILL, signal.SIGTERM)
OUTERMOST, BELOW = "triptych repro itself killed", "any process below triptych repro killed"


class ReproTrials:
    """Trials in one project with the results of an undisturbed `triptych repro`: its `dvc.lock` has DVC's order."""

    def __init__(self, project: SmallProject, rng: random.Random) -> None:
        self.project, self.rng = project, rng
        self.lock = project.root / "dvc.lock"
        self.expected = self.lock.read_bytes()
        self.stages = sorted(project.lock()["stages"])
        began = time.monotonic()
        self._forget_some_stages()
        project.run("triptych", "repro")
        self.seconds = time.monotonic() - began

    def trial(self, fault: str) -> str | None:
        """Kill a process at a random moment and run again; return the problem, or None."""
        self._forget_some_stages()
        repro = self.project.start("triptych", "repro")
        time.sleep(self.rng.uniform(0.02, 0.9) * self.seconds)
        killed = self._kill(psutil.Process(repro.pid), fault)
        repro.wait()
        repro.stdout.close()
        status, output = self.project.run("triptych", "repro")
        problem = None
        if status:
            problem = f"the next run failed with status {status}: {output[-EXCERPT:]}"
        elif "Traceback" in output:
            problem = f"the next run printed a stack trace: {output[-EXCERPT:]}"
        elif self.lock.read_bytes() != self.expected:
            problem = "a different dvc.lock"
        elif self.project.leftovers():
            problem = f"leftovers: {', '.join(self.project.leftovers())}"
        say(f"{killed}: {problem or 'passed'}")
        return problem and f"{killed}: {problem}"

    def _forget_some_stages(self) -> None:
        for stage in self.rng.sample(self.stages, FORGOTTEN):
            self.project.forget(stage)

    def _kill(self, outermost: psutil.Process, fault: str) -> str:
        """Kill the outermost process or a random one below it; return which one."""
        below = outermost.children(recursive=True)
        victim = self.rng.choice(below) if below and fault == BELOW else outermost
        number = self.rng.choice(SIGNALS)
        with suppress(psutil.NoSuchProcess):
            depth = len(victim.parents()) - len(outermost.parents())
            command = " ".join(victim.cmdline()[-3:])
            victim.send_signal(number)
            return f"{number.name} to {command} at depth {depth}"
        return "no process, it had just ended"


def torture(projects: list[SmallProject], count: int, seed: int) -> list[Row]:
    """Run `count` trials, half of them on the outermost process, with one thread per project."""
    rows = {fault: Row(fault) for fault in (OUTERMOST, BELOW)}

    def work(number: int) -> None:
        trials = ReproTrials(projects[number], random.Random(seed + number))
        for trial in range(number, count, len(projects)):
            fault = (OUTERMOST, BELOW)[trial // len(projects) % 2]
            rows[fault].add(trials.trial(fault))

    with ThreadPoolExecutor(len(projects)) as pool:
        list(pool.map(work, range(len(projects))))
    return list(rows.values())
