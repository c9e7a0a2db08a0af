"""The findings of the page follow the numbers, in either direction."""

from __future__ import annotations

import pytest

from triptych.evaluation.gan.measure import sentence
from triptych.evaluation.gan.rank_correlation import RankCorrelation
from triptych.evaluation.over_seeds import Spread
from triptych.evaluation.presentation import presentation_of
from triptych.reports.page.findings import findings
from triptych.settings.params import Settings, parse

PROTOCOL = {"reference": "mnist/test", "real_images": 2.5}


@pytest.fixture
def settings(params: dict) -> Settings:
    return parse(params)


def answer(settings: Settings, word: str, metrics: dict, studies: dict | None = None) -> list[str]:
    """Return the sentences below the question that contains this word."""
    return next((found for question, found in findings(settings, metrics, studies or {}) if word in question), [])


def evaluated(fid: float = 10.0, reach: float = 1.0, **test: float) -> dict:
    absent = {} if test else {"log_likelihood": "a GAN has no density"}
    return {
        "test": test,
        "not_defined": absent,
        "reference": {"name": "mnist"},
        "fid_classifier": {"value": fid, "low": fid - reach, "high": fid + reach, **PROTOCOL},
    }


def with_critic(*value: float) -> dict:
    """Return metrics with the correlation (value, low, high, p), or without a correlation."""
    correlation = {"snapshots": 10, "sentence": sentence(RankCorrelation(*value) if value else None, 10)}
    correlation |= dict(zip(("value", "low", "high", "p"), value, strict=False))
    return evaluated() | {"over_training": {"correlation": correlation}}


def with_likelihood(log_likelihood: float, error: float, gap: float) -> dict:
    return evaluated(log_likelihood=log_likelihood, log_likelihood_standard_error=error, gap=gap)


def test_there_is_no_finding_without_its_numbers(settings: Settings) -> None:
    assert findings(settings, {}, {}) == []
    assert answer(settings, "progress", {"cifar10-jsd-1": with_critic()}) == []
    assert answer(settings, "posterior", {"vae-100d-planar": with_likelihood(-90.0, 1.0, 2.0)}) == []


def test_the_progress_of_a_gan(settings: Settings) -> None:
    found = answer(
        settings,
        "progress",
        {
            "cifar10-jsd-1": with_critic(0.7, 0.1, 0.9, 0.01),
            "cifar10-jsd-2": with_critic(-0.8, -0.9, -0.2, 0.01),
            "cifar10-jsd-3": with_critic(0.3, -0.4, 0.8, 0.4),
        },
    )
    assert [line.split(":")[0] for line in found] == ["cifar10-jsd-1", "cifar10-jsd-2", "cifar10-jsd-3"]
    assert "falls when FID falls" in found[0]
    assert "rises when FID falls" in found[1]
    assert "do not show whether" in found[2]
    assert len(answer(settings, "progress", {"cifar10-jsd-1": with_critic(0.7, 0.1, 0.9, 0.01)})) == 1


def test_the_layers_of_a_planar_flow(settings: Settings) -> None:
    values = {"arcs-k2": 3.0, "arcs-k8": 2.8, "arcs-k32": 2.7, "sine-k2": 3.0, "sine-k8": 3.1, "sine-k32": 2.9}
    study = {name: {"held_out": {"loss": value, "loss_standard_error": 0.02}} for name, value in values.items()}
    study |= {"headline": "held_out.loss", "headline_is": "loss, nats", "configurations": list(values)}
    arcs, sine = answer(settings, "layers", {}, {"planar-samples": study})
    assert (
        "3.000 with 2 layers, 2.800 with 8 layers, 2.700 with 32 layers; each step is an improvement with this seed"
        in arcs
    )
    assert "no clear improvement at 8." in sine
    study["arcs-k32"]["held_out"]["loss"] = 2.75
    arcs, _ = answer(settings, "layers", {}, {"planar-samples": study})
    assert "2.750 with 32 layers; no clear improvement at 32" in arcs, "2.71 to 2.79 overlaps 2.76 to 2.84"
    (kept,) = answer(settings, "layers", {}, {"planar-samples": study | {"configurations": ["arcs-k2", "arcs-k8"]}})
    assert "3.000 with 2 layers, 2.800 with 8 layers; each" in kept  # the results count, not the present params.yaml


