"""`make torture`: kills, power cuts, MLflow faults, and invalid settings and files; it prints one table of failures."""

from __future__ import annotations

import argparse
import random
import resource
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import kills
import mlflow_faults
import power_cuts
import repro_kills
import stopped_sweeps
from small_project import SmallProject
from table import Row, say, table

PROJECTS = 2  # trials at the same time
MEMORY = 14_000_000_000  # bytes: the limit of the address space while mutated settings run


def main() -> int:
    """Run all parts, or the part `--only`; return 1 if a trial failed."""
    parser = argparse.ArgumentParser(prog="make torture")
    parser.add_argument("--kills", type=int, default=50, help="of stages that DVC runs")
    parser.add_argument("--repro-kills", type=int, default=30, help="of any process of `triptych repro`")
    parser.add_argument("--examples", type=int, default=250, help="mutated settings; ten times as many damaged files")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--only", choices=["kills", "repro", "power", "mlflow", "sweep", "fuzz"])
    wanted = parser.parse_args()
    say(f"seed {wanted.seed}")
    began, rows = time.monotonic(), []
    with tempfile.TemporaryDirectory(prefix="torture-") as place:
        folder = Path(place)
        if wanted.only in (None, "kills", "repro", "mlflow"):
            project = SmallProject.make(folder / "first")
            say("a run of the whole pipeline without faults")
            status, output = project.run("triptych", "repro", timeout=1800)
            if status:
                say(output)
                return 1
        if wanted.only in (None, "kills", "repro"):
            projects = [project, *(project.copy(folder / f"project-{number}") for number in range(1, PROJECTS))]
        if wanted.only in (None, "repro"):
            rows += repro_kills.torture(projects, wanted.repro_kills, wanted.seed)
        if wanted.only in (None, "kills"):
            rows += _kills(projects, wanted.kills, wanted.seed)
        if wanted.only in (None, "mlflow"):
            rows += mlflow_faults.torture(project, folder)
        if wanted.only in (None, "power"):
            rows += power_cuts.torture(folder / "power")
        if wanted.only in (None, "sweep"):
            rows += stopped_sweeps.torture(folder / "sweep")
        if wanted.only in (None, "fuzz"):
            rows += _fuzz(wanted.examples, wanted.seed)
    print(table(rows))
    say(f"{time.monotonic() - began:.0f} s")
    return 1 if any(row.failed for row in rows) else 0


def _kills(projects: list[SmallProject], count: int, seed: int) -> list[Row]:
    with ThreadPoolExecutor(PROJECTS) as pool:
        parts = pool.map(kills.durations, projects, (kills.STAGES[number::PROJECTS] for number in range(PROJECTS)))
    seconds = {stage: value for part in parts for stage, value in part.items()}
    say("without faults: " + ", ".join(f"{stage} {value:.1f} s" for stage, value in seconds.items()))
    return kills.torture(projects, seconds, count, seed)


def _fuzz(examples: int, seed: int) -> list[Row]:
    import fuzz

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    return [
        Row(fault, outcome.tried, outcome.failed)
        for fault, outcome in (
            ("mutated settings", fuzz.fuzz_settings(examples, seed)),
            ("damaged files", fuzz.fuzz_files(10 * examples, seed)),
        )
    ]


if __name__ == "__main__":
    sys.exit(main())
