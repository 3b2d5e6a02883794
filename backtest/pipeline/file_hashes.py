"""Hashes of files, kept as long as a file's size, place on the disk and times are what they were."""

from __future__ import annotations

import json
import os
from pathlib import Path

from backtest.pipeline.folder import sha256_of


class FileHashes:
    """kept: the file they are kept in, None to keep none. One that cannot be read or written costs time alone."""

    def __init__(self, kept: Path | None) -> None:
        self._kept, self._changed = kept, False
        self._known: dict[str, list[str]] = {}
        if kept is not None:
            try:
                told = json.loads(kept.read_text(encoding="utf-8"))
                self._known = {str(path): [str(it) for it in row] for path, row in told.items()}
            except (OSError, ValueError, AttributeError, TypeError):
                self._known = {}

    def of(self, path: Path | str) -> str | None:
        """The SHA-256 of a file's content, None where there is no file. Raises ConfigError for one that cannot be read."""
        try:
            stat = os.stat(path)  # noqa: PTH116  # a thousand of them: a Path each would take as long as the disk
        except (OSError, ValueError):
            return None
        stamp = f"{stat.st_size} {stat.st_ino} {stat.st_mtime_ns} {stat.st_ctime_ns}"
        known = self._known.get(str(path))
        if known and known[0] == stamp:
            return known[1]
        if not Path(path).is_file():
            return None
        found = sha256_of(Path(path))
        self._known[str(path)] = [stamp, found]
        self._changed = True
        return found

    def keep(self) -> None:
        """Write them, if one is new."""
        if self._kept is None or not self._changed:
            return
        unfinished = self._kept.with_name(f"{self._kept.name}.{os.getpid()}.tmp")
        try:
            unfinished.write_text(json.dumps(self._known), encoding="utf-8")
            unfinished.replace(self._kept)
        except OSError:
            return
        self._changed = False
