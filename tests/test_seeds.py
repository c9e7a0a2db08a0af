"""Seeds: which trainings there are, what they are called, and what they say together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ruamel.yaml import YAML
from scipy import stats

from triptych.core.errors import TriptychError
from triptych.evaluation.over_seeds import Spread, differ, spreads
from triptych.settings.params import Settings, parse
from triptych.settings.seeds import base_of, check_for_dvc, for_dvc, further_seeds, grouped, stage_name, write_for_dvc
from triptych.stages.report import seed_rows


def with_seeds(params: dict, seeds: object) -> Settings:
    return parse(params | {"seeds": seeds})


@pytest.mark.parametrize(
    ("wanted", "own", "expected"),
    [(1, 0, []), (3, 0, [1, 2]), (2, 7, [8]), ([], 0, []), ([5, 9], 0, [5, 9]), ([0, 2, 0, 2], 0, [2])],
)
def test_a_number_counts_upwards_and_a_list_is_taken_as_it_is(wanted: object, own: int, expected: list[int]) -> None:
    assert further_seeds(wanted, own) == expected


def test_a_repeat_is_the_experiment_with_another_seed(tiny_params: dict) -> None:
    settings = with_seeds(tiny_params, {"vae-20d": 3, "planar-samples": [4]})
    assert [name for name in settings.all_experiments if name.startswith("vae-20d")] == [
        "vae-20d",
        "vae-20d-seed-1",
        "vae-20d-seed-2",
    ]
    first, second = settings.experiment("vae-20d"), settings.experiment("vae-20d-seed-2")
    assert second.model_dump() == first.model_dump() | {"seed": 2}
    assert settings.study("planar-samples-seed-4").seed == 4
    assert "planar-samples-seed-4" in settings.measured
    assert "vae-20d-seed-1" not in settings.experiments
    every = with_seeds(tiny_params, 2)
    assert len(every.all_experiments) == 2 * len(every.experiments)


@pytest.mark.parametrize(
    ("seeds", "words"),
    [
        (0, "seeds: write a number of trainings, 1 to 1,000, or a list of seeds, not 0"),
        ("3", "seeds: write a number of trainings, 1 to 1,000, or a list of seeds, not '3'"),
        ([1, -1], "seeds: write a number of trainings, 1 to 1,000, or a list of seeds, not [1, -1]"),
        ({"vae-20d": True}, "seeds: vae-20d: write a number of trainings"),
        ({"vae": 2}, "seeds.vae: there is no experiment or study of that name"),
        ({"": 2}, "seeds: '' is no name of an experiment or a study"),
    ],
)
def test_impossible_seeds_are_refused_in_a_sentence(tiny_params: dict, seeds: object, words: str) -> None:
    with pytest.raises(TriptychError) as refused:
        with_seeds(tiny_params, seeds)
    assert words in str(refused.value)


def test_no_entry_takes_the_name_of_a_repeat(tiny_params: dict) -> None:
    experiments = tiny_params["experiments"]
    with pytest.raises(TriptychError, match="that of a repeat"):
        parse(tiny_params | {"experiments": experiments | {"vae-20d-seed-1": experiments["vae-20d"]}})


def test_names_lead_to_stages_and_back() -> None:
    assert stage_name("train", "vae-20d") == "train@vae-20d"
    assert stage_name("train", "vae-20d-seed-12") == "train-seed@vae-20d-seed-12"
    assert stage_name("classifier", "mnist-seed-1") == "classifier@mnist-seed-1"
    assert (base_of("vae-20d-seed-12"), base_of("vae-20d")) == ("vae-20d", "vae-20d")
    assert grouped(["a", "a-seed-3", "b"]) == {"a": ["a", "a-seed-3"], "b": ["b"]}


def test_dvc_gets_what_its_stages_need(tiny_params: dict, tmp_path: Path) -> None:
    settings, path = with_seeds(tiny_params, {"vae-20d": 2, "planar-samples": 2}), tmp_path / "seeds.yaml"
    with pytest.raises(TriptychError, match="run `triptych seeds`"):
        check_for_dvc(settings, path)
    assert write_for_dvc(settings, path)
    assert not write_for_dvc(settings, path)
    check_for_dvc(settings, path)
    assert YAML(typ="safe").load(path) == {
        "experiment_repeats": {
            "vae-20d-seed-1": {
                "experiment": "vae-20d",
                "family": "vae",
                "dataset": "binarized_mnist",
                "reference": "mnist",
            }
        },
        "study_repeats": {"planar-samples-seed-1": {"entry": "planar-samples", "study": "planar"}},
    }
    alone = with_seeds(tiny_params, 1)
    with pytest.raises(TriptychError, match="does not hold the repeats"):
        check_for_dvc(alone, path)
    assert YAML(typ="safe").load(for_dvc(alone)) == {"experiment_repeats": {}, "study_repeats": {}}
    check_for_dvc(alone, tmp_path / "nothing.yaml")


def test_a_spread_is_mean_and_sample_deviation() -> None:
    values = [1.5, 2.5, 4.0]
    [(key, spread)] = spreads([{"elbo": value, "only": 1.0} if value < 2 else {"elbo": value} for value in values])
    assert key == "elbo"
    assert spread.mean == pytest.approx(np.mean(values))
    assert spread.deviation == pytest.approx(np.std(values, ddof=1))
    assert spread.n == 3
    assert Spread.of([2.0]) == Spread(2.0, None, 1)


def test_seeds_csv_has_a_row_a_number() -> None:
    found = seed_rows({
        "a": {"test": {"elbo": -2.0}, "fid": {"value": 1.0, "samples": 9}},
        "a-seed-1": {"test": {"elbo": -4.0}, "fid": {"value": 1.0, "samples": 9}},
        "b": {"test": {"elbo": -3.0}},
    })  # fmt: skip
    assert found == [
        ("a", "test.elbo", -3.0, pytest.approx(2**0.5), 2),
        ("a", "fid", 1.0, 0.0, 2),
        ("b", "test.elbo", -3.0, None, 1),
    ]


def test_what_differs_is_told_by_welchs_test() -> None:
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
