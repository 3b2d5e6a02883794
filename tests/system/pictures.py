"""The README's pictures, taken anew: python -m tests.system.pictures (in .venv-system, after `make system`).

The dashboard is that of `trader demo`, run for it unless --demo names the folder of an earlier run; the report is the
committed example.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from playwright.sync_api import Browser

from tests.support.rig import command
from tests.system.browser import chromium, opened

ROOT = Path(__file__).resolve().parents[2]
PICTURES = ROOT / "docs" / "pictures"
HEIGHTS = {"dashboard": 1040, "report": 985}
MOST_BYTES = 300_000


def take(browser: Browser, page: Path, name: str) -> Path:
    """The top of a page, as at a desk."""
    picture = PICTURES / f"{name}.png"
    size = {"width": 1100, "height": HEIGHTS[name]}
    with opened(browser, page.resolve().as_uri(), viewport=size) as seen:
        seen.page.screenshot(path=picture)
    if picture.stat().st_size > MOST_BYTES:
        raise SystemExit(f"{picture} has {picture.stat().st_size:,} bytes; {MOST_BYTES:,} are the most")
    return picture


def main() -> None:
    """Take both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--demo", type=Path, help="the folder in which `trader demo` ran")
    given = parser.parse_args()
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name, chromium() as browser:
        folder = given.demo or Path(name)
        if given.demo is None:
            command("trader", "demo", cwd=folder)
        print(take(browser, folder / "demo-run" / "page" / "index.html", "dashboard"))
        print(take(browser, ROOT / "docs" / "study-2021.html", "report"))


if __name__ == "__main__":
    main()
