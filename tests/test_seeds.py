"""Seeds: entries of `params.yaml`, groups by settings, mean and deviation over them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from conftest import ROOT
from triptych.core.errors import TriptychError
from triptych.evaluation.over_seeds import Spread, differ, group_by_settings, spreads
from triptych.settings.params import LARGEST, load, parse
from triptych.settings.seeds import set_seeds
from triptych.settings.text_edits import write_edits
from triptych.stages.report import seed_rows


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the path of a copy of the committed `params.yaml`."""
    copy = tmp_path / "params.yaml"
    copy.write_bytes((ROOT / "params.yaml").read_bytes())
    return copy


def test_equal_settings_with_other_seeds_are_one_group() -> None:
    settings = {
        "a": {"seed": 0, "rate": 1.0, "model": {"width": 2}},
        "b": {"seed": 0, "rate": 2.0, "model": {"width": 2}},
        "c": {"model": {"width": 2, "planar": None}, "rate": 1.0, "seed": 7, "decay": None},
        "d": {"seed": 7, "rate": 1.0, "model": {"width": 2}},  # a copy of c, not another sample
        "e": {"seed": 1, "rate": 1.0, "model": {"width": 3}},
    }
    assert group_by_settings(settings) == {"a": ["a", "c"], "b": ["b"], "d": ["d"], "e": ["e"]}


def test_groups_are_found_by_settings_not_by_names(tiny_params: dict) -> None:
    experiments = tiny_params["experiments"]
    more = {"again": experiments["vae-20d"] | {"seed": 4}, "vae-20d-seed-1": experiments["vae-20d"] | {"ema": 0.9}}
    settings = parse(tiny_params | {"experiments": experiments | more})
    groups = settings.seed_groups()
    assert groups["vae-20d"] == ["vae-20d", "again"]
    assert groups["vae-20d-seed-1"] == ["vae-20d-seed-1"]
    assert groups["planar-samples"] == ["planar-samples"]
    assert settings.seed_groups(among=["again"]) == {"again": ["again"]}


def test_seeds_are_added_after_their_experiment_and_removed_again(path: Path) -> None:
    before = path.read_text(encoding="utf-8")
    assert set_seeds(path, 3, ["vae-2d", "dirac"]) == (
        ["vae-2d-seed-1", "vae-2d-seed-2", "dirac-seed-1", "dirac-seed-2"],
        [],
    )
    after = path.read_text(encoding="utf-8")
    block = "    dataset: binarized_mnist\n    reference: mnist\n    recipe: vae-20d\n    seed: {}\n"
    block = "    family: vae\n" + block + "    model: {{latent: 2}}\n"
    first = "  vae-2d:  # its latent plane can be drawn\n" + block.format(0)
    assert first in before
    others = "".join(f"  vae-2d-seed-{seed}:\n{block.format(seed)}" for seed in (1, 2))
    studies = "".join(f"  dirac-seed-{seed}: {{study: dirac, recipe: dirac, seed: {seed}}}\n" for seed in (1, 2))
    dirac = next(line for line in before.splitlines(keepends=True) if line.startswith("  dirac: {"))
    assert after == before.replace(first, first + others).replace(dirac, dirac + studies)
    settings = load(path)
    assert settings.experiment("vae-2d-seed-2") == settings.experiment("vae-2d").model_copy(update={"seed": 2})
    assert set_seeds(path, 2, ["vae-2d"]) == ([], ["vae-2d-seed-2"])
    assert set_seeds(path, 1) == ([], ["vae-2d-seed-1", "dirac-seed-1", "dirac-seed-2"])
    assert path.read_text(encoding="utf-8") == before
    assert set_seeds(path, 1) == ([], [])


def test_the_file_keeps_its_permissions(path: Path) -> None:
    path.chmod(0o664)
    set_seeds(path, 2, ["vae-2d"])
    assert path.stat().st_mode & 0o777 == 0o664


def test_every_experiment_and_study_gets_seeds(path: Path) -> None:
    before = load(path)
    added, removed = set_seeds(path, 2)
    assert added == [f"{name}-seed-1" for name in (*before.experiments, *before.studies)]
    assert removed == []
    assert all(len(names) == 2 for names in load(path).seed_groups().values())


def test_other_settings_are_no_surplus_seed(path: Path) -> None:
    set_seeds(path, 2, ["vae-20d"])
    text = path.read_text(encoding="utf-8").replace("    seed: 1\n", "    seed: 1\n    ema: 0.9\n")
    path.write_text(text, encoding="utf-8")
    assert set_seeds(path, 1, ["vae-20d"]) == ([], [])
    with pytest.raises(TriptychError, match="already has an entry vae-20d-seed-1"):
        set_seeds(path, 2, ["vae-20d"])
    assert path.read_text(encoding="utf-8") == text


