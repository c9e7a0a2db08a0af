"""The numbers that an evaluation adds to the results of each family, against direct computation."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.stats import sem, spearmanr

from triptych.core.errors import TriptychError
from triptych.evaluation.flow import measure as flow
from triptych.evaluation.gan import measure as gan
from triptych.evaluation.results_file import measured
from triptych.evaluation.vae import measure as vae
from triptych.evaluation.vae.importance import Estimate
from triptych.objectives.adversarial import w1

PARTS = {  # reconstruction and KL of each image, in nats
    "train": ([4.0, 6.0], [1.0, 1.0]),
    "valid": ([3.0, 5.0, 9.0], [2.0, 1.0, 3.0]),
    "test": ([1.0, 2.0, 3.0, 5.0], [0.5, 0.5, 2.0, 1.5]),
}
LOG_LIKELIHOODS = torch.tensor([-1.0, -2.25, -4.0, -6.0], dtype=torch.float64)


def tensors(split: str) -> list[torch.Tensor]:
    return [torch.tensor(part, dtype=torch.float64) for part in PARTS[split]]


@pytest.mark.parametrize("draws", [1, 5])
def test_numbers_of_a_vae(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, draws: int) -> None:
    """The pixels of a split are its name, and the first of three latents is the only active one."""
    sizes = {split: torch.full((len(PARTS[split][0]), 2, 3), index) for index, split in enumerate(PARTS)}
    names = list(PARTS)
    images = {split: SimpleNamespace(pixels=pixels) for split, pixels in sizes.items()}
    family = SimpleNamespace(
        importance_samples=draws,
        bound_parts=lambda pixels: tensors(names[int(pixels[0, 0, 0])]),
        iw_bound=lambda pixels: torch.tensor([-1.0, -4.0]) * (1 + int(pixels[0, 0, 0])),
    )
    evaluation = SimpleNamespace(
        family=family, training=images["train"], splits={split: images[split] for split in ("valid", "test")}, seed=7,
        likelihood=SimpleNamespace(importance_samples=1234), partial_results=tmp_path, name="vae-a",
    )  # fmt: skip
    given = []

    def estimate(*arguments: object, **options: object) -> Estimate:
        given.append((arguments, options))
        return Estimate(LOG_LIKELIHOODS, torch.tensor([8.0, 2.0, 4.0, 2.0]))

    monkeypatch.setattr(vae, "importance_sampling", estimate)
    monkeypatch.setattr(vae, "posterior_variance", lambda *_: torch.tensor([1.0, 0.01, 0.001]))
    found = vae.measure(evaluation)
    [((of_family, pixels), options)] = given
    assert of_family is family
    assert pixels is sizes["test"]
    assert options == {"samples": 1234, "seed": 7, "pieces": tmp_path, "name": "vae-a"}
    for index, (split, (reconstruction, kl)) in enumerate(PARTS.items()):
        total = np.add(reconstruction, kl)
        wanted = {
            "elbo": -total.mean(), "elbo_standard_error": sem(total), "negative_elbo": total.mean(),
            "reconstruction": np.mean(reconstruction), "kl": np.mean(kl), "images": len(total),
            "bits_per_binary_pixel": total.mean() / 6 / math.log(2),
        }  # fmt: skip
        if draws > 1:
            wanted["importance_weighted_bound"] = -2.5 * (1 + index)
        if split == "test":
            gap = LOG_LIKELIHOODS.numpy() + total
            wanted |= {
                "log_likelihood": -3.3125, "log_likelihood_standard_error": sem(LOG_LIKELIHOODS.numpy()),
                "gap": gap.mean(), "gap_standard_error": sem(gap),
            }  # fmt: skip
        assert found.pop(split) == {key: pytest.approx(value, rel=1e-6) for key, value in wanted.items()}
    assert "with 1,234 draws" in found.pop("likelihood_is")
    assert found == {
        "importance_sampling": {
            "samples": 1234, "images": 4, "effective_sample_size": 4.0, "smallest_effective_sample_size": 2.0
        },
        "active_units": {"value": 1, "threshold": 0.01, "images": 4, "samples": 64},
    }  # fmt: skip


@pytest.mark.parametrize(("uniform", "words"), [(True, "exact"), (False, "variational")])
def test_numbers_of_a_flow(monkeypatch: pytest.MonkeyPatch, uniform: bool, words: str) -> None:
    nats = {"valid": 700.0, "test": 710.0}
    family = SimpleNamespace(
        uniform=uniform,
        latent=100,
        validate=lambda images: {
            "negative_log_likelihood": nats[images.split], "negative_log_likelihood_standard_error": 2.0,
            "bits_per_dimension": nats[images.split] / 1000,
        },
        inverse_error=lambda values: float(values.sum()),
    )  # fmt: skip
    splits = {split: SimpleNamespace(split=split, continuous=torch.ones(count)) for split, count in
              (("valid", 300), ("test", 600))}  # fmt: skip
    traversals = SimpleNamespace(end_error=3.0, points=torch.zeros(4, 10))
    monkeypatch.setattr(flow, "traversals", lambda given: traversals if given is evaluation else None)
    evaluation = SimpleNamespace(family=family, splits=splits)
    found = flow.measure(evaluation)
    assert words in found.pop("likelihood_is")
    assert found == {
        **{
            split: {
                "bits_per_dimension": value / 1000, "log_likelihood": -value, "log_likelihood_standard_error": 2.0,
                "bits_per_dimension_standard_error": pytest.approx(2.0 / (100 * math.log(2))),
                "dequantization_draws": 1,
            }
            for split, value in nats.items()
        },
        "inverse_error": {"value": 500.0, "images": 500},
        "traversal_end_error": {"value": 3.0, "images": 8},
    }  # fmt: skip


def scores(fid: float, error: float | None = None) -> dict[str, dict[str, float]]:
    more = {} if error is None else {"standard_error": error, "low": fid - error, "high": fid + error}
    return {
        "fid": {"value": fid, "samples": 50, **more},
        "kid": {"value": fid / 100, "standard_deviation": 0.5, "samples": 50, **more},
        "is": {"value": 3.0, "standard_deviation": 0.25, "samples": 50, **more},
    }


def row(epoch: int, fid: float, error: float | None = None) -> dict[str, float]:
    """Return the expected row of a snapshot: of the scores, only values and what belongs to their uncertainty."""
    found = {"epoch": epoch, "update": 100 * epoch, "w1": ESTIMATES[epoch]}
    for name, measure in scores(fid, error).items():
        found |= {name: measure["value"]}
        found |= {f"{name}_{key}": value for key, value in measure.items() if key not in ("value", "samples")}
    return found


ESTIMATES = {0: -1.0, 2: 9.0, 4: 7.0, 6: 8.0, 8: 5.0, 10: 6.0}
FIDS = {0: 900.0, 2: 80.0, 4: 70.0, 6: 60.0, 8: 30.0, 10: 50.0}


@pytest.mark.parametrize("best", [8, 10])
def test_scores_of_a_critics_snapshots(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, best: int) -> None:
    """The scores of the last epoch, which has no snapshot, are those of the final samples."""
    fids = FIDS | {best: 20.0}
    monkeypatch.setattr(gan, "CriticFamily", SimpleNamespace)
    monkeypatch.setattr(gan, "_images", lambda evaluation, epoch: epoch)
    family = SimpleNamespace(metric=w1, validate=lambda images: {"loss": images})
    evaluation = SimpleNamespace(
        name="gan-a", family=family, splits={"valid": 1.0, "test": 2.0}, last=10, epoch_updates=100, folder=tmp_path,
        history=[{"epoch": epoch, "valid_metric": estimate} for epoch, estimate in ESTIMATES.items()],
        snapshots=dict.fromkeys((0, 2, 4, 6, 8)), partial_results=tmp_path, fidelity={**scores(fids[10], 4.0), "x": 1},
        score=lambda epoch, intervals: scores(fids[epoch], 2.0 if intervals else None),
    )  # fmt: skip
    found = gan.measure(evaluation)
    over_training = found.pop("over_training")
    assert found == {"valid": {"loss": 1.0}, "test": {"loss": 2.0}}
    correlation = over_training.pop("correlation")
    trained = [epoch for epoch in ESTIMATES if epoch]  # the critic of the untrained model estimates nothing
    assert over_training == {
        "snapshots": 5,
        "best": row(best, 20.0, 4.0 if best == 10 else 2.0),
        "last": row(10, fids[10], 4.0),
    }
    rho = spearmanr([ESTIMATES[epoch] for epoch in trained], [fids[epoch] for epoch in trained]).statistic
    reach = 1.959964 * math.sqrt((1 + rho**2 / 2) / (5 - 3))
    assert correlation["snapshots"] == 5
    assert correlation["value"] == pytest.approx(rho)
    assert correlation["low"] == pytest.approx(math.tanh(math.atanh(rho) - reach), rel=1e-6)
    assert correlation["high"] == pytest.approx(math.tanh(math.atanh(rho) + reach), rel=1e-6)
    assert "Bonett and Wright (2000)" in correlation["interval"]
    assert f"rho {rho:.2f}" in correlation["sentence"]
    with (tmp_path / "snapshots.csv").open(encoding="utf-8", newline="") as file:
        kept = [{key: float(value) for key, value in each.items()} for each in csv.DictReader(file)]
    errors = {f"{name}_{key}" for name in ("fid", "kid", "is") for key in gan.UNCERTAINTY}
    assert [each["epoch"] for each in kept] == trained
    for each in kept:
        wanted = row(int(each["epoch"]), fids[int(each["epoch"])])
        assert {key: value for key, value in each.items() if key not in errors} == wanted


def test_numbers_of_a_gan_without_a_critic_are_those_of_its_validation() -> None:
    family = SimpleNamespace(validate=lambda images: {"loss": images})
    assert gan.measure(SimpleNamespace(family=family, splits={"valid": 1.0, "test": 2.0})) == {
        "valid": {"loss": 1.0}, "test": {"loss": 2.0}
    }  # fmt: skip


def test_snapshots_are_sampled_from_the_latents_of_the_final_samples() -> None:
    family = SimpleNamespace(
        draw_latents=lambda count, source: torch.rand(count, generator=source),
        sample=lambda latents: latents[:, None, None],
    )
    evaluation = SimpleNamespace(
        name="gan-a", fidelity_samples=7, seed=3, at_epochs=lambda function, epochs: {epochs[0]: function(family)}
    )
    images = gan._images(evaluation, 4)
    latents = torch.rand(7, generator=gan.generator(3, "samples"))
    assert torch.equal(images, (latents * 255).round().to(torch.uint8)[:, None, None])
    evaluation.at_epochs = lambda function, epochs: {epochs[0]: torch.full((2, 1, 1), 2.0)}
    with pytest.raises(TriptychError, match=r"^samples of gan-a: "):
        gan._images(evaluation, 4)


def test_numbers_of_the_protocol_are_no_results() -> None:
    found = {"active_units.value": 3, "active_units.threshold": 0.01, "over_training.snapshots": 10, "fid.value": 2.5}
    assert measured(found) == {"active_units": 3, "fid": 2.5}
