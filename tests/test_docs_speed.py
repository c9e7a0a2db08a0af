"""The tables in docs/speed.md and docs/scale.md equal the measured speeds in benchmarks/results.json."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from conftest import ROOT
from pages import tables


def test_docs_speed_equals_results_json(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import report

    filled = tmp_path / "speed.md"
    shutil.copyfile(report.PAGE, filled)
    monkeypatch.setattr(report, "PAGE", filled)
    report.fill_page()
    assert filled.read_text(encoding="utf-8") == (ROOT / "docs" / "speed.md").read_text(encoding="utf-8")


def test_speeds_are_kept_for_each_processor(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import report
    from harness import Table

    monkeypatch.setattr(report, "RESULTS", tmp_path / "results.json")
    speeds, costs = Table("families"), Table("growth")
    for table in (speeds, costs):
        table.add("row", "column", 1.0, "s")
    older, newer, another = (
        {"processor": f"EPYC, family 25{model}", "instruction_set": instructions}
        for model, instructions in (("", "AVX2"), (", model 17", "AVX512, oneDNN"), ("", "NEON"))
    )
    for machine in (older, newer):
        report.store([speeds, costs], machine, rounds=1)
    stored = json.loads(report.RESULTS.read_text())
    assert list(stored["families"]) == ["EPYC, family 25, AVX2", "EPYC, family 25, AVX512"]
    assert list(stored["growth"]) == ["EPYC, family 25, AVX512"]
    speeds.cell("row", "column").values[:] = [2.0]
    [line] = report.comparisons([speeds], older)
    assert "row, column: 2, was 1" in line
    assert not report.comparisons([speeds], another)


def test_the_table_of_bf16_equals_the_histories() -> None:
    """The last value of each run. Those of VAEs are kept as negative ELBOs."""
    page = (ROOT / "docs" / "speed.md").read_text(encoding="utf-8")
    [table] = [table for table in tables(page) if table.head == ["experiment", "epochs", "float32", "bf16"]]
    assert len(table.rows) == 3
    for first, epochs, *cells in table.rows:
        name, digits, sign = first.split("`")[1], 3 if "bits" in first else 2, 1 if "bits" in first else -1
        for suffix, cell in zip(("", "-bf16"), cells, strict=True):
            path = ROOT / "benchmarks" / "histories" / f"{name}{suffix}.csv"
            epoch, value = path.read_text(encoding="utf-8").splitlines()[-1].split(",")
            assert (epoch, f"{sign * float(value):.{digits}f}") == (epochs, cell)


def test_docs_scale_follows_from_the_measured_updates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import costs

    page = (ROOT / "docs" / "scale.md").read_text(encoding="utf-8")
    assert f"<!-- made by benchmarks/costs.py -->\n{costs.tables()}\n<!-- end -->" in page
    trainings = costs.trainings()
    [gpu] = json.loads((ROOT / "benchmarks" / "results.json").read_text())["gpu"].values()
    seconds = gpu["rows"]["vae-20d"]["recorded"]
    count, whole = trainings["vae-20d"]
    assert count == 40 * (50_000 // 128)
    assert whole == pytest.approx(count * seconds["median"] / 1000 + costs.measured()[1])
    assert costs.makespan([3.0, 3.0, 2.0, 2.0, 2.0], 2) == 7.0  # longest first: 3 + 2 + 2 beside 3 + 2
    share = sum(whole for name, (_, whole) in trainings.items() if name.startswith("cifar10"))
    assert f"take {100 * share / sum(whole for _, whole in trainings.values()):.0f} % of the GPU hours" in page
