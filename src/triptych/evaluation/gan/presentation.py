"""How the page presents a GAN."""

from collections.abc import Iterator, Mapping
from typing import Any

from triptych.evaluation.fidelity.metric_names import name_of
from triptych.evaluation.intervals import ERROR, in_words, interval_of, plus_minus, verdict
from triptych.evaluation.presentation import Chart, Metrics, Presentation
from triptych.figures.curves import Curve

CAPTIONS = {
    "U2.5-losses": "The losses of both networks. A discriminator that cannot distinguish real from generated images "
    "has the loss 2 log 2 = 1.386, and its generator log 2 = 0.693. Validation images are not used in training.",
    "U2.6-samples": "Generated images of 25 latents, the same latents in each panel.",
    "U2.7-interpolations": "Generated images of latents on a straight line between two latents. The classifier "
    "assigns different classes to the images of these two, if it knows the classes of the data.",
    "M2.7-losses": "The losses of both networks. The critic's loss is its negative estimate, plus the penalty if there "
    "is one.",
    "M2.7a-samples": "Images of 100 latents from the averaged generator, after training.",
    "M2.7a-stages": "Images of 25 latents, the same latents in each panel.",
    "M2.7c-progress": "The critic's estimate on validation images and the FID of samples, at each snapshot. If the two "
    "do not rank the snapshots alike, the estimate does not follow FID in this run. An estimate of JSD is a "
    "lower bound, and can be negative.",
}
NEGATIVE = (
    "The critic's estimate of JSD is negative, although JSD itself cannot be. The estimate is a lower bound on "
    "validation images. It is negative if the critic distinguishes them from samples less well than a "
    "constant critic would."
)


def _losses(opponent: str) -> tuple[Curve, ...]:
    """Return the curves of the losses of the generator's opponent and of the generator."""
    return tuple(
        Curve(f"{split}_{player}_loss", f"{player}, {words}", player, dashed=dashed)
        for player in (opponent, "generator")
        for split, words, dashed in (("train", "training", False), ("valid", "validation", True))
    )


CHARTS = {
    "U2.5-losses": Chart("loss (nats)", _losses("discriminator")),
    "M2.7-losses": Chart("loss", _losses("critic"), separate=True),
}


def notes(metrics: Metrics) -> Iterator[str]:
    """Yield the rank correlation of a critic's estimate with FID (M2.7d), and the scores of two snapshots (M2.7b)."""
    if "over_training" not in metrics:
        return
    found = metrics["over_training"]
    best, last = found["best"], found["last"]
    yield f"{_capital(found['correlation']['sentence'])} (M2.7d)."
    if any(each.get("jsd", 0.0) < 0.0 for each in (best, last)):
        yield NEGATIVE
    label = "± standard error, M2.7b" if any(key.endswith(ERROR) for key in last) else "M2.7b"
    if best["update"] == last["update"]:
        yield f"The last snapshot has the lowest FID: {_scores(last)} ({label})."
    else:
        yield f"Snapshot of the lowest FID: {_scores(best)}. Last snapshot: {_scores(last)} ({label})."
        intervals = {f"update {each['update']:,}": interval_of(each, name_of("fid", each)) for each in (best, last)}
        first, other = intervals
        yield f"FID of {first} beside that of {other}: {verdict(first, intervals)}."


def _capital(sentence: str) -> str:
    return sentence[0].upper() + sentence[1:]


def _scores(snapshot: Mapping[str, float]) -> str:
    words = []
    for measure in ("fid", "kid", "is"):
        name = name_of(measure, snapshot)
        error = plus_minus(snapshot.get(name + ERROR))
        interval = in_words(interval_of(snapshot, name), "{:.4g}") if measure == "fid" else ""
        words.append(f"{name} {snapshot[name]:.4g}{error}{interval}")
    return f"update {snapshot['update']:,}, {', '.join(words)}"


def findings(experiments: Mapping[str, Any], metrics: Mapping[str, Metrics]) -> Iterator[str]:
    """Yield the conclusion from the correlation of each critic's estimate with FID, if there are enough snapshots."""
    for name in experiments:
        correlation = metrics[name].get("over_training", {}).get("correlation", {})
        if "value" in correlation:
            yield f"{name}: {correlation['sentence']}."


QUESTION = "Which number shows the progress of a GAN?"
PRESENTATION = Presentation(CAPTIONS, CHARTS, notes, QUESTION, findings)
