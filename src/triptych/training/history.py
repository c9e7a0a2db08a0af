"""Histories: the numbers of a training run, one row per epoch or per chunk of iterations, and their CSV file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from triptych.core.errors import TriptychError
from triptych.core.files import MOST_TEXT, atomic_file, read_bytes

STEPS = ("epoch", "iteration")
"""The columns that count the steps. Every history has one of them."""

History = list[dict[str, float]]


def step_name(row: Mapping[str, float]) -> str:
    """Return the name of the column that counts the steps.

    >>> step_name({"iteration": 100, "kl": 0.3})
    'iteration'
    """
    return next(name for name in STEPS if name in row)


def write_history(path: Path, history: History) -> None:
    """Write the rows as CSV, the step column first. Missing values are empty cells. Floats keep all digits."""
    step = step_name(history[0])
    columns = [step, *dict.fromkeys(name for row in history for name in row if name != step)]
    lines = [",".join(columns)]
    lines += [",".join(json.dumps(row[name]) if name in row else "" for name in columns) for row in history]
    with atomic_file(path) as draft:
        draft.write_text("\n".join(lines) + "\n", encoding="utf-8")


def read_history(path: Path) -> History:
    """Return the rows of a history file, without its empty cells. Raises TriptychError if it is missing or damaged."""
    content = read_bytes(path, MOST_TEXT, "run the stage that makes it, for example with `triptych repro`")
    try:
        header, *lines = content.decode().splitlines()
        columns = header.split(",")
        if not lines or not {*columns} & {*STEPS}:
            raise ValueError("it has no rows that count epochs or iterations")
        return [_parse_row(columns, line) for line in lines]
    except ValueError as error:
        raise TriptychError(f"{path} is damaged ({error}): delete it and run its stage again") from None


def _parse_row(columns: list[str], line: str) -> dict[str, float]:
    cells = zip(columns, line.split(","), strict=True)
    return {name: int(cell) if name in STEPS else float(cell) for name, cell in cells if cell or name in STEPS}
