"""What `triptych repro` and `triptych --help` show in terminals of several widths, and in a pipe."""

from __future__ import annotations

import io
import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from triptych.cli.help import SECTIONS
from triptych.cli.main import cli
from triptych.core.progress import DISPLAY_VARIABLE, EVENT, Progress, tell
from triptych.models.common.registry import FAMILIES
from triptych.records.headlines import CLASSIFIER, experiment_headline, headline_in_training, study_summary
from triptych.repository.project import Project
from triptych.runner import display
from triptych.runner.display import Display
from triptych.runner.time_left import OVERHEAD, expected_seconds, time_left
from triptych.settings.params import Settings

CODE = re.compile(r"\x1b\[[?\d;]*[A-Za-z]")
LONG = "evaluate@cifar10-jsd-1-non-saturating"
EPOCH = {"doing": "epoch 3/8", "number": "loss 0.693", "speed": "11,204 images/s", "left": 119.0}


class Terminal(io.StringIO):
    """A terminal, or a pipe, that keeps everything that is written to it."""

    def __init__(self, *, is_terminal: bool) -> None:
        super().__init__()
        self.is_terminal = is_terminal

    def isatty(self) -> bool:
        return self.is_terminal

    def lines(self) -> list[str]:
        """Return every line that was ever shown, without control codes."""
        return [line.rstrip() for line in re.split(r"[\r\n]+", CODE.sub("", self.getvalue())) if line.strip()]


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Terminal]:
    """Return a function that makes stdout a terminal of this width, or a pipe for the width 0."""

    def make(columns: int) -> Terminal:
        made = Terminal(is_terminal=columns > 0)
        for name in ("CI", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("TERM", "xterm-256color")
        monkeypatch.setenv("COLUMNS", str(columns or 80))
        monkeypatch.setenv("LINES", "30")
        monkeypatch.setattr(sys, "stdout", made)
        return made

    return make


def write(path: str | None, *texts: str, **event: object) -> None:
    """Write lines, then an event, as a stage does."""
    assert path
    with Path(path).open("a", encoding="utf-8") as file:
        file.writelines(f"{text}\n" for text in texts)
        if event:
            file.write(f"{EVENT}{json.dumps(event)}\n")


def run_two_stages(root: Path) -> None:
    """Show two stages: one trains, resumes and ends well; the other fails."""
    with Display(root, verbose=False) as display:
        display.phase("planning: DVC compares all files with dvc.lock")
        display.begin({"train@vae-20d": 10.0, LONG: 20.0, "report": 5.0}, 2)
        trains, fails = display.started("train@vae-20d"), display.started(LONG)
        write(trains, "Running stage 'train@vae-20d':", '> triptych train "$DVC_STAGE"')
        write(trains, notice="continues after 100 of 800 images")
        write(trains, **EPOCH)
        write(fails, "Running stage 'x':".replace("x", LONG), "a line", "warning: MLflow does not answer", "the reason")
        display.refresh()
        write(trains, headline="ELBO -130.21")
        write(trains, said=f"vae-20d: wrote {root}/models")
        write(trains, doing="", number="", speed="", left=0.0)
        write(trains, phase="storing the results", doing="")
        display.refresh()
        display.ended("train@vae-20d", failed=False)
        display.ended(LONG, failed=True)
        display.error("ERROR: failed to reproduce it")


def test_a_pipe_gets_one_line_per_stage_and_the_whole_output_of_one_that_failed(
    tmp_path: Path, terminal: Callable[[int], Terminal], capsys: pytest.CaptureFixture[str]
) -> None:
    pipe = terminal(0)
    run_two_stages(tmp_path)
    text = re.sub(r"\d+\.\d s", "0.1 s", pipe.getvalue())
    assert text.splitlines() == [
        "train@vae-20d continues after 100 of 800 images",
        f"{LONG}: warning: MLflow does not answer",
        f"1/3  {'train@vae-20d':<{len(LONG)}}     0.1 s  ELBO -130.21",
        f"{LONG} failed after 0.1 s. Its output:",
        f"Running stage '{LONG}':",
        "a line",
        "warning: MLflow does not answer",
        "the reason",
    ]
    assert capsys.readouterr().err == "ERROR: failed to reproduce it\n"


def test_a_pipe_gets_a_line_about_the_running_stages_from_time_to_time(
    tmp_path: Path, terminal: Callable[[int], Terminal], monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe = terminal(0)
    monkeypatch.setattr(display, "LOG_SECONDS", 0.0)
    with Display(tmp_path, verbose=False) as shown:
        shown.phase("planning: DVC compares all files with dvc.lock")
        shown.begin({"train@vae-20d": 10.0, LONG: 20.0}, 2)
        write(shown.started("train@vae-20d"), **EPOCH)
        shown.started(LONG)
        shown.refresh()
    *_, last = pipe.getvalue().splitlines()
    assert re.match(r"planning: DVC compares all files with dvc\.lock  \d:\d\d\n", pipe.getvalue())
    words = rf"0 of 2 stages done  about \d:\d\d left  train@vae-20d: epoch 3/8  {LONG}: DVC checks its inputs"
    assert re.fullmatch(words, last)


def test_a_killed_stage_is_explained(tmp_path: Path, terminal: Callable[[int], Terminal]) -> None:
    pipe = terminal(0)
    with Display(tmp_path, verbose=False) as display:
        display.begin({LONG: 20.0}, 1)
        write(display.started(LONG), f"ERROR: failed to reproduce '{LONG}': failed to run: x, exited with -9")
        display.ended(LONG, failed=True)
    assert "probably because memory ran out" in pipe.getvalue().splitlines()[-1]


@pytest.mark.parametrize("columns", [80, 100, 200])
def test_no_line_of_the_live_display_is_wider_than_the_terminal(
    columns: int, tmp_path: Path, terminal: Callable[[int], Terminal]
) -> None:
    shown = terminal(columns)
    run_two_stages(tmp_path)
    lines = shown.lines()
    assert max(map(len, lines)) <= columns
    assert any(line.startswith("planning: DVC compares all files with dvc.lock") for line in lines)
    assert any(re.match(r"0 of 3 stages done .*about \d:\d\d left", line) for line in lines)
    [first, *_] = [line for line in lines if "epoch 3/8" in line]
    assert first.startswith("train@vae-20d ")
    assert re.search(r"loss 0\.693 .*1:\d\d left$", first)
    assert ("11,204 images/s" in first) == (columns == 200)
    assert any("storing the results" in line for line in lines)
    done = next(number for number, line in enumerate(lines) if line.startswith("1/3  train@vae-20d"))
    assert lines[done].endswith("ELBO -130.21")
    assert not any(line.startswith("train@vae-20d ") and "0:0" in line for line in lines[done + 1 :])
    assert shown.getvalue().rindex("\x1b[?25h") > shown.getvalue().rindex("\x1b[?25l"), "the cursor is visible"


@pytest.mark.parametrize(
    ("columns", "names", "number", "speed"),
    [
        (120, ["train@realnvp-mnist-multiscale", "train@realnvp-mnist-variational"], True, True),
        (100, ["train@realnvp-mnist-multiscale", "train@realnvp-mnist-variational"], True, False),
        (80, ["train@rea…ultiscale", "train@rea…riational"], True, False),
        (60, ["train@realnv…st-multiscale", "train@realnv…t-variational"], False, False),
    ],
)
def test_a_narrow_terminal_shows_every_epoch_and_time_left(
    columns: int, names: list[str], number: bool, speed: bool, tmp_path: Path, terminal: Callable[[int], Terminal]
) -> None:
    shown = terminal(columns)
    stages = ["train@realnvp-mnist-multiscale", "train@realnvp-mnist-variational"]
    with Display(tmp_path, verbose=False) as display:
        display.begin(dict.fromkeys(stages, 100.0), 2)
        outputs = [display.started(stage) for stage in stages]
        write(outputs[0], **EPOCH | {"doing": "epoch 15/60", "headline": "validation 1.554 bits/dim"})
        write(outputs[1], **EPOCH)
        display.refresh()
        lines = shown.lines()[-2:]
    for line, name, words in zip(lines, names, ("epoch 15/60", "epoch 3/8"), strict=True):
        assert re.match(rf"{name} +\d:\d\d  {words}  ", line)
        assert re.search(r"  1:\d\d left$", line)
        assert ("11,204 images/s" in line) == speed
    assert ["1.554 bits/dim" in lines[0], "loss 0.693" in lines[1]] == [number, number]


def test_a_ci_with_a_terminal_gets_lines(
    tmp_path: Path, terminal: Callable[[int], Terminal], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = terminal(100)
    monkeypatch.setenv("CI", "true")
    run_two_stages(tmp_path)
    assert "\x1b" not in shown.getvalue()
    assert "planning" not in shown.getvalue()


def test_several_stages_of_one_dvc_process(tmp_path: Path, terminal: Callable[[int], Terminal]) -> None:
    pipe = terminal(0)
    with Display(tmp_path, verbose=False) as display:
        output = display.follow("dvc")
        write(output, "Stage 'fetch@mnist' didn't change, skipping", "Running stage 'prepare@mnist':")
        write(output, said="mnist: 300 train")
        write(output, "Stage 'train@a' is cached - skipping run, checking out outputs", "Running stage 'report':", "x")
        display.ended("dvc", failed=False)
        output = display.follow("dvc")
        write(output, "Stage 'fetch@mnist' didn't change, skipping", "Data and pipelines are up to date.")
        display.ended("dvc", failed=False)
        output = display.follow("dvc")
        write(output, "ERROR: there is no such stage")
        display.ended("dvc", failed=True)
    assert re.sub(r" +\d+\.\d s", " 0.1 s", pipe.getvalue()).splitlines() == [
        "1  prepare@mnist 0.1 s  300 train",
        "2  train@a 0.1 s  from DVC's cache",
        "3  report 0.1 s",
        "Data and pipelines are up to date.",
        "DVC failed. Its output:",
        "ERROR: there is no such stage",
    ]


def test_images_that_are_fetched_again_are_not_stages_of_the_plan(
    tmp_path: Path, terminal: Callable[[int], Terminal]
) -> None:
    shown = terminal(100)
    with Display(tmp_path, verbose=False) as display:
        write(display.follow("dvc"), "Running stage 'fetch@mnist':")
        display.ended("dvc", failed=False)
        display.begin({"train@a": 1.0}, 1)
        write(display.started("train@a"), **EPOCH)
        display.refresh()
        display.ended("train@a", failed=False)
    assert any(line.startswith("1/1  train@a") for line in shown.lines())


def test_ctrl_c_names_the_stages_that_were_stopped(tmp_path: Path, terminal: Callable[[int], Terminal]) -> None:
    pipe = terminal(0)
    with pytest.raises(KeyboardInterrupt), Display(tmp_path, verbose=False) as display:
        display.begin({"train@a": 1.0, "train@b": 1.0}, 2)
        write(display.started("train@a"), **EPOCH)
        display.started("train@b")
        for name in ("train@a", "train@b"):
            display.ended(name, failed=True, interrupted=True)
        raise KeyboardInterrupt
    assert pipe.getvalue() == "stopped: train@a (epoch 3/8), train@b (DVC checks its inputs); 0 of 2 stages done\n"


def test_verbose_redirects_nothing(tmp_path: Path, terminal: Callable[[int], Terminal]) -> None:
    shown = terminal(100)
    with Display(tmp_path, verbose=True) as display:
        assert display.started("train@a") is display.follow("dvc") is None
        assert display.variables == {}
        display.ended("train@a", failed=False)
    with pytest.raises(KeyboardInterrupt), Display(tmp_path, verbose=True):
        raise KeyboardInterrupt
    assert shown.getvalue() == ""


def test_a_stage_reports_events_only_to_a_display(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(DISPLAY_VARIABLE, raising=False)
    tell(phase="loading data")
    Progress("v", 900, 300).report(450, "epoch 2/3", "loss 0.5")
    assert re.fullmatch(r"v  epoch 2/3  loss 0\.5  .* images/s  0:\d\d left\n", capsys.readouterr().err)
    monkeypatch.setenv(DISPLAY_VARIABLE, "1")
    Progress("v", 900, 300).report(450, "epoch 2/3", "loss 0.5")
    Progress("v", 900, 300, silent=True)
    notice, report, _ = capsys.readouterr().err.split("\n")
    assert json.loads(notice.removeprefix(EVENT)) == {"notice": "continues after 300 of 900 images"}
    assert json.loads(report.removeprefix(EVENT)).keys() == EPOCH.keys()


def test_the_time_left_follows_the_pace_of_finished_stages_and_the_reports_of_running_ones() -> None:
    expected = {"a": 30.0, "b": 30.0, "c": 60.0}
    assert time_left(expected, {}, {}, 2) == 60.0
    assert time_left(expected, {"a": 90.0}, {}, 1) == 90.0 * 2
    assert time_left(expected, {}, {"c": (10.0, 0.0)}, 3) == 50.0
    assert time_left(expected, {"a": 30.0}, {"b": (10.0, 400.0)}, 1) == 400.0 + 60.0
    assert time_left({}, {}, {}, 1) == 0.0


def test_expected_seconds_come_from_the_journal_or_from_the_baseline_and_the_budget(
    tiny: Settings, tmp_path: Path
) -> None:
    project = Project(tmp_path)
    baseline, entry = tmp_path / "metrics/baseline/quick/vae-20d.json", project.private / "journal/train@vae-20d/1.json"
    recorded = {"dvc_stage": "train@vae-20d", "seconds": 44.0}
    for path, content in ((baseline, {"epochs": 6, "run": {"train_seconds": 12.0}}), (entry, recorded)):
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(content))
    stages = ("train@vae-20d", "train@gan-mnist", "evaluate@vae-20d")
    assert expected_seconds(project, tiny, stages)["train@vae-20d"] == OVERHEAD + 44.0
    project.results("vae-20d").parent.mkdir(parents=True)
    project.results("vae-20d").write_text('{"profile": "full"}')
    found = expected_seconds(project, tiny, stages)
    assert found["train@vae-20d"] == OVERHEAD + 6.0, "three epochs in place of six"
    assert found["train@gan-mnist"] == OVERHEAD + 6.0, "as the others"
    assert found["evaluate@vae-20d"] > OVERHEAD


def test_recorded_stages_show_the_pace_of_this_machine(tiny: Settings, tmp_path: Path) -> None:
    project = Project(tmp_path)
    for name in ("vae-20d", "gan-mnist"):  # tiny has half of the epochs: 6 and 6 seconds
        path = tmp_path / f"metrics/baseline/quick/{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('{"epochs": 6, "run": {"train_seconds": 12.0}}')
    before = expected_seconds(project, tiny, ["train@gan-mnist", "evaluate@vae-20d"])
    for stage, seconds in {"train@vae-20d": 18.0, "evaluate@gan-mnist": 900.0, "train@deleted": 900.0}.items():
        path = project.private / f"journal/{stage}/1.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps({"dvc_stage": stage, "seconds": seconds}))
    after = expected_seconds(project, tiny, ["train@gan-mnist", "train@realnvp-mnist", "evaluate@vae-20d"])
    assert before["train@gan-mnist"] == OVERHEAD + 6.0
    assert after["train@gan-mnist"] == after["train@realnvp-mnist"] == OVERHEAD + 18.0
    assert after["evaluate@vae-20d"] - OVERHEAD == 3 * (before["evaluate@vae-20d"] - OVERHEAD)


def test_headlines_in_words() -> None:
    assert headline_in_training("vae", {"valid_negative_elbo": 130.206}) == "validation ELBO -130.21"
    assert headline_in_training("flow", {"valid_bits_per_dimension": 1.8}) == "validation 1.800 bits/dim"
    assert headline_in_training("gan", {"train_loss": 1.8}) == ""
    assert experiment_headline({"test": {"elbo": -90.0}, "fid": {"value": 3.0}}) == "FID 3.00, ELBO -90.00"
    numbers = {"arcs-k2": {"kl": 2.0}, "arcs-k8": {"kl": 1.0}, "sine-k2": {"kl": 3.0}}
    metrics = {**numbers, "headline": "kl", "headline_is": "KL, nats", "configurations": [*numbers]}
    assert study_summary(metrics, "planar") == "lowest KL, nats: arcs-k8 1.000, sine-k2 3.000"
    words = {name: {"kl": word} for name, word in zip("abc", ("circles", "converges", "circles"), strict=True)}
    metrics = {**words, "headline": "kl", "headline_is": "verdict", "configurations": [*words]}
    assert study_summary(metrics, "dirac") == "verdict: circles 2, converges 1"


def test_the_headline_of_every_likelihood_can_be_shown_in_training() -> None:
    measured = [entry.headline for entry in FAMILIES.values()] + [CLASSIFIER]
    for headline in measured:
        row = dict.fromkeys(headline.curves, 0.5)
        shown = any(headline_in_training(family, row) for family in (*FAMILIES, "classifier"))
        assert shown or headline.metric.startswith("fid")


@pytest.mark.parametrize("columns", [80, 100, 200])
def test_help_groups_all_commands_and_truncates_nothing(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    text = CliRunner().invoke(cli, ["--help"], prog_name="triptych", terminal_width=columns).output
    assert max(map(len, text.splitlines())) <= columns
    assert "..." not in text.replace("[ARGS]...", "")
    visible = [name for name, command in cli.commands.items() if not command.hidden]
    assert sorted(visible) == sorted(name for names in SECTIONS.values() for name in names)
    for section, names in SECTIONS.items():
        block = text.partition(f"\n{section}:\n")[2].partition("\n\n")[0]
        assert list(_commands(block)) == list(names)
    words = " ".join(text.split())
    for name in visible:
        sentence = (cli.commands[name].help or "").partition("\n\n")[0]
        assert f"{name} {click.unstyle(' '.join(sentence.split())).removesuffix('.').partition('. ')[0]}" in words


def _commands(block: str) -> Iterator[str]:
    yield from re.findall(r"^  (\S+)  ", block, re.MULTILINE)
