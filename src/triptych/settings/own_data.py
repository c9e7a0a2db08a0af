"""`triptych add-data`: write the entries of own images into `params.yaml`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

from triptych.core.errors import TriptychError
from triptych.core.settings_types import PROFILES
from triptych.data.image_shapes import colours
from triptych.data.own_images import OwnImages
from triptych.data.splits import default_sizes
from triptych.settings.params import parse_text
from triptych.settings.text_edits import line_end, sections, write_edits

Entries = dict[str, dict[str, Any]]
"""The new entries by section and name."""
EXTRACTORS = {"grey": "mnist-v1", "colour": "cifar10-v1"}
RECIPES = {"vae": "vae-20d", "flow": "realnvp-mnist", "gan": "gan-mnist"}
"""The recipe of each family that `triptych add-data` offers."""
MODELS: dict[str, Mapping[str, Any]] = {
    "vae": {},
    "flow": {"alpha": 0.05},
    "gan": {
        "generator": {"quick": [64, 128, 256, 512], "full": [128, 256, 512, 1024]},
        "discriminator": {"quick": [256, 128], "full": [512, 256]},
    },
}
"""The settings of each model that its recipe lacks."""
BATCH = 128  # the largest batch of few images
UPDATES = 80  # per epoch, if a pass through the images in such batches has fewer
WEIGHT_DECAY = 0.01  # of a flow of few images
NARROW = {"full": [256, 256]}  # hidden layers of a flow of few images
WIDTH = 80  # columns, at which DVC writes params.yaml


def add_own_data(params: Path, name: str, images: str, found: OwnImages, families: Sequence[str]) -> list[str]:
    """Write the entries of a data set `name` and of one experiment per family at the end of their sections.

    `images` is the value of the data set's key. All other bytes of the file stay. Return the places of the new entries.
    Raises TriptychError if a name is taken or if the file would not be valid.
    """
    text = params.read_bytes().decode()
    settings = parse_text(text.encode(), params.name)
    entries = own_entries(name, images, found, families)
    places = [(section, entry) for section, group in entries.items() for entry in group]
    for section, entry in places:
        if entry in getattr(settings, section) or entry in settings.studies:
            raise TriptychError(f"{params.name} already has an entry {entry}: choose another name")
    nodes, edits = dict(sections(text, entries)), []
    for section, group in entries.items():
        node = nodes[section]
        if node.value:
            end = line_end(text, node)
            edits.append((end, end, _as_text(group)))
        else:
            edits.append((node.start_mark.index, node.end_mark.index, f"\n{_as_text(group)}".rstrip("\n")))
    write_edits(params, text, edits)
    return [f"{section}.{entry}" for section, entry in places]


def own_entries(name: str, images: str, found: OwnImages, families: Sequence[str]) -> Entries:
    """Return the entries of a data set, its reference and experiments.

    A VAE models binarised grey images. Its samples are compared with the grey images before they are binarised.
    """
    kind = colours(found.shape)
    datasets: Entries = {name: {"images": images, "dequantization": "uniform"}}
    references: Entries = {name: {"dataset": name, "extractor": EXTRACTORS[kind]}}
    grey = name
    if "vae" in families:
        turned = {"grey": True} if kind == "colour" else {}
        if turned:
            grey = f"grey_{name}"
            datasets[grey] = {"images": images, **turned}
            references[grey] = {"dataset": grey, "extractor": EXTRACTORS["grey"]}
        datasets[f"binarized_{name}"] = {"images": images, **turned, "binarization": "stochastic"}
    experiments: Entries = {}
    for family in families:
        dataset, reference = (f"binarized_{name}", grey) if family == "vae" else (name, name)
        entry = {"family": family, "dataset": dataset, "reference": reference, "recipe": RECIPES[family], "seed": 0}
        experiments[f"{family}-{name}"] = entry | _fitted(family, default_sizes(found.counts).train)
    return {"datasets": datasets, "references": references} | ({"experiments": experiments} if experiments else {})


def _fitted(family: str, train: int) -> dict[str, Any]:
    """Return the settings of an experiment that its recipe lacks, or that differ for so many training images.

    Few images need smaller batches, and updates per epoch in place of short passes through the images. A flow soon
    overfits them: it makes at most two passes per epoch, with weight decay and narrow layers. A VAE does not, since
    each batch is binarised anew.
    """
    batch = BATCH
    while batch > 2 and 4 * batch > train:
        batch //= 2
    passed, model = train // batch, dict(MODELS[family])
    updates = min(UPDATES, 2 * passed) if family == "flow" else UPDATES
    settings: dict[str, Any] = {}
    if passed < UPDATES:
        settings = {"batch_size": batch, "epoch_updates": dict.fromkeys(PROFILES, updates)}
    if updates < UPDATES:
        settings["weight_decay"], model["hidden"] = WEIGHT_DECAY, NARROW
    return settings | ({"model": model} if model else {})


def _as_text(entries: Mapping[str, Any]) -> str:
    """Return entries as DVC writes them: innermost mappings on one line, two spaces before each level."""
    from ruamel.yaml import YAML

    yaml, stream = YAML(typ="rt", pure=True), StringIO()
    yaml.default_flow_style, yaml.width = None, WIDTH - 2
    yaml.dump(dict(entries), stream)
    return "".join(f"  {line}\n" for line in stream.getvalue().splitlines())
