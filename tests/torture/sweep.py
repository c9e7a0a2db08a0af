"""A sweep in DVC's queue, two workers at once, one of its runs stopped: put into the queue again, it goes on."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

from table import Row, say
from world import LAST_WORDS, World, wait_for

from triptych.core.project import Project
from triptych.records.mlflow.store import Store

TARGET, METRICS = "evaluate@vae-20d", "metrics/vae-20d.json"
RATES = ("0.002", "0.0005")
PATIENCE = 1800  # seconds for a queue
WAYS: dict[str, tuple[str, ...]] = {
    "a run of a sweep, told to stop": (),
    "a run of a sweep, killed": ("--force",),
}


class Queue:
    """A project with results, and its queue."""

    def __init__(self, world: World, epochs: int) -> None:
        self.world = world
        self.epochs = f"experiments.vae-20d.epochs.quick={epochs}"

    def succeed(self, *words: str) -> str:
        status, output = self.world.run(*words)
        if status:
            raise RuntimeError(f"{' '.join(words)}: {output[-LAST_WORDS:]}")
        return output

    def add(self, name: str, rates: Sequence[str]) -> None:
        """Put a grid into the queue; of several rates each gets the name with a number."""
        rate = f"recipes.vae-20d.learning_rate={','.join(rates)}"
        self.succeed("dvc", "exp", "run", "--queue", "-n", name, "-S", self.epochs, "-S", rate, TARGET)

    def start(self) -> None:
        subprocess.run(
            ["dvc", "queue", "start", "--jobs", "2"],
            cwd=self.world.root,
            env=self.world.environment,
            check=True,
            stdout=subprocess.DEVNULL,  # its workers would hold a pipe open
            stderr=subprocess.DEVNULL,
        )

    @property
    def busy(self) -> bool:
        said = self.succeed("dvc", "queue", "status")
        return any(word in said for word in ("Queued", "Running", "1 active", "2 active"))

    def wait(self) -> None:
        if not wait_for(lambda: not self.busy, PATIENCE):
            raise RuntimeError(f"the queue did not end within {PATIENCE} s")

    def metrics(self, name: str) -> dict:
        """What the experiment measured, as DVC keeps it."""
        return json.loads(self.succeed("git", "show", f"{self._commit(name)}:{METRICS}"))

    def _commit(self, name: str) -> str:
        refs = self.succeed("git", "for-each-ref", "--format=%(objectname) %(refname)", "refs/exps")
        return next(line.split()[0] for line in refs.splitlines() if line.endswith(f"/{name}"))

    def trial(self, way: str, number: int) -> str | None:
        """Stop one of two runs on its way, and put it into the queue again; what went wrong, if anything did."""
        rates = [f"{float(rate) * (1 + number / 2):g}" for rate in RATES]
        self.add(f"sweep{number}", rates)
        self.start()
        checkpoints = self.world.root / ".triptych" / "checkpoints"
        if not wait_for(lambda: len(list(checkpoints.glob("vae-20d@*/index.json"))) == len(RATES), PATIENCE):
            return "the two did not run side by side"
        self.succeed("dvc", "queue", "kill", *WAYS[way], f"sweep{number}-1")
        self.wait()
        self.add(f"again{number}", rates[:1])
        self.start()
        self.wait()
        if "going on after epoch" not in self.succeed("dvc", "queue", "logs", f"again{number}"):
            return "it began anew"
        undisturbed = self.world.copy(self.world.root.with_name(f"undisturbed-{number}"))
        change = f"recipes.vae-20d.learning_rate={rates[0]}"
        Queue(undisturbed, 0).succeed("dvc", "exp", "run", "-f", "-S", self.epochs, "-S", change, TARGET)
        if json.loads((undisturbed.root / METRICS).read_text()) != self.metrics(f"again{number}"):
            return "it ended with other numbers"
        return self._unrecorded({f"sweep{number}-2": rates[1], f"again{number}": rates[0]})

    def _unrecorded(self, expected: dict[str, str]) -> str | None:
        """Whether MLflow shows each run of these rates once, and whole."""
        client = Store(Project(self.world.root)).client
        runs = client.search_runs([client.get_experiment_by_name("vae").experiment_id])
        for name, rate in expected.items():
            found = [run for run in runs if run.data.params["learning_rate"] == rate]
            if [run.data.tags.get("dvc_exp") for run in found] != [name]:
                return f"MLflow shows {len(found)} runs of {name}"
            if found[0].info.status != "FINISHED" or "test.log_likelihood" not in found[0].data.metrics:
                return f"MLflow shows half of {name}"
        return None


def torture(folder: Path, epochs: int = 400) -> list[Row]:
    """Each way once, in a project of its own."""
    world = World.make(folder)
    (world.root / ".dvc" / "config.local").unlink()
    queue = Queue(world, epochs)
    say("the queue of a sweep")
    for words in (["init", "-q"], ["config", "user.name", "t"], ["config", "user.email", "t@t"]):
        queue.succeed("git", *words)
    queue.succeed("dvc", "repro", TARGET)
    queue.succeed("git", "add", "-A")
    queue.succeed("git", "commit", "-qm", "results")
    rows = []
    for number, way in enumerate(WAYS):
        row = Row(way)
        say(way)
        row.add(queue.trial(way, number))
        rows.append(row)
    return rows
