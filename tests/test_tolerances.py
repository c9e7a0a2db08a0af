"""The tolerances of `triptych verify`: wider than the differences between machines, and narrower than an error."""

from __future__ import annotations

import pytest

from triptych.verify.check_baseline import _judge
from triptych.verify.finding import Verdict
from triptych.verify.tolerances import ABSOLUTE, RELATIVE, tolerance


def test_tolerances_exceed_the_measured_differences() -> None:
    """The module lists the differences between AVX2 and AVX-512; here are the largest, with their numbers."""
    assert tolerance("train.elbo", -108.29) > 0.036
    assert tolerance("test.kl", 20.23) > 0.033
    assert tolerance("test.gap", 3.334) > 0.0063
    assert tolerance("fid_classifier.high", 338.07) > 2.01
    assert tolerance("kid_classifier.value", 39.44) > 1.69
    assert tolerance("is_classifier.value", 3.7147) > 0.21
    assert tolerance("is_classifier.standard_deviation", 0.2353) > 0.106
    assert tolerance("classes.entropy", 2.0004) > 0.055
    assert tolerance("test.generator_loss", 0.7349) > 0.1
    assert tolerance("test.discriminator_accuracy", 0.7575) > 0.05
    assert tolerance("recall_classifier.value", 0.132) > 0.004
    assert tolerance("copying.value", 0.402) > 0.003
    assert tolerance("classes.value", 5) == 2
    assert 0 < tolerance("test.elbo", 0.0) < 1e-4
    assert tolerance("inverse_error.value", 1.9e-6) > 1.1e-5
    assert tolerance("active_units.value", 78) == 1
    assert tolerance("arcs-k8.entropy", 1.6) < 0.002
    assert tolerance("parameters", 20_000_000) < 1


ERRORS = {  # by the key of its tolerance: the name of a number, its value, and a value that only an error explains
    "fid": ("fid_classifier.value", 40.0, 60.0),
    "kid": ("kid_classifier.value", 10.0, 15.0),
    "is": ("is_classifier.value", 4.0, 6.0),
    "train_kl": ("train_kl", 20.0, 21.0),
    "valid_kl": ("valid_kl", 20.0, 21.0),
    "test_kl": ("test.kl", 20.0, 21.0),
    "gap": ("test.gap", 3.0, 3.1),
    "generator_loss": ("test.generator_loss", 0.7, 1.4),
    "discriminator_loss": ("test.discriminator_loss", 1.0, 0.5),
    "effective_sample_size": ("test.effective_sample_size", 3.0, 2.0),
    "distance": ("jsd-r1.generator_distance", 0.02, 0.03),
    "inverse_error": ("inverse_error.value", 2e-6, 1e-4),
    "standard_error": ("test.elbo_standard_error", 0.2, 0.3),
    "standard_deviation": ("is_classifier.standard_deviation", 0.2, 0.6),
    "precision": ("precision_classifier.value", 0.6, 0.3),
    "recall": ("recall_classifier.value", 0.4, 0.1),
    "recognised": ("recognised.value", 0.9, 0.7),
    "accuracy": ("test.discriminator_accuracy", 0.75, 0.5),
    "classes": ("classes.value", 10, 7),
    "classes_entropy": ("classes.entropy", 2.3, 1.6),
    "real_entropy": ("classes.real_entropy", 2.3, 1.6),
    "share_on_left_arc": ("arcs-k8.share_on_left_arc", 0.5, 0.49),
    "active_units_value": ("active_units.value", 20, 18),
    "copying_value": ("copying.value", 0.5, 0.7),
    "z_score": ("copying.z_score", -1.0, -6.0),
}


def test_every_tolerance_has_an_error_that_exceeds_it() -> None:
    assert list(ERRORS) == [*RELATIVE, *ABSOLUTE]


@pytest.mark.parametrize(("key", "kept", "value"), ERRORS.values(), ids=ERRORS)
def test_a_difference_that_only_an_error_explains_has_drifted(key: str, kept: float, value: float) -> None:
    assert _judge(key, value, kept, of_study=False)[0] is Verdict.DRIFTED
