"""The tables of DVC and of `triptych compare` are readable: 120 columns, and 25 lines after a changed recipe."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from dvc.compare import metrics_table

from conftest import ROOT, environment
from triptych.core.errors import TriptychError
from triptych.core.json_files import Document, is_number, read_json
from triptych.evaluation.headline_numbers import headline_numbers
from triptych.reports.compare import compare
from triptych.reports.dvc_plots import draw_plots
from triptych.repository.project import Project
from triptych.studies.kinds import load_study

COLUMNS, LINES = 120, 25
KEPT = ROOT / "metrics" / "baseline"
KEEP = "keep the results of new experiments with `triptych baseline`"


def numbers_of(results: Document) -> dict[str, float]:
    """Return what the stage writes to `metrics/<name>.json`, given all results."""
    if "configurations" not in results:
        return headline_numbers(results)
    _, measures, _ = load_study(results["settings"]["study"])
    return measures.headline_numbers([results[name] for name in results["configurations"]])


def metrics_of(folder: Path) -> dict[str, dict[str, float]]:
    return {path.stem: numbers_of(read_json(path)) for path in folder.glob("*.json")}


@pytest.mark.parametrize("folder", [KEPT / "quick", KEPT], ids=["quick", "full"])
def test_all_metrics_fit_into_one_table(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """README and docs show the table with `--precision 3`."""
    metrics = metrics_of(folder)
    assert all(numbers and all(map(is_number, numbers.values())) for numbers in metrics.values())
    data = {f"metrics/{name}.json": {"data": numbers} for name, numbers in metrics.items()}
    metrics_table({"workspace": {"data": data}}, precision=3, round_digits=True).render()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + len(metrics)
    assert max(map(len, lines)) <= COLUMNS


def test_compare_names_a_revision_that_dvc_cannot_read(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("profile: quick\n")
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    for command in ("git init -q", "dvc init -q", "git add .", "git commit -q -m before"):
        subprocess.run(command.split(), cwd=tmp_path, env=environment(), check=True)
    (tmp_path / "dvc.yaml").write_text("stages: [")
    with pytest.raises(TriptychError, match=r"^DVC cannot read params\.yaml or dvc\.yaml of workspace: "):
        compare(Project(tmp_path), "HEAD", None)


def test_the_difference_after_a_changed_recipe_is_short(params: dict) -> None:
    metrics = metrics_of(KEPT / "quick")
    assert set(params["experiments"] | params["studies"]) <= set(metrics), KEEP
    changed = dict.fromkeys(params["recipes"], 1)  # the heading
    for name, entry in (params["experiments"] | params["studies"]).items():
        changed[entry["recipe"]] += len(metrics[name])
    assert max(changed.values()) <= LINES


def test_headlines_of_studies() -> None:
    verdicts = ("converges", "decays slowly", "circles", "moves away")
    _, measures, _ = load_study("dirac")
    assert measures.headline_numbers([{"verdict": verdict} for verdict in verdicts]) == {"stable": 2}
    _, measures, _ = load_study("planar")
    assert measures.headline_numbers([{"kl": 0.5, "entropy": 2.0}, {"kl": 1.5}]) == {"kl": 1.0}


def test_compare_needs_a_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    for run in (lambda: compare(Project(tmp_path), "HEAD", None), lambda: draw_plots(Project(tmp_path), ["HEAD"])):
        with pytest.raises(TriptychError, match="no git commit to compare with: `git log` says .*any commits yet"):
            run()
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(TriptychError, match="git is missing"):
        compare(Project(tmp_path), "HEAD", None)


def test_without_results_there_are_no_plots(tmp_path: Path) -> None:
    subprocess.run(["dvc", "init", "-q", "--no-scm"], cwd=tmp_path, env=environment(), check=True)
    with pytest.raises(TriptychError, match="DVC finds no plots: run `triptych repro` first"):
        draw_plots(Project(tmp_path), [])
    assert not (tmp_path / "triptych_plots").exists()


SETTINGS = """
profile: quick
recipes:
  small: {learning_rate: 0.001, batch_size: 50, epochs: {quick: 12, full: 40}, betas: [0.5, 0.9], model: {latent: 20}}
