"""The command that measures images of any origin."""

from __future__ import annotations

from pathlib import Path

import click

from triptych.cli.common import open_project
from triptych.core.file_names import MANIFEST


@click.command()
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--reference", required=True, metavar="NAME", help="an entry of references or classifiers in params.yaml")
@click.option("--json", "as_json", is_flag=True, help="print all numbers with their protocol as JSON")
def score(images: tuple[Path, ...], reference: str, as_json: bool) -> None:
    """Measure FID, KID, IS, precision and recall of IMAGES of any origin, one or more sets.

    A set is a .npy file, a .npz file or a folder of PNG or JPEG files. Of a .npz file, the array images, samples,
    x_test or arr_0 is read, or else its only array. Images are uint8 from 0 to 255, floats from 0 to 1, or bool, and
    have the shape of the reference's images. Of more images than the profile's fidelity.samples, a random subset is
    measured.
    """
    from triptych.api.projects import reference_folder
    from triptych.core.json_schemas import read_document
    from triptych.data.image_files import read_images
    from triptych.evaluation.fidelity.reference_statistics import ReferenceManifest

    project, settings = open_project()
    statistics, protocol = reference_folder(project, settings, reference), settings.active.fidelity
    manifest, found = read_document(statistics / MANIFEST, ReferenceManifest), {}
    for path in images:
        pixels = read_images(path, manifest["image_shape"])
        part = f", of which a random {protocol.samples:,} are measured" if len(pixels) > protocol.samples else ""
        click.echo(f"{path}: {len(pixels):,} images{part}", err=True)
        from triptych.api.scoring import score as run

        found[str(path)] = run(pixels, statistics, protocol, settings.runtime, str(path))
    from triptych.reports.score_table import score_json, score_table

    click.echo(score_json(found, manifest) if as_json else score_table(found, manifest))
