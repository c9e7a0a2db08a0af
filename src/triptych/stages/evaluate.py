"""Stage `evaluate`: measure a trained model and draw its pictures, `metrics/<name>.json` and `plots/<name>/`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image
from torch import Tensor

from triptych.core.errors import DivergenceError, TriptychError
from triptych.core.file_names import HISTORY, RESULTS, WEIGHTS
from triptych.core.files import atomic_folder
from triptych.core.json_files import write_json
from triptych.core.number_formats import FID
from triptych.core.tracker import Tracker
from triptych.data.binarization import stochastic_binarize
from triptych.data.prepared import PreparedData
from triptych.evaluation.context import Evaluation, shown_latents
from triptych.evaluation.fidelity.copying import draw_nearest, measure_copying, nearest
from triptych.evaluation.fidelity.extractors import CLASSIFIER_FEATURES, FEATURES, Extractors, Features
from triptych.evaluation.fidelity.measures import measure_fidelity, scores
from triptych.evaluation.fidelity.metric_names import name_of
from triptych.evaluation.fidelity.reference_statistics import CLASSIFIER, PUBLISHED, SPLIT_FEATURES, ReferenceStatistics
from triptych.evaluation.headline_numbers import headline_numbers
from triptych.evaluation.settings import Fidelity, Likelihood
from triptych.evaluation.uint8_images import to_uint8
from triptych.figures.image_grids import SHEET, SHEET_COLUMNS, tile
from triptych.models.common.load import load_family, verified_manifest
from triptych.models.common.registry import FAMILIES, load_evaluation
from triptych.training.checkpoint import snapshot_name
from triptych.training.checkpoint_locks import checkpoint_folder
from triptych.training.divergence import divergence
from triptych.training.family import Family
from triptych.training.history import read_history
from triptych.training.images import HeldOutImages
from triptych.training.machine import machine_facts
from triptych.training.reproducible import deterministic, generator, run_key, seeded
from triptych.training.settings import Runtime
from triptych.training.weights import load_tensors

if TYPE_CHECKING:
    from triptych.settings.experiment import Experiment


def evaluate(
    *,
    name: str,
    experiment: Experiment,
    likelihood: Likelihood,
    protocol: Fidelity,
    runtime: Runtime,
    data: Path,
    model: Path,
    reference: Path,
    metrics: Path,
    plots: Path,
    checkpoints: Path,
    code: str,
    tracker: Tracker,
) -> None:
    """Measure the model in the folder `model` on validation and test images, and its samples against the reference.

    Writes the headline numbers to `metrics`, for DVC's tables. Writes into the folder `plots` the pictures;
    `samples.png`, samples without axes; `curves.csv`, the headline curve for `dvc plots`; and all numbers in
    `results.json`. An interrupted measurement continues from its parts under `checkpoints` if model, data, settings
    and `code` (a hash) are the same.
    Raises TriptychError if a file is missing or damaged, if the model was trained with other data, or if its output is
    NaN.
    """
    prepared, manifest = PreparedData.open(data), verified_manifest(model)
    if prepared.checksum != manifest["data"]["sha256"]:
        raise TriptychError(f"{data} has changed since {name} was trained: run `triptych repro`")
    measures, pictures = load_evaluation(experiment.family)
    inputs = [manifest["fingerprint"], manifest["weights_sha256"], prepared.checksum, experiment.seed]
    real = ReferenceStatistics.load(reference)
    inputs += [
        real.origin.checksum,
        real.published_samples,
        protocol.model_dump(),
        likelihood.model_dump(),
        runtime.threads,
        code,
    ]
    with (
        deterministic(runtime) as device,
        checkpoint_folder(checkpoints, f"evaluate-{name}", run_key(device, *inputs), metrics, tracker.say) as partial,
        atomic_folder(plots) as folder,
    ):
        tracker.note(**machine_facts(device))
        family = load_family(model, device)
        side = real.origin.image_shape[-1]
        extractors = Extractors.open(real.origin.kind, experiment.reference, reference / CLASSIFIER, side, device)
        real.require_weights(extractors, reference)
        real.require_shape(prepared.manifest["image_shape"], f"experiments.{name}.reference")
        samples = _samples(name, family, experiment, protocol, tracker)
        extracted = extractors.extract(samples)
        fidelity = measure_fidelity(extracted, real, protocol)
        evaluation = Evaluation(
            name=name,
            family=family,
            splits={split: HeldOutImages(prepared, split, device) for split in ("valid", "test")},
            training=HeldOutImages(prepared, "train", device, likelihood.train_images),
            history=read_history(model / HISTORY),
            snapshots={epoch: model / snapshot_name(epoch) for epoch in manifest["snapshots"]},
            weights=model / WEIGHTS,
            shown=shown_latents(family, experiment.seed),
            classify=extractors.label if real.names_classes else None,
            score=lambda images, **options: scores(extractors.features.extract(images), real, protocol, **options),
            fidelity=fidelity,
            fidelity_samples=protocol.samples,
            likelihood=likelihood,
            epoch_updates=manifest["epoch_updates"],
            seed=experiment.seed,
            partial_results=partial.folder,
            folder=folder,
        )
        try:
            with seeded(experiment.seed, "evaluation"):
                numbers = measures.measure(evaluation)
        except DivergenceError as error:
            raise divergence(name, str(error)) from None
        known = load_tensors(reference / SPLIT_FEATURES) if prepared.checksum == real.origin.data_sha256 else None
        copying = _copying(evaluation, samples, extracted, extractors, known)
        with seeded(experiment.seed, "pictures"):
            pictures.draw_pictures(evaluation)
        sheet = tile(to_uint8(family.sample(evaluation.shown), f"samples of {name}").numpy(), SHEET_COLUMNS)
        Image.fromarray(sheet).save(folder / SHEET)
        _write_curve(folder / "curves.csv", evaluation.history, FAMILIES[experiment.family].curve)
        result = {
            **numbers,
            **fidelity,
            **_published_protocol(evaluation, extractors, real, protocol, reference / PUBLISHED),
            "copying": copying,
            "not_defined": measures.NOT_DEFINED | real.not_defined(labelled=prepared.has_labels("test")),
            "samples_are": measures.SAMPLES_ARE,
            "parameters": manifest["parameters"],
            "epochs": manifest["settings"]["epochs"],
            "profile": manifest["profile"],
            "reference": {"name": experiment.reference, "key": real.origin.checksum},
            "data": {key: prepared.manifest[key] for key in ("dataset", "source", "sha256")},
            "fingerprint": manifest["fingerprint"],
            "weights_sha256": manifest["weights_sha256"],
        }
        write_json(folder / RESULTS, result)
        write_json(metrics, headline_numbers(result))
    headline = name_of("fid", fidelity)
    tracker.say(f"{name}: {headline} {FID.format(fidelity[headline]['value'])}")


def _samples(name: str, family: Family, experiment: Experiment, protocol: Fidelity, tracker: Tracker) -> Tensor:
    latents = family.draw_latents(protocol.samples, generator(experiment.seed, "samples"))
    began = time.monotonic()
    images = family.sample(latents)
    tracker.note(seconds_per_sample=(time.monotonic() - began) / protocol.samples)
    return to_uint8(images, f"samples of {name}")


def _published_protocol(
    evaluation: Evaluation, extractors: Extractors, real: ReferenceStatistics, protocol: Fidelity, statistics: Path
) -> dict[str, Any]:
    """Return FID, KID and IS of as many samples as published tables have, against the images of these tables.

    Return nothing if the reference is without such a comparison.
    """
    if not real.published_samples:
        return {}
    latents = evaluation.family.draw_latents(real.published_samples, generator(evaluation.seed, "published samples"))
    images = to_uint8(evaluation.family.sample(latents), f"samples of {evaluation.name}")
    found = scores(extractors.features.extract(images), ReferenceStatistics.load(statistics), protocol)
    return {"published_protocol": found}


def _copying(
    evaluation: Evaluation, samples: Tensor, extracted: Features, extractors: Extractors, known: Features | None
) -> dict[str, Any]:
    """Compare samples and test images with all training images, and draw the samples that are nearest to one.

    `known` are the features of the splits, if the reference is of the same images. The pixels of samples are drawn if
    those of the training images are binary: means have no noise and would be nearer.
    """
    data, device, classifier = evaluation.training.data, evaluation.training.device, extractors.classifier
    features = extracted[CLASSIFIER_FEATURES]
    if data.binary:
        noise = torch.rand(samples.shape, generator=generator(evaluation.seed, "pixels")).to(samples.device)
        samples = stochastic_binarize(samples, noise).to(torch.uint8) * 255
        features = classifier.extract(samples)[FEATURES]
    training, test = (HeldOutImages(data, split, device).eight_bit for split in ("train", "test"))
    of_splits = known or {"train": classifier.extract(training)[FEATURES], "test": classifier.extract(test)[FEATURES]}
    found = nearest(features, of_splits["train"])
    draw_nearest(evaluation.folder, evaluation.name, samples.cpu().numpy(), training.cpu().numpy(), found)
    return measure_copying(found, nearest(of_splits["test"], of_splits["train"]), len(training), classifier.name)


def _write_curve(path: Path, history: list[dict[str, float]], label: str) -> None:
    """Write the first validation metric and the same metric in training, with the label of both in each row."""
    metric = next(name for name in history[0] if name.startswith("valid_")).removeprefix("valid_")
    lines = [f'{row["epoch"]},"{label}",{row[f"valid_{metric}"]!r},{row[f"train_{metric}"]!r}' for row in history]
    path.write_text("\n".join(["epoch,label,valid,train", *lines]) + "\n", encoding="utf-8")
