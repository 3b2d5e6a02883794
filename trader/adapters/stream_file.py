"""What `trader run` notes of its stream beside the bars, for `trader status` on the same machine. It decides nothing."""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict, fields
from pathlib import Path

from trader.core.streams import StreamState

NAME = "stream.json"
KEYS = tuple(field.name for field in fields(StreamState))


def write_stream(folder: Path, state: StreamState) -> None:
    """Replace the note, atomically. A folder that cannot be written is no reason to stop listening."""
    path = folder / NAME
    made = path.with_suffix(".tmp")
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        made.write_text(json.dumps(asdict(state)) + "\n")
        made.replace(path)


def read_stream(folder: Path) -> StreamState | None:
    """The note, None where there is none that can be read."""
    try:
        said = json.loads((folder / NAME).read_text())
        return StreamState(**{name: said[name] for name in KEYS})
    except (OSError, ValueError, TypeError, KeyError):
        return None
