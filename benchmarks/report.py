"""Output of the tables: the terminal, `results.json`, and `docs/speed.md`."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from harness import ROOT, Cell, Table

RESULTS, PAGE = Path(__file__).parent / "results.json", ROOT / "docs" / "speed.md"
DIGITS = 4  # significant digits in results.json
# The tables that are kept for each processor.
KEPT = ("families", "limits", "mixed", "targets", "planar", "importance", "libraries")


def store(tables: list[Table], machine: dict[str, Any], rounds: int) -> None:
    """Store the tables with facts about the machine. The tables of other parts stay as they are.

    Those in `KEPT` are stored beside the tables of other processors; any other table replaces the stored one.
    """
    stored = _read()
    for table in tables:
        others = stored.get(table.name, {}) if table.name in KEPT else {}
        stored[table.name] = others | {_name(machine): {"machine": machine, "rounds": rounds, "rows": _rows(table)}}
    RESULTS.write_text(json.dumps(stored, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def comparisons(tables: list[Table], machine: dict[str, Any]) -> list[str]:
    """Return for each table the cells that differ from the stored table of the same machine."""
    stored, name = _read(), _name(machine)
    return [_compared(table, stored[table.name][name]) for table in tables if name in stored.get(table.name, {})]


def _name(machine: dict[str, Any]) -> str:
    """Return the name under which tables of this machine are stored: its GPU, or its processor and instructions.

    The model of a processor is left out, since only newer tables have it.
    """
    processor = machine["processor"].partition(", model ")[0]
    instructions = machine["instruction_set"].partition(",")[0]
    return machine.get("gpu") or f"{processor}, {instructions}"


def _read() -> dict[str, Any]:
    return json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}


def _rows(table: Table) -> dict[str, dict[str, Any]]:
    return {row: {column: _stored(cell) for column, cell in cells.items()} for row, cells in table.cells.items()}


def _stored(cell: Cell) -> dict[str, Any]:
    if not cell.values:
        return {"text": cell.text}
    lower, upper = (float(f"{value:.{DIGITS}g}") for value in cell.quartiles)
    median = float(f"{cell.median:.{DIGITS}g}")
    return {"median": median, "quartiles": [lower, upper], "rounds": len(cell.values), "unit": cell.unit}


def _compared(table: Table, before: dict[str, Any]) -> str:
    """Return the number of cells whose quartile ranges overlap in both runs, and list the other cells."""
    differing, cells_compared = [], 0
    for row, cells in _rows(table).items():
        for column, now in cells.items():
            then = before["rows"].get(row, {}).get(column)
            if "median" not in now or not then or "median" not in then:
                continue
            cells_compared += 1
            (low, high), (low_then, high_then) = now["quartiles"], then["quartiles"]
            if low > high_then or high < low_then:
                differing.append(f"  {row}, {column}: {_shown(now)}, was {_shown(then)}")
    agreeing = cells_compared - len(differing)
    summary = f"{table.name}: {agreeing} of {cells_compared} cells agree with the stored run within their quartiles"
    return "\n".join([summary, *differing])


def _shown(cell: dict[str, Any]) -> str:
    """Return the median and, for more than one round, the quartiles."""
    if "median" not in cell:
        return cell["text"]
    middle, (lower, upper) = _number(cell["median"]), (_number(value) for value in cell["quartiles"])
    return middle if cell["rounds"] == 1 else f"{middle} ({lower} to {upper})"


def _number(value: float) -> str:
    """Return a number with three significant digits, or with all digits before the point."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) >= 10 or value == 0 else f"{value:.3g}"


def _laid_out(rows: dict[str, Any], corner: str) -> list[list[str]]:
    """Return all lines of a table; the first has the names and units of the columns."""
    columns = list(dict.fromkeys(column for cells in rows.values() for column in cells))
    units = {
        column: next((cells[column]["unit"] for cells in rows.values() if cells.get(column, {}).get("unit")), "")
        for column in columns
    }
    heads = [f"{column}, {units[column]}" if units[column] else column for column in columns]
    return [
        [corner, *heads],
        *(
            [row, *(_shown(cells[column]) if column in cells else "" for column in columns)]
            for row, cells in rows.items()
        ),
    ]


def _markdown(stored: dict[str, Any]) -> str:
    """Return a stored table in Markdown, followed by the facts about the machine."""
    head, *rest = (f"| {' | '.join(line)} |" for line in _laid_out(stored["rows"], ""))
    lines = [head, "| --- " * (head.count("|") - 1) + "|", *rest]
    made = stored["machine"]
    place = f"{made['processor']}, {made['cores']} cores, {made['instruction_set']}, PyTorch {made['torch']}"
    rounds = "one round" if stored["rounds"] == 1 else f"medians of {stored['rounds']} rounds (quartiles)"
    if "gpu" in made:
        place = f"{made['gpu']}, {place}"
    lines.append(f"\n{place}, {made['threads']} threads, {made['date']}; {rounds}.")
    return "\n".join(lines)


def fill_page() -> None:
    """Write the stored tables into the page, between their markers: one below the other for several machines."""
    text = PAGE.read_text(encoding="utf-8")
    for name, machines in _read().items():
        tables = "\n\n".join(map(_markdown, machines.values()))
        pattern = rf"(<!-- table: {re.escape(name)} -->\n).*?(<!-- end -->)"
        text = re.sub(pattern, lambda found, tables=tables: f"{found[1]}{tables}\n{found[2]}", text, flags=re.S)
    PAGE.write_text(text, encoding="utf-8")


def plain(table: Table) -> str:
    """Return the table as text for the terminal."""
    lines = _laid_out(_rows(table), table.name)
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)) for line in lines)
