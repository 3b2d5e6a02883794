"""A table of a pipeline's file: each key read once, as what it must be."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

from trader.core.errors import ConfigError


class Table:
    """The values of `[name]` in a file; messages say where."""

    def __init__(self, path: Path, name: str, values: Any) -> None:
        if not isinstance(values, dict):
            raise ConfigError(f"{path}: [{name}] must be a table")
        self._path, self._name, self._values = path, name, values
        self._read: set[str] = set()

    def place(self, key: str) -> str:
        """For a message."""
        return f"{self._path}: [{self._name}] {key}"

    def text(self, key: str, default: str | None = None) -> str:
        """A text. Raises ConfigError without one where there is no default."""
        value = self._value(key, default)
        if not isinstance(value, str) or (default is None and not value):
            raise ConfigError(f"{self.place(key)} must be a text, not {value!r}")
        return value

    def choice(self, key: str, known: tuple[str, ...], default: str) -> str:
        """One of these texts."""
        value = self.text(key, default)
        if value not in known:
            raise ConfigError(f"{self.place(key)} {value!r} must be {' or '.join(known)}")
        return value

    def number(self, key: str, default: int, least: int) -> int:
        """A whole number."""
        value = self._value(key, default)
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise ConfigError(f"{self.place(key)} must be a whole number of at least {least}, not {value!r}")
        return value

    def texts(self, key: str, needed: bool = True) -> tuple[str, ...]:
        """A text, or a list of different ones."""
        value = self._value(key, None if needed else [])
        found = [value] if isinstance(value, str) else value
        if not isinstance(found, list) or not all(isinstance(it, str) and it for it in found):
            raise ConfigError(f"{self.place(key)} must be a list of texts, not {value!r}")
        if needed and not found:
            raise ConfigError(f"{self.place(key)} is empty; name one at least")
        if twice := [it for it in found if found.count(it) > 1]:
            raise ConfigError(f"{self.place(key)} names {twice[0]!r} twice; name it once")
        return tuple(found)

    def paths(self, key: str, needed: bool = False) -> tuple[str, ...]:
        """Texts that are relative paths and stay below their folder."""
        found = self.texts(key, needed)
        for it in found:
            path = PurePosixPath(it)
            if path.is_absolute() or ".." in path.parts or "\\" in it or path.as_posix() != it:
                raise ConfigError(
                    f"{self.place(key)} {it!r} must be a path below the pipeline's folder, such as data/x.csv"
                )
        return found

    def only(self, known: Iterable[str]) -> dict[str, Any]:
        """What is left of the table, keys as listed. Raises ConfigError for any other key."""
        self._read |= {*known}
        self.require_all_read()
        return dict(self._values)

    def rest(self) -> dict[str, Any]:
        """All of the table."""
        self._read |= self._values.keys()
        return dict(self._values)

    def require_all_read(self) -> None:
        """Raises ConfigError for a key that nobody asked for."""
        for key in self._values:
            if key not in self._read:
                known = (
                    f"the keys are {', '.join(sorted(self._read))}" if self._read else "the table has no keys"
                )
                raise ConfigError(f"{self.place(key)} is not known; {known}")

    def _value(self, key: str, default: Any) -> Any:
        self._read.add(key)
        if key not in self._values and default is None:
            raise ConfigError(f"{self.place(key)} is missing; see docs/pipeline.md")
        return self._values.get(key, default)