experiments:
  a: {recipe: small}
  b: {recipe: small}
"""
CHANGED = SETTINGS.replace(
    "a: {recipe: small}", "a: {recipe: small, learning_rate: 0.004, batch_size: 50, epochs: 3, betas: [0.9, 0.9]}"
).replace("b: {recipe: small}", "b: {recipe: small, epochs: {full: 50}, model: {latent: 2, hidden: 8}}")


def test_compare_shows_values_of_the_recipe(tmp_path: Path) -> None:
    params = tmp_path / "params.yaml"
    params.write_text(SETTINGS)
    for command in ("git init -q", "dvc init -q", "git add .", "git commit -q -m before"):
        subprocess.run(command.split(), cwd=tmp_path, env=environment(), check=True)
    params.write_text(CHANGED)
    table = compare(Project(tmp_path), "HEAD", None)
    assert [" ".join(line.split()) for line in table.splitlines()[1:]] == [
        "experiments.a.betas [0.5, 0.9] [0.9, 0.9]",
        "experiments.a.epochs 12 3",
        "experiments.a.learning_rate 0.001 0.004",
        "experiments.b.epochs.full 40 50",
        "experiments.b.model.hidden - 8",
        "experiments.b.model.latent 20 2",
    ]
    params.write_text(f"{SETTINGS}  c: {{recipe: small, seed: 1}}\n")
    assert [line.split() for line in compare(Project(tmp_path), "HEAD", None).splitlines()[1:]] == [
        ["experiments.c", "-", "all", "keys"]
    ]
    params.write_text(f"{SETTINGS}runtime: {{threads: 2}}\n")
    assert [line.split() for line in compare(Project(tmp_path), "HEAD", None).splitlines()[1:]] == [
        ["runtime.threads", "-", "2"]
    ]
    params.write_text(SETTINGS.replace("a: {recipe: small}", "a: {recipe: small, betas: null, ema: null, model: null}"))
    for revisions in (("HEAD", None), ("HEAD", "workspace")):
        assert [" ".join(line.split()) for line in compare(Project(tmp_path), *revisions).splitlines()[1:]] == [
            "experiments.a.betas [0.5, 0.9] default",
            "experiments.a.model.latent 20 default",
        ]
    params.write_text(SETTINGS)
    subprocess.run(["git", "branch", "same"], cwd=tmp_path, env=environment(), check=True)
    for revisions in (("same", None), ("HEAD", "same"), ("same", "HEAD")):
        assert compare(Project(tmp_path), *revisions) == "No setting and no headline number differs."
    params.write_text(SETTINGS.replace("a: {recipe: small}", "a: {recipe: small, batch_size: 50}"))
    assert compare(Project(tmp_path), "HEAD", None) == "No setting and no headline number differs."


def test_compare_shows_a_number_that_one_side_lacks(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "metrics").mkdir()
    (tmp_path / "params.yaml").write_text(SETTINGS)
    (tmp_path / "dvc.yaml").write_text("metrics:\n- metrics/a.json\n- metrics/b.json\n")
    (tmp_path / "metrics" / "a.json").write_text('{"elbo": -101.5}')
    for command in ("git init -q", "dvc init -q", "git add .", "git commit -q -m before"):
        subprocess.run(command.split(), cwd=tmp_path, env=environment(), check=True)
    (tmp_path / "metrics" / "a.json").unlink()
    (tmp_path / "metrics" / "b.json").write_text('{"elbo": -99.5}')
    table = [line.split() for line in compare(Project(tmp_path), "HEAD", None).splitlines()[1:]]
    assert [line[:4] for line in table] == [["a:", "elbo", "-101.5", "-"], ["b:", "elbo", "-", "-99.5"]]
    assert capsys.readouterr().err == ""
    with pytest.raises(TriptychError, match="DVC cannot show these plots: unknown Git revision 'nonsense'$"):
        draw_plots(Project(tmp_path), ["HEAD", "nonsense"])
    (tmp_path / "metrics" / "b.json").write_text("{broken")
    assert len(compare(Project(tmp_path), "HEAD", None).splitlines()) == 2
    assert capsys.readouterr().err.startswith("warning: metrics/b.json of workspace is left out, since DVC cannot")
