"""The tables and charts of the page: order of cells, marks, and curves from the histories."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import pytest

from triptych.core.json_files import write_json
from triptych.core.project import Project
from triptych.evaluation import presentation
from triptych.evaluation.over_seeds import Spread
from triptych.figures.style import COLOURS
from triptych.models.common.registry import FAMILIES
from triptych.reports.page.build import provenance
from triptych.reports.page.charts import chart_names, charts
from triptych.reports.page.table import COLUMNS, DASH, NOT_RECORDED, _cell, compared, configured, over_seeds

PLAYERS = ("discriminator", "critic", "generator")
HISTORY = [
    {"epoch": epoch}
    | {f"{split}_{player}_loss": epoch + 0.25 for split in ("train", "valid") for player in PLAYERS}
    | {
        f"{split}_{name}": epoch + 0.125
        for split in ("train", "valid")
        for name in ("negative_elbo", "negative_iw_bound", "bits_per_dimension", "negative_log_likelihood")
    }
    for epoch in range(3)
]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_chart_shows_the_curves_of_its_picture(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn, saved = [], []
    monkeypatch.setattr(
        presentation, "curves_over_epochs", lambda _, lines, __, label, **___: drawn.append((label, tuple(lines)))
    )
    monkeypatch.setattr(presentation, "save", lambda figure, path: saved.append(path.stem))
    charts_of_family = presentation.presentation_of(family).charts
    for picture, chart in charts_of_family.items():
        chart.draw(SimpleNamespace(history=HISTORY, folder=Path()), picture, "title")
    assert saved == list(charts_of_family)
    assert drawn == [(chart.y_label, chart.curves) for chart in charts_of_family.values()]
    assert set(saved) <= chart_names()


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Return a project with one model and its history."""
    project = Project(tmp_path)
    model = project.model("it")
    model.mkdir(parents=True)
    write_json(model / "manifest.json", {"weights_sha256": "w"})
    (model / "history.csv").write_text(
        "epoch,train_negative_elbo,valid_negative_elbo\n0,,5.5\n1,4.25,inf\n2,1e-07,3.0\n"
    )
    return project


def test_a_chart_holds_the_numbers_of_the_history(project: Project) -> None:
    [chart] = charts(project, "it", {"weights_sha256": "w"})["U1.13-elbo"]
    assert (chart["x"], chart["y"], chart["steps"]) == ("epoch", "bound (nats per image)", [0, 1, 2])
    train, valid = chart["lines"]
    assert (train["label"], train["colour"], train["dashed"]) == ("training", COLOURS["train"], False)
    assert train["values"] == [None, -4.25, -1e-07]
    assert valid["values"] == [-5.5, None, -3.0]  # JSON has no infinity


def test_a_history_of_other_weights_gives_no_chart(project: Project) -> None:
    assert charts(project, "it", {"weights_sha256": "another"}) == {}
    assert charts(project, "absent", {"weights_sha256": "w"}) == {}


def test_players_without_a_common_scale_have_charts_of_their_own(project: Project) -> None:
    (project.model("it") / "history.csv").write_text(
        "epoch,train_critic_loss,train_generator_loss,valid_generator_loss\n0,1,2,3\n1,4,5,6\n"
    )
    found = charts(project, "it", {"weights_sha256": "w"})
    assert [[line["values"] for line in chart["lines"]] for chart in found["M2.7-losses"]] == [
        [[1.0, 4.0]],
        [[2.0, 5.0], [3.0, 6.0]],
    ]


def test_snapshots_make_a_chart_of_each_measure(project: Project) -> None:
    project.plots("gan").mkdir(parents=True)
    (project.plots("gan") / "snapshots.csv").write_text(
        "epoch,update,jsd,fid_classifier\n0,0,9,9\n1,8,0.5,40.25\n2,16,0.25,30.5\n"
    )
    found = charts(project, "gan", {"weights_sha256": "w"})["M2.7c-progress"]
    assert [chart["steps"] for chart in found] == [[8, 16], [8, 16]]
    assert [chart["lines"][0]["values"] for chart in found] == [[0.5, 0.25], [40.25, 30.5]]


