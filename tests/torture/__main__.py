"""`make torture`: kills, power cuts, MLflow's faults and nonsense of all kinds; one table of what was lost."""

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
import power
import records
import sweep
from table import Row, say, table
from world import World

WORLDS = 2  # as many as there are cores
MEMORY = 14_000_000_000  # bytes of address space, beyond which a mutated setting is told that there is none


def main() -> int:
    """Run everything; 1 if anything was lost."""
    parser = argparse.ArgumentParser(prog="make torture")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument(
        "--examples", type=int, default=250, help="of nonsense in the settings; of files ten times more"
    )
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--only", choices=["kills", "power", "records", "sweep", "nonsense"])
    wanted = parser.parse_args()
    say(f"seed {wanted.seed}")
    began, rows = time.monotonic(), []
    with tempfile.TemporaryDirectory(prefix="torture-") as place:
        folder = Path(place)
        if wanted.only in (None, "kills", "records"):
            world = World.make(folder / "first")
            say("an undisturbed run of everything")
            status, output = world.run("triptych", "repro", patience=1800)
            if status:
                say(output)
                return 1
        if wanted.only in (None, "kills"):
            rows += _kills(world, folder, wanted.kills, wanted.seed)
        if wanted.only in (None, "records"):
            rows += records.torture(world, folder)
        if wanted.only in (None, "power"):
            rows += power.torture(folder / "power")
        if wanted.only in (None, "sweep"):
            rows += sweep.torture(folder / "sweep")
        if wanted.only in (None, "nonsense"):
            rows += _nonsense(wanted.examples, wanted.seed)
    print(table(rows))
    say(f"{time.monotonic() - began:.0f} s")
    return 1 if any(row.lost for row in rows) else 0


def _kills(world: World, folder: Path, count: int, seed: int) -> list[Row]:
    worlds = [world, *(world.copy(folder / f"world-{number}") for number in range(1, WORLDS))]
    with ThreadPoolExecutor(WORLDS) as pool:
        parts = pool.map(kills.durations, worlds, (kills.STAGES[number::WORLDS] for number in range(WORLDS)))
    seconds = {stage: value for part in parts for stage, value in part.items()}
    say("undisturbed: " + ", ".join(f"{stage} {value:.1f} s" for stage, value in seconds.items()))
    return kills.torture(worlds, seconds, count, seed)


def _nonsense(examples: int, seed: int) -> list[Row]:
    import fuzz

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    return [
        Row(fault, outcome.tried, outcome.lost)
        for fault, outcome in (
            ("nonsense in params.yaml", fuzz.fuzz_settings(examples, seed)),
            ("nonsense in files", fuzz.fuzz_data(10 * examples, seed)),
        )
    ]


if __name__ == "__main__":
    sys.exit(main())
