"""The README's result is the program's."""

from __future__ import annotations

from pathlib import Path

from tests.rig import command

README = Path(__file__).resolve().parents[1] / "README.md"


def test_the_readme_shows_what_the_demo_prints(tmp_path: Path) -> None:
    """The table within the README's first forty lines is the demo's own, digit for digit; it says that it is synthetic."""
    printed = command("trader", "demo", cwd=tmp_path).stdout.strip()
    top = "\n".join(README.read_text().splitlines()[:40])
    assert printed in top
    assert "synthetic market" in printed