PROTOCOLS = {dataset: {"names": [dataset]} for dataset in ("mnist", "cifar10")}


def row(name: str, dataset: str, elbo: str, fid: str, *others: tuple[str, str]) -> dict:
    """Return the row of an experiment. `others` are the ELBO and FID of its further seeds."""
    rows = [_row(name, dataset, *pair) for pair in ((elbo, fid), *others)]
    return rows[0] | {"over_seeds": over_seeds(rows), "protocol": PROTOCOLS[dataset]}


def _row(name: str, dataset: str, elbo: str, fid: str) -> dict:
    measures = ("fid", "kid", "is", "precision", "recall")
    return {
        "experiment": name,
        "dataset": dataset,
        "likelihood_is": "exact",
        "judged": {measure: f"{measure}_classifier" for measure in measures},
        **{f"{measure}_classifier": fid for measure in measures},
        "kid_classifier_standard_error": "0.25",
        "fid_classifier_low": str(float(fid) - 10.0),
        "fid_classifier_high": str(float(fid) + 1.0),
        "test_elbo_standard_error": "1.0",
        "test_elbo": elbo,
        "test_log_likelihood": elbo,
        "test_bits_per_dimension": "not defined: the pixels are binary",
        "recognised": "0.5",
        "classes": "10",
        "parameters": "1234567",
        "epochs": "3",
        "train_seconds": NOT_RECORDED,
        "seconds_per_sample": 0.00125,
    }


def test_cells_sort_by_their_numbers_and_the_best_cells_are_marked() -> None:
    table = compared([
        row("one", "mnist", "-100.125", "30.5"),
        row("two", "mnist", "-90.5", "1234.5"),
        row("three", "cifar10", "-80.5", "2.0"),
        row("four", "mnist", "not defined: a GAN has no density", "40"),
        row("five", "mnist", "-93.5", "42"),
    ])  # fmt: skip
    cells = {name: dict(zip([column.heading for column in COLUMNS], found, strict=True)) for name, found in table}
    assert list(cells) == ["one", "two", "three", "four", "five"]
    one, two, three, four, five = cells.values()
    assert (one["ELBO"].text, one["ELBO"].sort) == ("-100.12", "-100.125")
    assert (two["FID"].text, two["FID"].sort) == ("1,234.50", "1234.5")
    assert one["KID"].text == "30.500 ± 0.25"
    assert (four["ELBO"].text, four["ELBO"].sort) == (DASH, "")
    assert four["ELBO"].title == "not defined: a GAN has no density"
    assert (one["training (s)"].text, one["training (s)"].sort) == (NOT_RECORDED, "")
    assert one["FID"].title == "fid_classifier; 95 % interval 20.5 to 31.5"
    assert two["ELBO"].title == "95 % interval -92.46 to -88.54"
    fids = [each["FID"].best for each in (one, two, three, four, five)]
    assert fids == [True, False, False, True, False], "30 to 41 overlaps 20.5 to 31.5, and 32 to 43 does not"
    elbos = [each["ELBO"].best for each in (one, two, three, four, five)]
    assert elbos == [False, True, False, False, True], "the only model of a data set is not marked"
    assert not any(each["precision"].best for each in cells.values()), "without intervals, nothing is marked"


