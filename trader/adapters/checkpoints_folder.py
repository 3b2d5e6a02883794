"""Checkpoints of unfinished trainings as files of a folder, which is made when the first one is kept."""

from __future__ import annotations

from pathlib import Path

from trader.core.errors import ConfigError
from trader.plain_file import read_plain


class FolderCheckpoints:
    """A file a training. Whoever reads sees the old checkpoint or the whole new one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def load(self, key: str) -> bytes | None:
        """What was kept, None where nothing was, or where it cannot be read: the training then begins anew."""
        try:
            return read_plain(self._path(key), follow=False)
        except OSError:
            return None

    def save(self, key: str, data: bytes) -> None:
        """Raises ConfigError where the folder cannot be written."""
        path = self._path(key)
        part = path.with_suffix(".part")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            part.write_bytes(data)
            part.replace(path)
        except OSError as error:
            raise ConfigError(
                f"checkpoints {self._folder} cannot be written: {error.strerror}. Name another folder with checkpoints in "
                "trader.toml (or TRADER_CHECKPOINTS)"
            ) from None

    def drop(self, key: str) -> None:
        """Also where there is none."""
        self._path(key).unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}.safetensors"