def test_a_planar_posterior(settings: Settings) -> None:
    metrics = {"vae-100d": with_likelihood(-92.0, 0.5, 4.0), "vae-100d-planar": with_likelihood(-90.0, 0.5, 3.0)}
    (line,) = answer(settings, "posterior", metrics)
    assert "The difference is +2.00 nats" in line
    assert "3.00 nats with the layers and 4.00 nats without" in line


def test_the_comparison_of_the_families(settings: Settings) -> None:
    metrics = {
        "vae-20d": evaluated(30.0, log_likelihood=-95.0, log_likelihood_standard_error=0.5),
        "vae-100d": evaluated(20.0, log_likelihood=-90.0, log_likelihood_standard_error=0.5),
        "gan-mnist": evaluated(10.0),
        "nice-mnist": evaluated(40.0, log_likelihood=-1000.0, bits_per_dimension=2.0),
        "realnvp-mnist": evaluated(50.0, log_likelihood=-900.0, bits_per_dimension=1.8),
    }
    fidelity, binary, flows, without = answer(settings, "families", metrics)
    assert "gan-mnist 10.00 (95 % interval 9.00 to 11.00), vae-100d 20.00" in fidelity
    assert "nice-mnist 40.00" in fidelity
    assert (
        "its 95 % interval overlaps no other interval, so gan-mnist is better with the seeds of these runs" in fidelity
    )
    assert "vae-20d" not in fidelity
    better = "its 95 % interval overlaps no other interval, so vae-100d is better with the seeds of these runs"
    assert f"vae-100d has the highest log-likelihood, -90.00 nats: {better}" in binary
    assert "realnvp-mnist has the fewest bits per dimension, 1.800: there are no intervals" in flows
    assert "gan-mnist (a GAN has no density)" in without


def test_numbers_have_the_formats_of_the_table(settings: Settings) -> None:
    metrics = {
        "vae-100d": with_likelihood(-1091.5, 0.5, 1004.0),
        "vae-100d-planar": with_likelihood(-1091.0, 0.5, 1003.0),
    }
    metrics["vae-100d"]["fid_classifier"] |= {"value": 1250.0, "low": 1200.0, "high": 1300.0, "real_images": -0.0}
    (line,) = answer(settings, "posterior", metrics)
    assert "-1,091.00 nats" in line
    assert "1,003.00 nats with the layers and 1,004.00 nats without" in line
    fidelity, likelihood, *_ = answer(settings, "families", {name: metrics[name] for name in sorted(metrics)})
    assert "vae-100d-planar has the highest log-likelihood, -1,091.00 nats" in likelihood
    (fidelity,) = answer(settings, "families", {"vae-100d": metrics["vae-100d"]})
    assert fidelity.endswith("mnist/test: vae-100d 1,250.00 (95 % interval 1,200.00 to 1,300.00); real images 0.00.")


def test_the_best_is_chosen_from_several(settings: Settings) -> None:
    """If every experiment is shown, none was chosen as the best of its family."""
    metrics = {"vae-20d": evaluated(18.0), "gan-mnist": evaluated(10.0)}
    fidelity, *_ = answer(settings, "families", metrics)
    assert "mnist/test: gan-mnist 10.00" in fidelity
    fidelity, *_ = answer(settings, "families", metrics | {"vae-2d": evaluated(30.0)})
    assert "mnist/test, the best of each family: gan-mnist 10.00" in fidelity
    fidelity, *_ = answer(settings, "families", {"vae-20d": metrics["vae-20d"], "vae-2d": evaluated(30.0)})
    assert "mnist/test, the best: vae-20d 18.00" in fidelity