def test_several_seeds_give_mean_and_deviation_and_clear_differences_are_marked() -> None:
    table = compared([
        row("sure", "mnist", "-90.0", "1.0", ("-91.0", "1.5"), ("-92.0", "2.0")),
        row("worse", "mnist", "-100.0", "9.0", ("-102.0", "9.5"), ("-104.0", "10.0")),
        row("as good", "mnist", "-90.5", "1.25", ("-91.5", "2.0"), ("-92.25", "2.5")),
        row("once", "mnist", "-200.0", "70"),
    ])  # fmt: skip
    headings = [column.heading for column in COLUMNS]
    sure, worse, as_good, once = (dict(zip(headings, found, strict=True)) for _, found in table)
    assert [cells["seeds"].text for cells in (sure, worse, as_good, once)] == ["3", "3", "3", "1"]
    assert (sure["FID"].text, sure["FID"].best) == ("1.50 ± 0.5", True)
    assert sure["FID"].title == "fid_classifier; mean and standard deviation over 3 seeds"
    assert (worse["FID"].text, worse["ELBO"].text) == ("9.50 ± 0.5", "-102.00 ± 2")
    assert as_good["FID"].text == "1.92 ± 0.63"
    marked = [[cells[heading].best for cells in (sure, worse, as_good, once)] for heading in ("FID", "ELBO")]
    assert marked == [[True, False, True, False]] * 2
    shares = {"over_seeds": {"recognised": Spread.of([0.5, 0.25])}, "recognised": "0.5"}
    assert _cell("recognised", shares, ()).text == "37.5% ± 17.7%"
    assert once["FID"].text == "70.00"  # one seed has no deviation


def test_a_study_of_several_seeds_shows_their_mean() -> None:
    of_seed = [{"configurations": ["a"], "headline": "kl", "a": {"kl": kl, "verdict": "good"}} for kl in (0.25, 0.75)]
    columns, [(_, cells)] = configured(of_seed)
    assert columns == ["kl", "verdict"]
    assert [cell.text for cell in cells] == ["0.5 ± 0.35", "good"]
    of_seed[1]["a"]["verdict"] = "bad"
    assert configured(of_seed)[1][0][1][1].text == "good, bad"


def test_a_studys_table_begins_with_its_headline() -> None:
    metrics = {
        "configurations": ["a", "b"],
        "headline": "kl",
        "a": {"samples": 9, "loss": 1.5, "kl": 0.25, "kl_standard_error": 0.125, "verdict": "good"},
        "b": {"samples": 9, "loss": 2.5, "kl": 0.5, "kl_standard_error": 0.5},
    }
    columns, [(_, first), (_, second)] = configured([metrics])
    assert columns == ["kl", "loss", "verdict"]
    assert [cell.text for cell in first] == ["0.25 ± 0.12", "1.5", "good"]
    assert [cell.sort for cell in second] == ["0.5", "2.5", ""]


@pytest.mark.parametrize(
    ("last", "said"),
    [
        ("2026-11-26T01:56:40+00:00", "2026-11-26 01:56"),
        ("2026-11-26T02:10:00+00:00", "2026-11-26 01:56 to 02:10"),
        ("2026-11-27T00:10:00+00:00", "2026-11-26 01:56 to 2026-11-27 00:10"),
    ],
)
def test_the_page_names_commits_machines_and_times(last: str, said: str) -> None:
    facts = {"git_commit": "abc", "git_dirty": False, "machine": "m", "started": "2026-11-26T01:56:10+00:00"}
    later = facts | {"git_dirty": True, "started": last}
    found = provenance([{"name": "it", "train": facts, "evaluate": later}, {"name": "lost", "train": {}}])
    assert found == {
        "commits": ["abc", "abc (with uncommitted changes)"],
        "machines": ["m"],
        "times": said,
        "forgotten": ["lost"],
    }


class Outline(HTMLParser):
    """Collect the parts of a page that tests check: open elements, ids, links, headings and texts for pictures."""

    VOID = ("meta", "link", "img")

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.headings: list[int] = []
        self.alternatives: list[str | None] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag not in self.VOID:
            self.open.append(tag)
        if "id" in found:
            self.ids.append(found["id"])
        if tag == "a":
            self.links.append(found["href"])
        if tag == "img":
            self.alternatives.append(found.get("alt"))
        if tag[0] == "h" and tag[1:].isdigit():
            self.headings.append(int(tag[1:]))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