@pytest.mark.parametrize("end", ["", "\n", "  # the last comment", "\n\n# the last comment\n"])
def test_flow_style_comments_and_the_end_of_the_file_stay(path: Path, end: str) -> None:
    text = path.read_text(encoding="utf-8").partition("  dirac: {study")[0]
    text += "  # a comment\n  dirac: {study: dirac, seed: 3, recipe: dirac}" + end
    path.write_text(text, encoding="utf-8")
    added = "  dirac-seed-4: {study: dirac, seed: 4, recipe: dirac}\n"
    assert set_seeds(path, 2, ["dirac"]) == (["dirac-seed-4"], [])
    line, separator, rest = end.partition("\n")
    assert path.read_text(encoding="utf-8") == text.removesuffix(end) + line + "\n" + added + rest
    assert set_seeds(path, 1, ["dirac"]) == ([], ["dirac-seed-4"])
    assert path.read_text(encoding="utf-8") == text + ("" if separator else "\n")


def test_an_unknown_name_changes_nothing(path: Path) -> None:
    before = path.read_bytes()
    with pytest.raises(TriptychError, match=r"params\.yaml has no experiments\.nobody or studies\.nobody"):
        set_seeds(path, 2, ["vae-20d", "nobody"])
    assert path.read_bytes() == before


def test_a_file_that_is_not_text_is_refused(path: Path) -> None:
    path.write_bytes(b"\xff" + path.read_bytes())
    with pytest.raises(TriptychError, match=r"params\.yaml is not valid YAML"):
        set_seeds(path, 2)


def test_a_spread_is_mean_and_sample_deviation() -> None:
    values = [1.5, 2.5, 4.0]
    [(key, spread)] = spreads([{"elbo": value, "only": 1.0} if value < 2 else {"elbo": value} for value in values])
    assert key == "elbo"
    assert spread.mean == pytest.approx(np.mean(values))
    assert spread.deviation == pytest.approx(np.std(values, ddof=1))
    assert spread.n == 3
    assert Spread.of([2.0]) == Spread(2.0, None, 1)


def test_a_file_with_aliases_is_not_edited(path: Path) -> None:
    """The node of an alias stands elsewhere in the file, so an edit at its place would change another entry."""
    text = path.read_text(encoding="utf-8")
    latent = "    model: {latent: 2}\n"
    assert text.count(latent) == 1
    path.write_text(
        text.replace(
            latent,
            f"{latent}    betas: &betas [0.9, 0.99]\n  vae-2d-again:\n    family: vae\n"
            "    dataset: binarized_mnist\n    reference: mnist\n    recipe: vae-20d\n    seed: 3\n    betas: *betas\n",
        )
    )
    load(path)
    before = path.read_bytes()
    with pytest.raises(TriptychError, match=r"has an alias such as \*name"):
        set_seeds(path, 2, ["vae-2d-again"])
    assert path.read_bytes() == before


def test_a_file_does_not_grow_beyond_what_can_be_read(path: Path) -> None:
    before = path.read_bytes()
    with pytest.raises(TriptychError, match=r"would have .* bytes, more than .*: add fewer entries"):
        write_edits(path, before.decode(), [(0, 0, f"# {'x' * LARGEST}\n")])
    assert path.read_bytes() == before


def test_seeds_csv_has_one_row_per_number() -> None:
    metrics = {
        "a": {"test": {"elbo": -2.0}, "fid": {"value": 1.0, "samples": 9}},
        "b": {"test": {"elbo": -3.0}},
        "c": {"test": {"elbo": -4.0}, "fid": {"value": 1.0, "samples": 9}},
    }
    found = seed_rows(metrics, {"a": ["a", "c"], "b": ["b"]})
    assert found == [
        ("a", "test.elbo", -3.0, pytest.approx(2**0.5), 2),
        ("a", "fid", 1.0, 0.0, 2),
        ("b", "test.elbo", -3.0, None, 1),
    ]


def test_welchs_test_decides_whether_means_differ() -> None:
    source, answers = np.random.default_rng(0), set()
    for shift in (0.0, 1.0, 2.0, 3.0, 8.0):
        one, other = source.normal(size=3), source.normal(shift, 2.0, size=5)
        expected = stats.ttest_ind(one, other, equal_var=False).pvalue < 0.05
        assert differ(Spread.of(list(one)), Spread.of(list(other))) is bool(expected)
        answers.add(bool(expected))
    assert answers == {True, False}
    assert differ(Spread.of([1.0]), Spread.of([1.0, 2.0])) is None
    assert differ(Spread.of([1.0, 1.0]), Spread.of([2.0, 2.0])) is True
    assert differ(Spread.of([1.0, 1.0]), Spread.of([1.0, 1.0])) is False