def test_models_with_overlapping_intervals_are_not_ranked(settings: Settings) -> None:
    metrics = {name: evaluated(fid, 5.0) for name, fid in (("vae-20d", 18.0), ("gan-mnist", 10.0), ("vae-2d", 30.0))}
    fidelity, *_ = answer(settings, "families", metrics)
    assert "The best is gan-mnist: its 95 % interval overlaps that of vae-20d, so their order is uncertain." in fidelity
    del metrics["vae-2d"]["fid_classifier"]["low"]
    fidelity, *_ = answer(settings, "families", metrics)
    assert "The best is gan-mnist: there are no intervals, so their order is uncertain." in fidelity


def test_models_with_different_numbers_of_updates_are_not_ranked(settings: Settings) -> None:
    metrics = {"cifar10-jsd-2": evaluated(90.0), "cifar10-w1-2": evaluated(30.0)}
    fidelity, *_ = answer(settings, "families", metrics)
    assert "no ranking, because the numbers of updates differ: 40 for cifar10-jsd-2; 260 for cifar10-w1-2" in fidelity
    assert "The best is" not in fidelity


def test_two_snapshots_of_a_gan_are_compared_by_their_intervals() -> None:
    best = {"update": 8, "kid": 1.0, "is": 2.0, "fid": 30.0, "fid_low": 28.0, "fid_high": 31.0}
    best["fid_standard_error"] = 0.5
    for low, words in ((30.5, "overlaps that of update 16"), (32.0, "so update 8 is better")):
        last = {"update": 16, "kid": 1.0, "is": 2.0, "fid": 33.0, "fid_low": low, "fid_high": 36.0}
        correlation = {"sentence": "s"}
        over_training = {"best": best, "last": last, "correlation": correlation}
        conclusion, scores, judged = presentation_of("gan").notes({"over_training": over_training})
        assert "update 8, fid 30 ± 0.50 (95 % interval 28 to 31), kid 1, is 2. Last snapshot: update 16" in scores
        assert conclusion == "S (M2.7d)."
        assert words in judged


def test_a_negative_estimate_of_jsd_is_explained() -> None:
    scores = {"update": 8, "kid": 1.0, "is": 2.0, "fid": 30.0}
    for estimates, explained in (({"jsd": -0.5}, True), ({"jsd": 0.5}, False), ({"w1": -0.5}, False)):
        snapshot = scores | estimates
        over_training = {"best": snapshot, "last": snapshot, "correlation": {"sentence": "s"}}
        notes = list(presentation_of("gan").notes({"over_training": over_training}))
        assert any("lower bound" in note and "negative" in note for note in notes) is explained


def of_seeds(name: str, fids: list[float], likelihoods: list[float]) -> dict:
    over = {"fid_classifier": Spread.of(fids)}
    over |= {"test_log_likelihood": Spread.of(likelihoods)} if likelihoods else {}
    row = {"experiment": name, "reference": "mnist/test", "dataset": "mnist", "over_seeds": over}
    return row | {"measure_names": {"fid": "fid_classifier"}}


def test_differences_are_compared_with_those_between_seeds(settings: Settings) -> None:
    table = [
        of_seeds("best", [1.0, 1.5, 2.0], [-90.0, -91.0, -92.0]),
        of_seeds("as good", [1.25, 2.0, 2.5], []),
        of_seeds("worse", [9.0, 9.5, 10.0], [-102.0, -104.0, -106.0]),
        of_seeds("once", [0.5], [-80.0]),
    ]
    assert dict(findings(settings, {}, {}, table))["Are the differences larger than those between seeds?"] == [
        "FID on classifier features, mnist/test: best has the best mean, 1.50 ± 0.50 over 3 seeds; significantly "
        "different from it: worse; not significantly different from it: as good.",
        "log-likelihood on mnist: best has the best mean, -91.00 ± 1.0 over 3 seeds; significantly different from it: "
        "worse.",
    ]
    assert findings(settings, {}, {}, table[2:]) == []
