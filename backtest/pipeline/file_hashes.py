"""Hashes of files, kept as long as a file's size, place on the disk and times are what they were."""

from __future__ import annotations

import json
import os
from pathlib import Path

from backtest.pipeline.folder import sha256_of
from backtest.pipeline.kept_answers import stamp_of, written


class FileHashes:
    """kept: the file they are kept in, None to keep none. One that cannot be read or written costs time alone."""

    def __init__(self, kept: Path | None) -> None:
        self._kept, self._changed = kept, False
        self._known: dict[str, tuple[list[int], str]] = {}
        if kept is not None:
            try:
                told = json.loads(kept.read_text(encoding="utf-8"))
                self._known = {str(path): (list(stamp), str(name)) for path, (stamp, name) in told.items()}
            except (OSError, ValueError, AttributeError, TypeError):
                self._known = {}

    def of(self, path: Path | str) -> str | None:
        """The SHA-256 of a file's content, None where there is no file. Raises ConfigError for one that cannot be read."""
        try:
            stat = os.stat(path)  # noqa: PTH116  # a thousand of them: a Path each would take as long as the disk
        except (OSError, ValueError):
            return None
        stamp = [*stamp_of(stat)]
        known = self._known.get(str(path))
        if known and known[0] == stamp:
            return known[1]
        if not Path(path).is_file():
            return None
        found = sha256_of(Path(path))
        self._known[str(path)] = stamp, found
        self._changed = True
        return found

    def keep(self) -> None:
        """Write them, if one is new."""
        if self._kept is None or not self._changed:
            return
        self._changed = not written(self._kept, self._known)
