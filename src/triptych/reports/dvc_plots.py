"""`triptych plots`: write the plots of `dvc plots` to `dvc_plots/`, without a network.

DVC's own page loads a script from the network. Here every curve is an SVG file. `index.html` shows curves and pictures,
one column per revision.
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
    from collections.abc import Iterable, Mapping, Sequence

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
    """Draw the plots of the working tree, or those in which the revisions differ; return a sentence with the result.

    One revision is compared with the working tree. Raises TriptychError if DVC fails, for example because a revision
    does not exist.
    """
    columns = revisions if len(revisions) > 1 else [*revisions, "the working tree"]
    with atomic_folder(project.root / FOLDER) as folder:
        plots = _load_plots(project, revisions, folder)
        shown = {name: plot for name, plot in plots.items() if not revisions or _differs(plot, folder)}
        _delete_pictures((plots[name] for name in plots.keys() - shown.keys()), folder)
        same = len(plots) - len(shown)
        note = f"{len(shown)} plots" + (f"; {same} more are equal in all revisions and not shown" if same else "")
        title = f"Plots of {' and '.join(columns)}"
        sections = "\n".join(_section(name, plot, folder) for name, plot in shown.items())
        page = PAGE.format(title=escape(title), note=note, columns=len(columns), sections=sections)
        (folder / "index.html").write_text(page, encoding="utf-8")
    return f"{note}: open {project.root / FOLDER / 'index.html'}"


def _load_plots(project: Project, revisions: Sequence[str], folder: Path) -> dict[str, list[Json]]:
    """Return DVC's plots, curves first: one specification for all revisions, or one picture file per revision."""
    command = [sys.executable, "-m", "dvc", "plots", *(["diff", *revisions] if revisions else ["show"])]
    done = subprocess.run(  # noqa: S603 (no shell)
        [*command, "--json", "--out", str(folder / "pictures")],
        cwd=project.root, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise TriptychError(f"DVC cannot show these plots: {(done.stderr.strip() or 'no message').splitlines()[-1]}")
    plots = {name: plot for name, plot in json.loads(done.stdout)["data"].items() if plot}
    order = {revision: number for number, revision in enumerate(revisions)}
    for plot in plots.values():
        plot.sort(key=lambda part: order.get(part["revisions"][0], len(order)))
    return dict(sorted(plots.items(), key=lambda item: not _is_curve(item[1])))


def _is_curve(plot: Sequence[Json]) -> bool:
    return plot[0]["type"] == "vega"


def _differs(plot: Sequence[Json], folder: Path) -> bool:
    """Return whether the plot differs between the revisions."""
    if _is_curve(plot):
        rows: dict[str, list[Json]] = {revision: [] for revision in plot[0]["revisions"]}
        for row in plot[0]["content"]["data"]["values"]:
            rows[row["rev"]].append({key: value for key, value in row.items() if key != "rev"})
        contents: list[object] = list(rows.values())
    else:
        contents = [_picture(part, folder).read_bytes() for part in plot]
    return len(contents) < 2 or any(content != contents[0] for content in contents)


def _delete_pictures(plots: Iterable[Sequence[Json]], folder: Path) -> None:
    for plot in plots:
        if not _is_curve(plot):
            for part in plot:
                _picture(part, folder).unlink(missing_ok=True)


def _picture(part: Mapping[str, Any], folder: Path) -> Path:
    return folder / "pictures" / Path(part["url"]).name


def _section(name: str, plot: Sequence[Json], folder: Path) -> str:
    figures = _curve(name, plot[0], folder) if _is_curve(plot) else _pictures(name, plot, folder)
    return f"<section><h2>{escape(name)}</h2>{figures}</section>"


def _curve(name: str, plot: Json, folder: Path) -> str:
    import vl_convert

    path = folder / "curves" / f"{Path(name).with_suffix('')}.svg"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(vl_convert.vegalite_to_svg(plot["content"]), encoding="utf-8")
    return _figure(path, folder, f"{name} of {' and '.join(plot['revisions'])}")


def _pictures(name: str, plot: Sequence[Json], folder: Path) -> str:
    figures = []
    for part in plot:
        revision = ", ".join(part["revisions"])
        figures.append(_figure(_picture(part, folder), folder, f"{name} of {revision}", revision))
    return "".join(figures)


def _figure(path: Path, folder: Path, description: str, caption: str = "") -> str:
    source = quote(path.relative_to(folder).as_posix())
    below = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    return f'<figure><img src="{source}" alt="{escape(description)}">{below}</figure>'
