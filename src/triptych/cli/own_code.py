"""Run the code of the project that a command works on."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from triptych.core.errors import TriptychError
from triptych.repository.code_hash import PACKAGE
from triptych.repository.project import Project


def run_code_of_project() -> None:
    """Start this command again with the code in the project's `src`, if this process has imported another copy.

    DVC runs each point of a sweep in a checkout of its own. The code there is that of the point, but the installed
    package is the user's working tree. Ends with one sentence if Python cannot import the code.
    """
    try:
        code = Project.find(Path.cwd()).root / "src"
    except (FileNotFoundError, TriptychError):  # no project, or a folder that was deleted
        return
    if not (code / PACKAGE.name / "__main__.py").exists() or (code / PACKAGE.name).samefile(PACKAGE):
        return
    if os.pathsep in str(code):
        sys.exit(f"triptych: {code} has a {os.pathsep}, so Python cannot import the code there: rename the folder")
    first, *others = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    if first == str(code):
        sys.exit(f"triptych: Python imports {PACKAGE}, although PYTHONPATH begins with {code}: install Triptych there")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(code), first, *others)))
    os.execv(sys.executable, [sys.executable, "-P", "-m", PACKAGE.name, *sys.argv[1:]])  # noqa: S606
