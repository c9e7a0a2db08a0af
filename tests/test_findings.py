"""The page's answers follow the numbers, whichever way these point."""

from __future__ import annotations

import pytest

from triptych.evaluation.over_seeds import Spread
from triptych.reports.page.findings import findings
from triptych.settings.params import Settings, parse

PROTOCOL = {"reference": "mnist/test", "real_images": 2.5}


@pytest.fixture
def settings(params: dict) -> Settings:
    return parse(params)


def answer(settings: Settings, word: str, metrics: dict, studies: dict | None = None) -> list[str]:
    """The sentences under the question that has this word."""
    return next((found for question, found in findings(settings, metrics, studies or {}) if word in question), [])


def judged(fid: float = 10.0, **test: float) -> dict:
    absent = {} if test else {"log_likelihood": "a GAN has no density"}
    return {
        "test": test,
        "not_defined": absent,
        "reference": {"name": "mnist"},
        "fid_classifier": {"value": fid, **PROTOCOL},
    }


def critic(*value: float) -> dict:
    """Correlation, low and high; none of too few snapshots."""
    correlation = dict(zip(("value", "low", "high"), value, strict=False)) | {"snapshots": 10}
    return judged() | {"over_training": {"correlation": correlation}}


def bounded(log_likelihood: float, error: float, gap: float) -> dict:
    return judged(log_likelihood=log_likelihood, log_likelihood_standard_error=error, gap=gap)


def test_nothing_is_said_of_what_is_not_there(settings: Settings) -> None:
    assert findings(settings, {}, {}) == []
    assert answer(settings, "progress", {"cifar10-jsd-1": critic()}) == []
    assert answer(settings, "posterior", {"vae-100d-planar": bounded(-90.0, 1.0, 2.0)}) == []


def test_what_tells_a_gans_progress(settings: Settings) -> None:
    found = answer(
        settings,
        "progress",
        {
            "cifar10-jsd-1": critic(0.7, 0.1, 0.9),
            "cifar10-jsd-2": critic(-0.8, -0.9, -0.2),
            "cifar10-jsd-3": critic(0.3, -0.4, 0.8),
        },
    )
    assert [sentence.split(":")[1].split(" (")[0].strip() for sentence in found] == [
        "cifar10-jsd-1",
        "cifar10-jsd-2",
        "cifar10-jsd-3",
    ]
    assert "both tell progress" in found[0]
    assert "estimates rises" in found[1]
    assert "No relation" in found[2]
    assert len(answer(settings, "progress", {"cifar10-jsd-1": critic(0.7, 0.1, 0.9)})) == 1


def test_what_layers_buy(settings: Settings) -> None:
    values = {"arcs-k2": 3.0, "arcs-k8": 2.8, "arcs-k32": 2.7, "sine-k2": 3.0, "sine-k8": 3.1, "sine-k32": 2.9}
    study = {name: {"held_out": {"loss": value}} for name, value in values.items()}
    study |= {"headline": "held_out.loss", "headline_is": "loss, nats", "configurations": list(values)}
    arcs, sine = answer(settings, "layers", {}, {"planar-samples": study})
    assert "3.000 at k = 2, 2.800 at k = 8, 2.700 at k = 32; each step gained" in arcs
    assert "no gain at k = 8" in sine
    (kept,) = answer(settings, "layers", {}, {"planar-samples": study | {"configurations": ["arcs-k2", "arcs-k8"]}})
    assert "3.000 at k = 2, 2.800 at k = 8; each" in kept  # results decide, whatever params.yaml has become


@pytest.mark.parametrize(("error", "verdict"), [(0.5, ", more than 2"), (1.0, ", not more than 2")])
def test_what_a_planar_posterior_buys(settings: Settings, error: float, verdict: str) -> None:
    metrics = {"vae-100d": bounded(-92.0, error, 4.0), "vae-100d-planar": bounded(-90.0, error, 3.0)}
    (sentence,) = answer(settings, "posterior", metrics)
    assert "a difference of +2.00" + verdict in sentence
    assert "3.00 nats of it, and 4.00 without" in sentence


def test_how_families_compare(settings: Settings) -> None:
    metrics = {
        "vae-20d": judged(30.0, log_likelihood=-95.0),
        "vae-100d": judged(20.0, log_likelihood=-90.0),
        "gan-mnist": judged(10.0),
        "nice-mnist": judged(40.0, log_likelihood=-1000.0, bits_per_dimension=2.0),
        "realnvp-mnist": judged(50.0, log_likelihood=-900.0, bits_per_dimension=1.8),
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


def test_what_seeds_make_of_the_order_is_said_of_those_that_have_some(settings: Settings) -> None:
    table = [
        of_seeds("best", [1.0, 1.5, 2.0], [-90.0, -91.0, -92.0]),
        of_seeds("as good", [1.25, 2.0, 2.5], []),
        of_seeds("worse", [9.0, 9.5, 10.0], [-102.0, -104.0, -106.0]),
        of_seeds("once", [0.5], [-80.0]),
    ]
    assert dict(findings(settings, {}, {}, table))["Is the order more than the luck of a seed?"] == [
        "fid_classifier on mnist/test: best has the best mean, 1.50 ± 0.5 over 3 seeds; apart from it by more "
        "than seeds do: worse; not to be told from it: as good.",
        "log-likelihood on mnist: best has the best mean, -91.00 ± 1 over 3 seeds; apart from it by more than "
        "seeds do: worse.",
    ]
    assert findings(settings, {}, {}, table[2:]) == []
