"""How files of collected bars are named. Asked by whoever needs a path alone, so it imports nothing that reads files."""

from __future__ import annotations

from pathlib import Path

ENDING = "-1h.parquet"


def bar_file(folder: Path, symbol: str) -> Path:
    """Where a symbol's collected bars lie in a folder."""
    return folder / f"{symbol}{ENDING}"
