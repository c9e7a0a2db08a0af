"""`make bench`: the speed of Triptych, compared with plain training loops and with the limits of the machine."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from importlib import import_module
from pathlib import Path

from triptych.cli.main import SPIN_COUNT, SPIN_VARIABLE

if "OMP_WAIT_POLICY" not in os.environ:  # must be set before PyTorch is imported
    os.environ.setdefault(SPIN_VARIABLE, SPIN_COUNT)

from harness import PROGRESS, ROOT, Context

ROUNDS = {  # the parts, and their default number of rounds
    "families": 5,
    "targets": 3,
    "planar": 5,
    "importance": 5,
    "overhead": 2,
    "stage_starts": 2,
    "growth": 2,
    "memory": 1,
    "determinant": 5,
    "libraries": 5,
    "gpu": 3,
}
CORES = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
ON_REQUEST = ("libraries", "gpu")  # need the network or a GPU


def main() -> int:
    """Run the parts, print their tables, compare them with the stored ones, and store them."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument(
        "parts", nargs="*", metavar="PART", help=f"{', '.join(ROUNDS)} (default: all but {' and '.join(ON_REQUEST)})"
    )
    parser.add_argument("--rounds", type=int, help="number of rounds of each part")
    parser.add_argument("--threads", type=int, default=CORES, help="threads of every training (default: all cores)")
    parser.add_argument("--dry", action="store_true", help="store nothing")
    wanted = parser.parse_args()
    unknown = set(wanted.parts) - set(ROUNDS)
    if unknown:
        parser.error(f"unknown part: {', '.join(sorted(unknown))}; the parts are {', '.join(ROUNDS)}")
    import torch

    import report
    from families import with_runtime
    from machine import facts
    from triptych.settings.params import load

    settings = load(ROOT / "params.yaml")
    settings = with_runtime(settings, threads=wanted.threads)
    torch.set_num_threads(wanted.threads)
    machine = facts(wanted.threads)
    with tempfile.TemporaryDirectory(prefix="benchmark-") as place:
        for part in wanted.parts or [part for part in ROUNDS if part not in ON_REQUEST]:
            rounds = wanted.rounds or ROUNDS[part]
            tables = import_module(part).measure(Context(settings, rounds, Path(place)))
            print("\n\n".join(report.plain(table) for table in tables), end="\n\n", flush=True)
            for line in report.comparisons(tables, machine):
                print(line, end="\n\n", flush=True)
            if not wanted.dry:
                report.store(tables, machine, rounds)
    if not wanted.dry:
        report.fill_page()
    PROGRESS.say("done")
    return 0


if __name__ == "__main__":
    sys.exit(main())
