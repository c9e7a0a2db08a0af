"""The findings of the page follow the numbers, in either direction."""

from __future__ import annotations

import pytest

from triptych.evaluation.gan.measure import sentence
from triptych.evaluation.gan.rank_correlation import RankCorrelation
from triptych.evaluation.over_seeds import Spread
from triptych.reports.page.findings import findings
from triptych.settings.params import Settings, parse

PROTOCOL = {"reference": "mnist/test", "real_images": 2.5}


@pytest.fixture
def settings(params: dict) -> Settings:
    return parse(params)


def answer(settings: Settings, word: str, metrics: dict, studies: dict | None = None) -> list[str]:
    """Return the sentences below the question that contains this word."""
    return next((found for question, found in findings(settings, metrics, studies or {}) if word in question), [])


def evaluated(fid: float = 10.0, **test: float) -> dict:
    absent = {} if test else {"log_likelihood": "a GAN has no density"}
    return {
        "test": test,
        "not_defined": absent,
        "reference": {"name": "mnist"},
        "fid_classifier": {"value": fid, **PROTOCOL},
    }


def with_critic(*value: float) -> dict:
    """Return metrics with the correlation and its interval (value, low, high), or without a correlation."""
    correlation = {"snapshots": 10, "sentence": sentence(RankCorrelation(*value) if value else None, 10)}
    correlation |= dict(zip(("value", "low", "high"), value, strict=False))
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
            "cifar10-jsd-1": with_critic(0.7, 0.1, 0.9),
            "cifar10-jsd-2": with_critic(-0.8, -0.9, -0.2),
            "cifar10-jsd-3": with_critic(0.3, -0.4, 0.8),
        },
    )
    assert [line.split(":")[0] for line in found] == ["cifar10-jsd-1", "cifar10-jsd-2", "cifar10-jsd-3"]
    assert "both measure progress" in found[0]
    assert "estimate increases" in found[1]
    assert "no relation" in found[2]
    assert len(answer(settings, "progress", {"cifar10-jsd-1": with_critic(0.7, 0.1, 0.9)})) == 1


def test_the_layers_of_a_planar_flow(settings: Settings) -> None:
    values = {"arcs-k2": 3.0, "arcs-k8": 2.8, "arcs-k32": 2.7, "sine-k2": 3.0, "sine-k8": 3.1, "sine-k32": 2.9}
    study = {name: {"held_out": {"loss": value}} for name, value in values.items()}
    study |= {"headline": "held_out.loss", "headline_is": "loss, nats", "configurations": list(values)}
    arcs, sine = answer(settings, "layers", {}, {"planar-samples": study})
    assert "3.000 at k = 2, 2.800 at k = 8, 2.700 at k = 32; each step is better" in arcs
    assert "no improvement at k = 8" in sine
    (kept,) = answer(settings, "layers", {}, {"planar-samples": study | {"configurations": ["arcs-k2", "arcs-k8"]}})
    assert "3.000 at k = 2, 2.800 at k = 8; each" in kept  # the results count, not the present params.yaml


@pytest.mark.parametrize(("error", "verdict"), [(0.5, ", more than 2"), (1.0, ", not more than 2")])
def test_a_planar_posterior(settings: Settings, error: float, verdict: str) -> None:
    metrics = {"vae-100d": with_likelihood(-92.0, error, 4.0), "vae-100d-planar": with_likelihood(-90.0, error, 3.0)}
    (line,) = answer(settings, "posterior", metrics)
    assert "The difference is +2.00 nats" + verdict in line
    assert "3.00 nats with the layers and 4.00 nats without" in line


def test_the_comparison_of_the_families(settings: Settings) -> None:
    metrics = {
        "vae-20d": evaluated(30.0, log_likelihood=-95.0),
        "vae-100d": evaluated(20.0, log_likelihood=-90.0),
        "gan-mnist": evaluated(10.0),
        "nice-mnist": evaluated(40.0, log_likelihood=-1000.0, bits_per_dimension=2.0),
        "realnvp-mnist": evaluated(50.0, log_likelihood=-900.0, bits_per_dimension=1.8),
    }
    fidelity, binary, flows, without = answer(settings, "families", metrics)
    assert "gan-mnist 10.00 (generative adversarial network), vae-100d 20.00" in fidelity
    assert "nice-mnist 40.00" in fidelity
    assert "vae-20d" not in fidelity
    assert "vae-100d has the highest log-likelihood, -90.00 nats" in binary
    assert "realnvp-mnist has the fewest bits per dimension, 1.800" in flows
    assert "gan-mnist (a GAN has no density)" in without


def of_seeds(name: str, fids: list[float], likelihoods: list[float]) -> dict:
    over = {"fid_classifier": Spread.of(fids)}
    over |= {"test_log_likelihood": Spread.of(likelihoods)} if likelihoods else {}
    row = {"experiment": name, "reference": "mnist/test", "dataset": "mnist", "over_seeds": over}
    return row | {"judged": {"fid": "fid_classifier"}}


def test_differences_are_compared_with_those_between_seeds(settings: Settings) -> None:
    table = [
        of_seeds("best", [1.0, 1.5, 2.0], [-90.0, -91.0, -92.0]),
        of_seeds("as good", [1.25, 2.0, 2.5], []),
        of_seeds("worse", [9.0, 9.5, 10.0], [-102.0, -104.0, -106.0]),
        of_seeds("once", [0.5], [-80.0]),
    ]
    assert dict(findings(settings, {}, {}, table))["Are the differences larger than those between seeds?"] == [
        "fid_classifier on mnist/test: best has the best mean, 1.50 ± 0.5 over 3 seeds; significantly different from "
        "it: worse; not significantly different from it: as good.",
        "log-likelihood on mnist: best has the best mean, -91.00 ± 1 over 3 seeds; significantly different from it: "
        "worse.",
    ]
    assert findings(settings, {}, {}, table[2:]) == []
