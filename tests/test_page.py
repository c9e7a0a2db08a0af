"""The tables, walls and charts of the page: order, marks, settings, and curves from the histories."""

from __future__ import annotations

import base64
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from triptych.core.errors import TriptychError
from triptych.core.json_files import write_json
from triptych.evaluation.over_seeds import Spread
from triptych.figures.image_grids import tile
from triptych.figures.style import COLOURS
from triptych.reports.numbers import over_seeds
from triptych.reports.page.build import compared_pictures, provenance
from triptych.reports.page.chart_drawing import panels
from triptych.reports.page.charts import charts
from triptych.reports.page.recipes import used_settings
from triptych.reports.page.table import DASH, NOT_RECORDED, Cell, _cell, study_table, tables
from triptych.reports.page.wall import walls
from triptych.repository.project import Project


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
        "epoch,update,jsd,fid_classifier\n1,8,0.5,40.25\n2,16,0.25,30.5\n"
    )
    found = charts(project, "gan", {"weights_sha256": "w"})["M2.7c-progress"]
    assert [chart["steps"] for chart in found] == [[8, 16], [8, 16]]
    assert [chart["lines"][0]["values"] for chart in found] == [[0.5, 0.25], [40.25, 30.5]]


REAL = {"value": 1.0, "real_images": 0.5}
CLASSES = {"value": 7, "real_images": 10, "real_entropy": 2.25}
COMPARISONS = {
    dataset: {"name": dataset, "metrics": {"fid_classifier": REAL, "classes": CLASSES, "parameters": 7}}
    for dataset in ("mnist", "cifar10")
}


def row(name: str, dataset: str, elbo: str, fid: str, *others: tuple[str, str], family: str = "vae") -> dict:
    """Return the row of an experiment. `others` are the ELBO and FID of its further seeds."""
    rows = [_row(name, dataset, *pair) for pair in ((elbo, fid), *others)]
    return rows[0] | {"over_seeds": over_seeds(rows), "comparison": COMPARISONS[dataset], "family": family}


