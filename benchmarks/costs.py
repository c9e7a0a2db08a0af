"""The cost of many trainings: `python benchmarks/costs.py` prints the tables of docs/scale.md.

The time of an experiment is its number of updates (profile full) times the measured time of one update, plus the starts
of its two stages. The longest experiment starts first; each experiment runs on the first GPU that is free.
"""

from __future__ import annotations

import heapq
import json
from collections.abc import Sequence
from pathlib import Path

from triptych.settings.experiment import Experiment
from triptych.settings.params import Settings, load

ROOT = Path(__file__).parents[1]
MEASURED_AS = {  # the experiment whose update was measured: itself, or one with a similar network
    "vae-20d": "vae-20d",
    "vae-20d-tuned": "vae-20d",
    "vae-2d": "vae-20d",
    "vae-100d": "vae-100d-tuned",
    "vae-100d-tuned": "vae-100d-tuned",
    "gan-mnist": "gan-mnist",
    "cifar10-jsd-1": "cifar10-jsd-1",
    "cifar10-jsd-2": "cifar10-jsd-2",
    "cifar10-jsd-3": "cifar10-jsd-3",
    "cifar10-w1-2": "cifar10-w1-2",
    "cifar10-w1-3": "cifar10-w1-3",
    "realnvp-mnist": "realnvp-mnist",
    "realnvp-mnist-tuned": "realnvp-mnist",
    "realnvp-mnist-multiscale": "realnvp-mnist-multiscale",
    "nice-mnist": "nice-mnist",
}
GPUS = (1, 8, 64)
PLANS = {"one seed": 1, "5 seeds": 5, "a sweep of 100 points": 100, "a sweep of 100 points, 5 seeds": 500}
HOUR = 3600.0


def updates(settings: Settings, experiment: Experiment) -> int:
    """Return the updates of the whole training in the profile full."""
    if experiment.epoch_updates:
        return experiment.epochs.full * experiment.epoch_updates.full
    train = settings.dataset(experiment.dataset).sizes("full").train
    return experiment.epochs.full * (train // experiment.at("full").batch_size)


def measured() -> tuple[dict[str, float], float]:
    """Return the seconds of an update on the GPU by experiment, and the seconds that the two stages take to start."""
    results = json.loads((ROOT / "benchmarks" / "results.json").read_text(encoding="utf-8"))
    [on_gpu], [starts] = results["gpu"].values(), results["starts"].values()
    seconds = {name: row["recorded"]["median"] / 1000 for name, row in on_gpu["rows"].items()}
    return seconds, sum(starts["rows"][stage]["start, cold"]["median"] for stage in ("train", "evaluate"))


def trainings() -> dict[str, tuple[int, float]]:
    """Return for each experiment its updates and its seconds on one GPU."""
    settings = load(ROOT / "params.yaml")
    seconds, starts = measured()
    counted = {name: updates(settings, settings.experiment(name)) for name in MEASURED_AS}
    return {name: (count, count * seconds[MEASURED_AS[name]] + starts) for name, count in counted.items()}


def makespan(jobs: Sequence[float], gpus: int) -> float:
    """Return the seconds until all jobs are done."""
    busy = [0.0] * gpus
    for job in sorted(jobs, reverse=True):
        heapq.heapreplace(busy, busy[0] + job)
    return max(busy)


def tables() -> str:
    """Return both tables in Markdown."""
    costs = trainings()
    lines = ["| experiment | updates | time of an update from | training, minutes on one GPU |", "| --- " * 4 + "|"]
    lines += [
        f"| `{name}` | {count:,} | `{MEASURED_AS[name]}` | {seconds / 60:.1f} |"
        for name, (count, seconds) in costs.items()
    ]
    seconds = [seconds for _, seconds in costs.values()]
    heads = [f"{len(costs)} experiments", "trainings", "GPU hours, training only", *map(_gpus, GPUS)]
    lines += ["", f"| {' | '.join(heads)} |"]
    lines.append("| --- |" + " --- |" * (2 + len(GPUS)))
    for plan, times in PLANS.items():
        hours = [makespan(seconds * times, gpus) / HOUR for gpus in GPUS]
        cells = [f"{times * len(costs):,}", f"{times * sum(seconds) / HOUR:,.1f}", *map(_duration, hours)]
        lines.append(f"| {plan} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _gpus(count: int) -> str:
    return f"on {count} GPU{'s' if count > 1 else ''}"


def _duration(hours: float) -> str:
    return f"{hours / 24:.1f} days" if hours >= 48 else f"{hours:.1f} h" if hours >= 1 else f"{hours * 60:.0f} min"


if __name__ == "__main__":
    print(tables())
