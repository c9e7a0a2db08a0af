"""`triptych plots`: write the plots of `dvc plots` to `triptych_plots/`, without a network.

DVC's own page loads a script from the network. Here every curve is an SVG file. `index.html` shows curves and pictures,
one column per revision.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from triptych.core.errors import TriptychError
from triptych.core.files import atomic_folder
from triptych.repository.project import Project

Json = dict[str, Any]

FOLDER = "triptych_plots"
ERROR = "ERROR: "  # begins DVC's sentence about what went wrong
PAGE = """<!DOCTYPE html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{{ title }}</title>
<style>
body { font: 1rem/1.5 system-ui, sans-serif; margin: 1rem auto; max-width: 75rem; padding: 0 1rem }
section { display: grid; grid-template-columns: repeat({{ columns }}, minmax(0, 1fr)); gap: 0 1rem }
h2 { grid-column: 1 / -1; font-size: 1.1rem; margin: 1.5rem 0 .5rem } figure { margin: 0 } img { max-width: 100% }
</style>
<h1>{{ title }}</h1>
<p>{{ note }}</p>
{% for name, figures in sections %}
<section><h2>{{ name }}</h2>{% for source, of, caption in figures -%}
<figure><img src="{{ source | urlencode }}" alt="{{ name }} of {{ of }}">
{%- if caption %}<figcaption>{{ caption }}</figcaption>{% endif %}</figure>
{%- endfor %}</section>
{% endfor %}
</html>
"""


def draw_plots(project: Project, revisions: Sequence[str]) -> str:
    """Draw the plots of the working tree, or those in which the revisions differ; return a sentence with the result.

    One revision is compared with the working tree. Raises TriptychError if there are no plots, or if DVC fails, for
    example because a revision does not exist.
    """
    from jinja2 import Environment

    if revisions:
        project.require_commit()
    columns = revisions if len(revisions) > 1 else [*revisions, "the working tree"]
    with atomic_folder(project.root / FOLDER) as folder:
        plots = _load_plots(project, revisions, folder)
        if not plots:
            raise TriptychError("DVC finds no plots: run `triptych repro` first")
        sections = []
        for name, plot in plots.items():
            if not revisions or _differs(plot, folder):
                sections.append((name, [_curve(name, plot[0], folder)] if _is_curve(plot) else _pictures(plot)))
            elif not _is_curve(plot):
                for part in plot:
                    (folder / _picture(part)).unlink(missing_ok=True)
        same = len(plots) - len(sections)
        note = f"{len(sections)} plots" + (f"; {same} more are equal in all revisions and not shown" if same else "")
        template = Environment(autoescape=True, trim_blocks=True).from_string(PAGE)
        title = f"Plots of {' and '.join(columns)}"
        page = template.render(title=title, note=note, columns=len(columns), sections=sections)
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
        lines = done.stderr.splitlines()
        reason = next((line for line in lines if line.startswith(ERROR)), "no message").removeprefix(ERROR)
        raise TriptychError(f"DVC cannot show these plots: {reason}")
    plots = {name: plot for name, plot in json.loads(done.stdout).get("data", {}).items() if plot}
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
        contents = [(folder / _picture(part)).read_bytes() for part in plot]
    return len(contents) < 2 or any(content != contents[0] for content in contents)


def _curve(name: str, plot: Json, folder: Path) -> tuple[str, str, str]:
    """Draw the curve as SVG. Return the path of the file, its revisions, and no caption."""
    import vl_convert

    path = Path("curves", name).with_suffix(".svg")
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_text(vl_convert.vegalite_to_svg(plot["content"]), encoding="utf-8")
    return path.as_posix(), " and ".join(plot["revisions"]), ""


def _pictures(plot: Sequence[Json]) -> list[tuple[str, str, str]]:
    """Return path, revisions and caption of each picture."""
    return [(_picture(part), *[", ".join(part["revisions"])] * 2) for part in plot]


def _picture(part: Mapping[str, Any]) -> str:
    return f"pictures/{Path(part['url']).name}"