def _row(name: str, dataset: str, elbo: str, fid: str) -> dict:
    measures = ("fid", "kid", "is", "precision", "recall")
    return {
        "experiment": name,
        "dataset": dataset,
        "reference": f"{dataset}/test",
        "reference_images": "500",
        "source": "digits",
        "likelihood_is": "exact",
        "measure_names": {measure: f"{measure}_classifier" for measure in measures},
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


def cells_of(rows: list[dict]) -> dict[str, dict[str, Cell]]:
    """Return the cells of each experiment by heading, in the order of the tables."""
    return {
        row["experiment"]: dict(zip([column.heading for column in table.columns], cells, strict=True))
        for table in tables(rows)
        for row, cells in table.rows
    }


def test_cells_sort_by_their_numbers_and_the_best_cells_are_marked() -> None:
    cells = cells_of([
        row("one", "mnist", "-100.125", "30.5"),
        row("two", "mnist", "-90.5", "1234.5"),
        row("three", "cifar10", "-80.5", "2.0"),
        row("four", "mnist", "not defined: a GAN has no density", "40"),
        row("five", "mnist", "-93.5", "42"),
    ])  # fmt: skip
    assert list(cells) == ["two", "five", "one", "four", "three"], "by log-likelihood; without a number: last"
    one, two, three, four, five = (cells[name] for name in ("one", "two", "three", "four", "five"))
    assert (one["ELBO"].text, one["ELBO"].sort) == ("-100.12", "-100.125")
    assert (two["FID"].text, two["FID"].sort) == ("1,234.50", "1234.5")
    assert one["KID"].text == "30.500 ± 0.25"
    assert (four["ELBO"].text, four["ELBO"].sort) == (DASH, "")
    assert four["ELBO"].title == "not defined: a GAN has no density"
    assert one["FID"].title == "fid_classifier; 95 % interval 20.5 to 31.5"
    assert two["ELBO"].title == "95 % interval -92.46 to -88.54"
    fids = [each["FID"].best for each in (one, two, three, four, five)]
    assert fids == [True, False, False, True, False], "30 to 41 overlaps 20.5 to 31.5, and 32 to 43 does not"
    elbos = [each["ELBO"].best for each in (one, two, three, four, five)]
    assert elbos == [False, True, False, False, True], "the only model of a data set is not marked"


@pytest.mark.parametrize(
    ("heading", "key", "best"),
    [
        ("FID", "fid_classifier", "low"),
        ("KID", "kid_classifier", "low"),
        ("IS", "is_classifier", "high"),
        ("log-likelihood", "test_log_likelihood", "high"),
        ("bits per dimension", "test_bits_per_dimension", "low"),
        ("ELBO", "test_elbo", "high"),
    ],
)
def test_the_best_is_the_lowest_distance_and_the_highest_likelihood(heading: str, key: str, best: str) -> None:
    rows = []
    for name, value in {"low": "2.0", "middle": "2.5", "high": "3.0"}.items():
        numbers = _row(name, "mnist", "-90.0", "40") | {key: value, f"{key}_low": value, f"{key}_high": value}
        shared = {"over_seeds": over_seeds([numbers]), "comparison": COMPARISONS["mnist"], "family": "vae"}
        rows.append(numbers | shared)
    assert [name for name, cells in cells_of(rows).items() if cells[heading].best] == [best]


def test_models_of_binary_and_of_8_bit_pixels_share_the_table_of_their_reference() -> None:
    """Their FIDs have one reference. Their likelihoods cannot be compared, so each data set has its own best."""
    binary, other = row("vae", "mnist", "-90.5", "40"), row("vae-2d", "mnist", "-110.5", "60")
    flow = row("flow", "mnist", "-1200.5", "20", family="flow")
    worse = row("worse-flow", "mnist", "-1300.5", "45", family="flow")
    for each in (binary, other):
        each |= {"dataset": "binarized_mnist", "source": "binary digits"}
    [table] = tables([binary, other, flow, worse])
    assert table.several_datasets
    assert (table.reference, table.sources) == ("mnist/test", "binary digits and digits")
    assert [each["experiment"] for each, _ in table.rows] == ["flow", "vae", "worse-flow", "vae-2d"]
    cells = cells_of([binary, other, flow, worse])
    assert [name for name in cells if cells[name]["ELBO"].best] == ["flow", "vae"]
    assert [name for name in cells if cells[name]["FID"].best] == ["flow"]
    assert not tables([flow])[0].several_datasets


def test_a_table_begins_with_its_headline_and_has_no_empty_column() -> None:
    vae, gan = row("vae", "mnist", "-90.5", "40"), row("gan", "mnist", "not defined: none", "30", family="gan")
    of_one_family, of_two = tables([vae]), tables([vae, gan])
    assert [column.key for column in of_one_family[0].columns][:3] == ["test_log_likelihood", "fid", "test_elbo"]
    assert [column.key for column in of_two[0].columns][:3] == ["fid", "test_log_likelihood", "test_elbo"]
    assert [each["experiment"] for each, _ in of_two[0].rows] == ["gan", "vae"]
    keys = {column.key for column in of_two[0].columns}
    assert not keys & {"test_bits_per_dimension", "train_seconds"}, "no model has them"
    real = dict(zip([column.key for column in of_two[0].columns], of_two[0].real_images, strict=True))
    assert (real["fid"].text, real["test_elbo"].text, real["parameters"].text) == ("0.50", "", "")
    assert real["classes"].text == "10"


def test_a_note_says_that_few_real_images_say_little() -> None:
    of_few = row("vae", "mnist", "-90.5", "40") | {"reference_images": "499"}
    assert tables([row("vae", "mnist", "-90.5", "40")])[0].note == ""
    assert tables([of_few])[0].note == "Only 499 real images: FID, KID, precision and recall of so few say little."


def test_several_seeds_give_mean_and_deviation_and_clear_differences_are_marked() -> None:
    cells = cells_of([
        row("sure", "mnist", "-90.0", "1.0", ("-91.0", "1.5"), ("-92.0", "2.0")),
        row("worse", "mnist", "-100.0", "9.0", ("-102.0", "9.5"), ("-104.0", "10.0")),
        row("as good", "mnist", "-90.5", "1.25", ("-91.5", "2.0"), ("-92.25", "2.5")),
        row("once", "mnist", "-200.0", "70"),
    ])  # fmt: skip
    sure, worse, as_good, once = (cells[name] for name in ("sure", "worse", "as good", "once"))
    assert [cells["seeds"].text for cells in (sure, worse, as_good, once)] == ["3", "3", "3", "1"]
    assert (sure["FID"].text, sure["FID"].best) == ("1.50 ± 0.50", True)
    assert sure["FID"].title == "fid_classifier; mean and standard deviation over 3 seeds"
    assert (worse["FID"].text, worse["ELBO"].text) == ("9.50 ± 0.50", "-102.00 ± 2.0")
    assert as_good["FID"].text == "1.92 ± 0.63"
    marked = [[cells[heading].best for cells in (sure, worse, as_good, once)] for heading in ("FID", "ELBO")]
    assert marked == [[True, False, True, False]] * 2
    shares = {"over_seeds": {"recognised": Spread.of([0.5, 0.25])}, "recognised": "0.5"}
    assert _cell("recognised", shares, ()).text == "37.5% ± 17.7%"
    assert once["FID"].text == "70.00"  # one seed has no deviation


def test_precision_and_recall_are_never_marked() -> None:
    """Samples of noise can have the best precision, with a recall of 0."""
    cells = cells_of([
        row("noise", "mnist", "-200.0", "0.99", ("-200.0", "0.98")),
        row("digits", "mnist", "-90.0", "0.5", ("-90.0", "0.51")),
    ])  # fmt: skip
    assert cells["noise"]["IS"].best
    assert not any(each[heading].best for each in cells.values() for heading in ("precision", "recall"))


def test_settings_are_compared_with_the_recipe(project: Project) -> None:
    settings = {
        "seed": 0,
        "ema": 0.5,
        "epochs": 9,
        "penalty": None,
        "decay": None,
        "model": {"latent": 2, "hidden": [3], "tied": True},
    }
    write_json(project.model("it") / "manifest.json", {"settings": settings, "profile": "quick"})
    recipe = {"ema": 0.5, "epochs": {"quick": 3, "full": 4}, "model": {"latent": 20, "hidden": [3]}}
    recipe |= {"decay": {"factor": 0.5}}
    entry = {"recipe": "small", "seed": 0, "ema": 0.5, "epochs": {"quick": 9}, "decay": None, "model": {"tied": True}}
    found = used_settings(project, "it", {"recipes": {"small": recipe}, "experiments": {"it": entry}})
    assert found.recipe == "small"
    assert found.differences == [
        ("epochs", "9", "3"),
        ("model.latent", "2", "20"),
        ("model.tied", "on", "not set"),
        ("decay.factor", "not set", "0.5"),
    ]
    assert ("ema", "0.5") in found.all
    assert "penalty" not in dict(found.all)
    assert used_settings(project, "it", {}).all == []


def test_a_wall_begins_with_real_images_and_is_sorted_by_fid(tmp_path: Path) -> None:
    project = Project(tmp_path)
    rows = [row("worse", "mnist", "-90", "30"), row("better", "mnist", "-95", "20")]
    for each in rows:
        each |= {"reference": "mnist/test"}
        project.plots(each["experiment"]).mkdir(parents=True)
    grey = np.arange(0, 250, 10, dtype=np.uint8)[:, None, None] * np.ones((1, 6, 4), np.uint8)
    Image.fromarray(tile(grey, 5)).save(project.plots("better") / "samples.png")
    [wall] = walls(project, rows)
    assert (wall["title"], wall["real"]) == ("mnist/test", None)
    assert [(each["row"]["experiment"], each["fid"]) for each in wall["rows"]] == [
        ("better", "20.00"),
        ("worse", "30.00"),
    ]
    picture = wall["rows"][0]["picture"]
    strip = np.asarray(Image.open(BytesIO(base64.b64decode(picture["data"]))).convert("L"))
    assert strip.shape == (picture["height"], picture["width"]) == (6, 15 * 4 + 14 * 2)
    assert strip[0, ::6].tolist() == [*range(0, 150, 10)]
    project.reference("mnist").mkdir(parents=True)
    (project.reference("mnist") / "real.png").write_bytes(b"damaged")
    with pytest.raises(TriptychError, match="real.png"):
        walls(project, rows)


def test_pictures_of_one_height_are_neighbours(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.comparison.mkdir(parents=True)
    sizes = {"M2.7c-progress": (1584, 840), "X2-samples-a": (1980, 888)}
    sizes |= {
        f"X2-{measure}-{of}": (840, height) for measure in ("fid", "is") for of, height in (("a", 751), ("b", 506))
    }
    for name, size in sizes.items():
        Image.new("L", size).save(project.comparison / f"{name}.png")
    names = [picture["name"] for picture in compared_pictures(project)]
    assert names == ["M2.7c-progress", "X2-fid-b", "X2-is-b", "X2-fid-a", "X2-is-a"]


def test_a_chart_is_drawn_in_panels_of_its_values() -> None:
    values = [-500.0, -10.0, None, -8.0, -6.0, -5.0]
    lines = [{"label": "training", "colour": "#000000", "dashed": False, "values": values}]
    whole, later = panels({"x": "epoch", "y": "bound", "steps": [*range(6)], "lines": lines})
    assert (whole["first"], later["first"]) == (None, 1)
    assert whole["data"]["values"] == [values]
    assert later["data"]["steps"] == [1, 2, 3, 4, 5]
    [line] = later["lines"]
    assert line["path"].count("M") == 2, "a missing value is a gap"
    assert line["ys"] == [*line["ys"][:1], None, *sorted(line["ys"][2:], reverse=True)]
    assert [text for _, text in later["x_ticks"]] == ["1", "2", "3", "4", "5"]
    assert [text for _, text in later["y_ticks"]] == ["-10", "-8", "-6"]


def test_a_study_of_several_seeds_shows_their_mean() -> None:
    of_seed = [{"configurations": ["a"], "headline": "kl", "a": {"kl": kl, "verdict": "good"}} for kl in (0.25, 0.75)]
    columns, [(_, cells)] = study_table(of_seed)
    assert columns == ["kl", "verdict"]
    assert [cell.text for cell in cells] == ["0.5 ± 0.35", "good"]
    of_seed[1]["a"]["verdict"] = "bad"
    assert study_table(of_seed)[1][0][1][1].text == "good, bad"


def test_a_studys_table_begins_with_its_headline() -> None:
    metrics = {
        "configurations": ["a", "b"],
        "headline": "kl",
        "a": {"samples": 9, "loss": 1.5, "kl": 0.25, "kl_standard_error": 0.125, "verdict": "good"},
        "b": {"samples": 9, "loss": 2.5, "kl": 0.5, "kl_standard_error": 0.5},
    }
    columns, [(_, first), (_, second)] = study_table([metrics])
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
    later = facts | {"git_dirty": True, "started": last, "machine": "another"}
    found = provenance([{"name": "it", "train": facts, "evaluate": later}, {"name": "lost", "train": {}}])
    assert found == {
        "commits": ["abc", "abc (with uncommitted changes)"],
        "machines": ["m", "another"],
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
