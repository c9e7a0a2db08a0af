"""A run of a sweep in DVC's queue is stopped; after it is queued again, it continues from its checkpoint."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

from small_project import EXCERPT, SmallProject, wait_for
from table import Row, say

from triptych.records.mlflow.store import Store
from triptych.repository.project import Project

TARGET, METRICS = "evaluate@vae-20d", "metrics/vae-20d.json"
RATE = "recipes.vae-20d.learning_rate"
RATES = ("0.002", "0.0005")
TIMEOUT = 1800  # seconds for a command or for the whole queue
FAULTS: dict[str, tuple[str, ...]] = {  # and the options of `dvc queue kill`
    "run of a sweep interrupted": (),
    "run of a sweep killed": ("--force",),
}


class Queue:
    """A project with results, and its DVC queue."""

    def __init__(self, project: SmallProject, epochs: int) -> None:
        self.project = project
        self.epochs = f"recipes.vae-20d.epochs.quick={epochs}"

    def run(self, *words: str) -> str:
        """Run a command and return its output. Raises RuntimeError if it fails."""
        status, output = self.project.run(*words, timeout=TIMEOUT)
        if status:
            raise RuntimeError(f"{' '.join(words)}: {output[-EXCERPT:]}")
        return output

    def add(self, name: str, rates: Sequence[str]) -> None:
        """Queue one experiment per learning rate; if there are several, DVC appends a number to the name."""
        rate = f"{RATE}={','.join(rates)}"
        self.run("dvc", "exp", "run", "--queue", "-n", name, "-S", self.epochs, "-S", rate, TARGET)

    def start(self) -> None:
        subprocess.run(
            ["dvc", "queue", "start", "--jobs", "2"],
            cwd=self.project.root,
            env=self.project.variables,
            check=True,
            stdout=subprocess.DEVNULL,  # its workers would keep a pipe open
            stderr=subprocess.DEVNULL,
        )

    @property
    def busy(self) -> bool:
        status = self.run("dvc", "queue", "status")
        return any(word in status for word in ("Queued", "Running", "1 active", "2 active"))

    def wait(self) -> None:
        if not wait_for(lambda: not self.busy, TIMEOUT):
            raise RuntimeError(f"the queue did not end within {TIMEOUT} s")

    def metrics(self, name: str) -> dict:
        """Return the metrics of the experiment from its commit."""
        return json.loads(self.run("git", "show", f"{self._commit(name)}:{METRICS}"))

    def _commit(self, name: str) -> str:
        refs = self.run("git", "for-each-ref", "--format=%(objectname) %(refname)", "refs/exps")
        return next(line.split()[0] for line in refs.splitlines() if line.endswith(f"/{name}"))

    def trial(self, fault: str, number: int) -> str | None:
        """Stop one of two runs and queue it again; return the problem, or None."""
        rates = [f"{float(rate) * (1 + number / 2):g}" for rate in RATES]
        self.add(f"sweep{number}", rates)
        self.start()
        checkpoints = self.project.root / ".triptych" / "checkpoints"
        if not wait_for(lambda: len(list(checkpoints.glob("vae-20d@*/index.json"))) == len(RATES), TIMEOUT):
            return "the two runs did not run at the same time"
        self.run("dvc", "queue", "kill", *FAULTS[fault], f"sweep{number}-1")
        self.wait()
        self.add(f"repeated{number}", rates[:1])
        self.start()
        self.wait()
        if "resuming after epoch" not in self.run("dvc", "queue", "logs", f"repeated{number}"):
            return "the repeated run did not continue from its checkpoint"
        undisturbed = self.project.copy(self.project.root.with_name(f"undisturbed-{number}"))
        Queue(undisturbed, 0).run("dvc", "exp", "run", "-f", "-S", self.epochs, "-S", f"{RATE}={rates[0]}", TARGET)
        if json.loads((undisturbed.root / METRICS).read_text()) != self.metrics(f"repeated{number}"):
            return "the repeated run has different metrics"
        return self._missing_in_mlflow({f"sweep{number}-2": rates[1], f"repeated{number}": rates[0]})

    def _missing_in_mlflow(self, expected: dict[str, str]) -> str | None:
        """Return the problem if MLflow does not hold each run, by name and learning rate, exactly once and complete."""
        client = Store(Project(self.project.root)).client
        runs = client.search_runs([client.get_experiment_by_name("vae").experiment_id])
        for name, rate in expected.items():
            found = [run for run in runs if run.data.params["learning_rate"] == rate]
            if [run.data.tags.get("dvc_exp") for run in found] != [name]:
                return f"MLflow holds {len(found)} runs of {name}"
            if found[0].info.status != "FINISHED" or "test.log_likelihood" not in found[0].data.metrics:
                return f"MLflow holds only a part of {name}"
        return None


def torture(folder: Path, epochs: int = 400) -> list[Row]:
    """Run one trial per fault in a new project."""
    project = SmallProject.make(folder)
    (project.root / ".dvc" / "config.local").unlink()
    queue = Queue(project, epochs)
    say("a sweep in the DVC queue")
    for words in (["init", "-q"], ["config", "user.name", "t"], ["config", "user.email", "t@t"]):
        queue.run("git", *words)
    queue.run("dvc", "repro", TARGET)
    queue.run("git", "add", "-A")
    queue.run("git", "commit", "-qm", "results")
    rows = []
    for number, fault in enumerate(FAULTS):
        row = Row(fault)
        say(fault)
        row.add(queue.trial(fault, number))
        rows.append(row)
    return rows
