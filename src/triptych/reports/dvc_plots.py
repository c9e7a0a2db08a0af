"""`triptych plots`: what `dvc plots` shows, drawn without the network, into `dvc_plots/`.

DVC's own page loads its script from the network. Here every curve is an SVG file, and `index.html` shows them with the
pictures beside each other, a column a revision.
"""

from __future__ import annotations

import json
import subprocess
import sys
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from triptych.core.errors import TriptychError
from triptych.core.files import atomic_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from triptych.core.project import Project

Json = dict[str, Any]

FOLDER = "dvc_plots"
PAGE = """<!DOCTYPE html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>
<style>
body {{ font: 1rem/1.5 system-ui, sans-serif; margin: 1rem auto; max-width: 75rem; padding: 0 1rem }}
section {{ display: grid; grid-template-columns: repeat({columns}, minmax(0, 1fr)); gap: 0 1rem }}
h2 {{ grid-column: 1 / -1; font-size: 1.1rem; margin: 1.5rem 0 .5rem }} figure {{ margin: 0 }} img {{ max-width: 100% }}
</style>
<h1>{title}</h1>
<p>{note}</p>
{sections}
</html>
"""


def draw_plots(project: Project, revisions: Sequence[str]) -> str:
    """Draw the plots of the working tree or, of several revisions, those that differ; say what came of it.

    One revision is compared with the working tree. Raises TriptychError if DVC cannot show them, as it does of a
    revision that does not exist.
    """
    names = revisions if len(revisions) > 1 else [*revisions, "the working tree"]
    with atomic_folder(project.root / FOLDER) as folder:
        plots = _ask(project, revisions, folder)
        shown = {name: plot for name, plot in plots.items() if not revisions or _differ(plot, folder)}
        for plot in (plots[name] for name in plots.keys() - shown.keys() if plots[name][0]["type"] == "image"):
            for part in plot:
                _picture(part, folder).unlink(missing_ok=True)
        sections = "\n".join(_section(name, plot, folder) for name, plot in shown.items())
        same = len(plots) - len(shown)
        note = f"{len(shown)} plots" + (f"; {same} more are the same in all of them and left out" if same else "")
        title = f"Plots of {' and '.join(names)}"
        page = PAGE.format(title=escape(title), note=note, columns=len(names), sections=sections)
        (folder / "index.html").write_text(page, encoding="utf-8")
    return f"{note}: open {project.root / FOLDER / 'index.html'}"


def _ask(project: Project, revisions: Sequence[str], folder: Path) -> dict[str, list[Json]]:
    """What DVC has of each plot: a specification for all revisions, or a picture for each, copied into the folder."""
    command = [sys.executable, "-m", "dvc", "plots", *(["diff", *revisions] if revisions else ["show"])]
    done = subprocess.run(  # noqa: S603 (revisions are arguments of their own)
        [*command, "--json", "--out", str(folder / "pictures")],
        cwd=project.root, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise TriptychError(f"DVC cannot show these plots: {(done.stderr.strip() or 'no message').splitlines()[-1]}")
    found = {name: plot for name, plot in json.loads(done.stdout)["data"].items() if plot}
    order = {revision: number for number, revision in enumerate(revisions)}
    for plot in found.values():
        plot.sort(key=lambda part: order.get(part["revisions"][0], len(order)))
    return dict(sorted(found.items(), key=lambda item: item[1][0]["type"] != "vega"))  # curves first


def _differ(plot: Sequence[Json], folder: Path) -> bool:
    """Whether the revisions do not all show the same."""
    if plot[0]["type"] == "vega":
        rows: dict[str, list[Json]] = {revision: [] for revision in plot[0]["revisions"]}
        for row in plot[0]["content"]["data"]["values"]:
            rows[row["rev"]].append({key: value for key, value in row.items() if key != "rev"})
        contents: list[object] = list(rows.values())
    else:
        contents = [_picture(part, folder).read_bytes() for part in plot]
    return len(contents) < 2 or any(content != contents[0] for content in contents)


def _section(name: str, plot: Sequence[Json], folder: Path) -> str:
    figures = "".join(_figures(name, plot, folder))
    return f"<section><h2>{escape(name)}</h2>{figures}</section>"


def _figures(name: str, plot: Sequence[Json], folder: Path) -> Iterator[str]:
    if plot[0]["type"] == "vega":
        place = folder / "curves" / f"{Path(name).with_suffix('')}.svg"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(_svg(plot[0]["content"]), encoding="utf-8")
        yield _figure(place, folder, f"{name} of {' and '.join(plot[0]['revisions'])}", "")
    else:
        for part in plot:
            revision = ", ".join(part["revisions"])
            yield _figure(_picture(part, folder), folder, f"{name} of {revision}", revision)


def _figure(picture: Path, folder: Path, words: str, caption: str) -> str:
    source = quote(picture.relative_to(folder).as_posix())
    below = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    return f'<figure><img src="{source}" alt="{escape(words)}">{below}</figure>'


def _picture(part: Mapping[str, Any], folder: Path) -> Path:
    return folder / "pictures" / Path(part["url"]).name


def _svg(specification: Json) -> str:
    import vl_convert

    return vl_convert.vegalite_to_svg(specification)
