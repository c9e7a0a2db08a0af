"""The import contracts in pyproject.toml: layers of packages, and no circle between modules."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_imports_point_down_and_form_no_circle() -> None:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_status_imports_no_pytorch() -> None:
    """Its import takes seconds."""
    program = "import sys, triptych.reports.status; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_no_module_stands_beside_the_packages() -> None:
    loose = {path.name for path in (ROOT / "src" / "triptych").glob("*.py")}
    assert loose == {"__init__.py", "__main__.py"}


def test_no_module_is_longer_than_300_lines() -> None:
    long = {
        path.relative_to(ROOT).as_posix(): lines
        for path in (ROOT / "src").rglob("*.py")
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > 300
    }
    assert long == {}
