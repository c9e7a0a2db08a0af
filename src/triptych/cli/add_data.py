"""The command that makes a data set of the user's own images."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import click

from triptych.cli.common import open_project
from triptych.core.errors import TriptychError


@click.command("add-data")
@click.argument("name")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--experiments", "wanted", metavar="FAMILIES", default="", help="families to add a model of, such as vae,flow,gan"
)
def add_data(name: str, file: Path, wanted: str) -> None:
    """Add your images in FILE to params.yaml as the data set NAME, with a reference and experiments.

    FILE is a .npy file, a .npz file with x_train, or a folder of PNG or JPEG files: square images of 8 to 64 pixels. It
    is copied to data/own unless it is there.
    """
    from triptych.data.image_shapes import in_words
    from triptych.data.own_images import describe_own
    from triptych.data.settings import OWN
    from triptych.data.splits import default_sizes
    from triptych.settings.own_data import RECIPES, add_own_data
    from triptych.settings.sections import NAME
    from triptych.sources.load import load_own

    families = [family.strip() for family in wanted.split(",") if family.strip()]
    for family in families:
        if family not in RECIPES:
            raise TriptychError(f"--experiments names {family!r}: use some of {', '.join(RECIPES)}")
    if not re.fullmatch(NAME, name):
        raise TriptychError(f"the name of the data set is {name!r}: use letters, digits, - and _")
    project, _ = open_project()
    load_own(file)  # check all images before anything is written
    found, own = describe_own(file), project.data / "own"
    inside = file.resolve().parent == own.resolve()
    images = f"own/{file.resolve().name if inside else name + file.suffix}"
    if not OWN.fullmatch(images):
        raise TriptychError(f"{file}: rename it, with letters, digits, dots, - and _ only")
    target = project.data / images
    if not inside and target.exists():
        raise TriptychError(f"{target} exists: choose another name, or remove it")
    with nullcontext() if inside else _copy(file, target):
        added = add_own_data(project.params, name, images, found, families)
    count, sizes = sum(found.counts.values()), default_sizes(found.counts).model_dump()
    labels = "with labels" if found.labelled else "without labels"
    click.echo(f"data/{images}: {count:,} {in_words(found.shape)} pixels, {labels}")
    click.echo("splits: " + ", ".join(f"{size:,} {split}" for split, size in sizes.items()))
    click.echo(f"params.yaml: added {', '.join(added)}")


@contextmanager
def _copy(file: Path, target: Path) -> Iterator[None]:
    """Copy a file or the pictures of a folder. If the copy or the block fails, `target` does not exist afterwards."""
    from triptych.core.files import atomic_file, atomic_folder
    from triptych.data.image_files import image_paths

    with atomic_folder(target) if file.is_dir() else atomic_file(target) as draft:
        if file.is_dir():
            for path in image_paths(file):
                shutil.copyfile(path, draft / path.name)
        else:
            shutil.copyfile(file, draft)
        yield
