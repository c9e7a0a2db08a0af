"""The comparison pictures of the stage `report` show the numbers of hand-made results."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from matplotlib.container import BarContainer, ErrorbarContainer
from PIL import Image

from triptych.core.json_files import write_json
from triptych.core.tracker import Tracker
from triptych.figures.comparison import Bounds, bounds
from triptych.stages import report
from triptych.training.history import write_history

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

VALUES = {  # FID, KID, IS, ELBO and log-likelihood; the orders by ELBO and by log-likelihood differ
    "poor": (50.0, 6.0, 3.0, -112.0, -110.0),
    "good": (20.0, 2.0, 7.0, -95.0, -90.0),
    "good-seed-1": (10.0, 1.0, 9.0, -85.0, -80.0),
    "fair": (35.0, 4.0, 5.0, -115.0, -101.0),
    "critic": (65.0, 8.0, 2.0, None, None),
}
FAMILIES = dict.fromkeys(VALUES, "vae") | {"critic": "gan"}
GROUPS = {"poor": ["poor"], "good": ["good", "good-seed-1"], "fair": ["fair"], "critic": ["critic"]}
ERRORS = {  # standard errors of FID, KID, IS and log-likelihood, each exact in binary
    "poor": (2.0, 0.5, 0.25, 0.75),
    "good": (1.0, 0.125, 0.5, 0.5),
    "good-seed-1": (0.5, 0.25, 1.0, 0.25),
    "fair": (1.5, 0.375, 0.75, 1.5),
    "critic": (3.0, 1.0, 0.125, None),
}
REAL = {"fid": 4.0, "kid": 0.125, "is": 9.5}


def results(name: str) -> dict:
    """Return the content of `results.json` of an experiment."""
    fid, kid, inception_score, elbo, log_likelihood = VALUES[name]
    *errors, error_of_likelihood = ERRORS[name]
    protocol = {"samples": 1000, "reference": "mnist/test", "reference_images": 500, "extractor": "classifier-mnist"}
    scores = zip(REAL, (fid, kid, inception_score), errors, strict=True)
    found = {
        **{
            f"{measure}_classifier": protocol | {"value": value, "standard_error": error, "real_images": REAL[measure]}
            for measure, value, error in scores
        },
        **{key: {"value": 0.5} for key in ("precision_classifier", "recall_classifier", "recognised", "classes")},
        "test": {
            "elbo": elbo,
            "elbo_standard_error": 99.0,
            "log_likelihood": log_likelihood,
            "log_likelihood_standard_error": error_of_likelihood,
        },
        "not_defined": {"bits_per_dimension": "the pixels are binary"},
        "samples_are": "images",
        "copying": protocol | {"value": 0.5, "z_score": 0.0, "sentence": "s", "test_images": 1, "training_images": 1},
        "parameters": 7,
        "epochs": 3,
        "profile": "quick",
        "reference": {"name": "mnist", "key": "k"},
        "data": {"dataset": "mnist", "source": "digits", "sha256": "d"},
        "fingerprint": "f",
        "weights_sha256": "w",
    }
    if name == "critic":
        found["test"] = {}
        found["not_defined"] = dict.fromkeys(("elbo", "log_likelihood", "bits_per_dimension"), "a GAN has no density")
        found["over_training"] = {"best": {"update": 400}, "last": {"update": 1200}}
    return found


@pytest.fixture
def figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Figure]:
    """Return the figures of the report by the name of their file."""
    found: dict[str, Figure] = {}

    def keep(figure: Figure, path: Path, **_: object) -> None:
        found[path.name] = figure

    for function in ("save", "save_images"):
        monkeypatch.setattr(report, function, keep)
    for name in VALUES:
        write_json(tmp_path / f"{name}.json", results(name))
    rows = [{"epoch": epoch, "update": 400 * epoch, "w1": 1.0 / epoch, "fid_classifier": 90.0} for epoch in (1, 2, 3)]
    for name in ("critic", "good-seed-1"):
        write_history(tmp_path / f"{name}.csv", rows)
    Image.fromarray(np.zeros((28, 28), np.uint8)).save(tmp_path / "sheet.png")
    report.report(
        families=FAMILIES,
        groups=GROUPS,
        experiments={name: tmp_path / f"{name}.json" for name in VALUES},
        studies={},
        samples=dict.fromkeys(VALUES, tmp_path / "sheet.png"),
        snapshots={name: tmp_path / f"{name}.csv" for name in VALUES},
        summary=tmp_path / "summary.csv",
        seeds=tmp_path / "seeds.csv",
        plots=tmp_path / "plots",
        tracker=Tracker(),
    )
    return found


def rows_from_the_top(axes: Axes) -> list[str]:
    """Return the names beside the rows 0, 1, 2, ..., of which row 0 is at the top."""
    assert axes.yaxis_inverted()
    assert axes.get_yticks().tolist() == [*range(len(axes.get_yticks()))]
    return [label.get_text() for label in axes.get_yticklabels()]


def intervals(axes: Axes) -> list[list[list[float]]]:
    """Return the ends of each error bar as points."""
    [container] = [each for each in axes.containers if isinstance(each, ErrorbarContainer)]
    _, _, [segments] = container
    return [segment.tolist() for segment in segments.get_segments()]


def reaching(values: list[float], errors: list[float]) -> list[list[list[float]]]:
    """Return the ends of error bars that reach one standard error to both sides, one per row."""
    pairs = enumerate(zip(values, errors, strict=True))
    return [[[value - error, place], [value + error, place]] for place, (value, error) in pairs]


def line_of(axes: Axes, label: str) -> np.ndarray:
    """Return the points of the line whose label begins with these words."""
    [line] = [each for each in axes.lines if str(each.get_label()).startswith(label)]
    return np.asarray(line.get_xydata())


@pytest.mark.parametrize("measure", REAL)
def test_bars_show_the_scores_of_the_first_seeds_the_best_at_the_top(figures: dict[str, Figure], measure: str) -> None:
    """The best experiment has the lowest FID and KID and the highest IS."""
    order = ["good", "fair", "poor", "critic"]
    [axes] = figures[f"X2-{measure}-mnist.png"].axes
    column = list(REAL).index(measure)
    values, errors = ([numbers[name][column] for name in order] for numbers in (VALUES, ERRORS))
    assert rows_from_the_top(axes) == order
    [bars] = [each for each in axes.containers if isinstance(each, BarContainer)]
    assert [(bar.get_x(), bar.get_width()) for bar in bars] == [(0.0, value) for value in values]
    assert [bar.get_y() + bar.get_height() / 2 for bar in bars] == pytest.approx([*range(len(order))])
    assert intervals(axes) == reaching(values, errors)
    assert [text.get_text() for text in axes.texts] == [f"{value:#.4g}" for value in values]
    assert line_of(axes, "real images")[:, 0].tolist() == [REAL[measure]] * 2
    assert figures[f"X2-{measure}-mnist.png"].get_suptitle().endswith(", first seed")


def test_bounds_reach_from_the_elbo_to_the_log_likelihood(figures: dict[str, Figure]) -> None:
    """The highest log-likelihood is at the top. Models without a likelihood, and further seeds, are left out."""
    [axes] = figures["M3.10-bounds.png"].axes
    order = ["good", "fair", "poor"]
    assert rows_from_the_top(axes) == order
    elbos, likelihoods = [-95.0, -115.0, -112.0], [-90.0, -101.0, -110.0]
    assert line_of(axes, "ELBO").tolist() == [[elbo, place] for place, elbo in enumerate(elbos)]
    lines, _ = axes.collections
    ends = [segment[:, 0].tolist() for segment in lines.get_segments()]
    assert ends == [[*pair] for pair in zip(elbos, likelihoods, strict=True)]
    [container] = axes.containers
    assert container.get_label().startswith("log-likelihood")
    assert container[0].get_xdata().tolist() == likelihoods
    assert intervals(axes) == reaching(likelihoods, [0.5, 1.5, 0.75])
    texts = [f"{value:.2f}" for pair in zip(elbos, likelihoods, strict=True) for value in pair]
    assert [text.get_text() for text in axes.texts] == texts


def test_each_data_set_has_an_axis_of_its_own_for_bounds() -> None:
    datasets = {
        "mnist": [Bounds("vae", -115.0, -110.0, 0.5), Bounds("vae-2d", -140.0, -130.0, 0.5)],
        "own": [Bounds("vae-own", -1483.0, -1480.0, 5.0)],
    }
    digits, own = bounds(datasets, "bounds").axes
    assert [axes.get_title() for axes in (digits, own)] == ["mnist", "own"]
    assert [rows_from_the_top(axes) for axes in (digits, own)] == [["vae", "vae-2d"], ["vae-own"]]
    assert digits.get_xlim()[0] > own.get_xlim()[1]
    left, right = own.texts
    assert (left.get_text(), right.get_text()) == ("-1,483.00", "-1,480.00")
    assert (left.xy, right.xy) == ((-1485.0, 0), (-1475.0, 0)), "labels stand outside of the error bar"


def test_the_picture_of_seeds_shows_each_seed_with_mean_and_deviation(figures: dict[str, Figure]) -> None:
    """20 and 10 have the mean 15 and the standard deviation of a sample sqrt(50)."""
    [axes] = figures["X2-seeds-fid-mnist.png"].axes
    assert rows_from_the_top(axes) == ["good"]
    assert axes.lines[0].get_xydata().tolist() == [[20.0, 0.0], [10.0, 0.0]]
    [[left, right]] = intervals(axes)
    assert left == pytest.approx([15 - 50**0.5, 0])
    assert right == pytest.approx([15 + 50**0.5, 0])
    assert {name for name in figures if "seeds" in name} == {"X2-seeds-fid-mnist.png", "X2-seeds-elbo-mnist.png"}


def test_samples_are_those_after_training_of_the_first_seeds(figures: dict[str, Figure]) -> None:
    headings = [axes.get_title() for axes in figures["X2-samples-mnist.png"].axes]
    assert headings == ["poor", "good", "fair", "critic\n1,200 updates"]


def test_scores_over_training_are_those_of_the_first_seeds(figures: dict[str, Figure]) -> None:
    left, right = figures["M2.7c-progress.png"].axes
    assert left.get_title() == "critic"
    assert left.lines[0].get_xydata().tolist() == [[400, 1.0], [800, 0.5], [1200, 1 / 3]]
    assert right.lines[0].get_xydata().tolist() == [[400, 90.0], [800, 90.0], [1200, 90.0]]
