"""Which version of which distribution an imported name is."""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Iterable, Mapping
from functools import cache

_OWN = frozenset({"trader", "backtest", "__main__"})


@cache
def _distributions() -> Mapping[str, list[str]]:
    """Of every installed import: it takes a second, so it is asked once in a process, and only for a name that no distribution
    has."""
    return importlib.metadata.packages_distributions()


class Versions:
    """known: imported name to distribution, "" for a name that no distribution has. asked: whether one was looked for."""

    def __init__(self) -> None:
        self.known: dict[str, str] = {}
        self.asked = False
        self._versions: dict[str, str] = {}

    def of(self, imported: Iterable[str]) -> dict[str, str]:
        """Versions by distribution, Python's own first."""
        names = sorted({*imported} - sys.stdlib_module_names - _OWN)
        found = {"python": sys.version.split()[0]}
        for name in names:
            distribution = self.distribution(name)
            if distribution:
                found[distribution] = self.version(distribution)
        return found

    def distribution(self, imported: str) -> str:
        """The distribution that an import comes from."""
        there = self.known.get(imported)
        if there and self.version(there):
            return there
        if there == "":
            return ""
        self.asked = True
        found = imported if self.version(imported) else ""
        if not found:
            found = (_distributions().get(imported) or [""])[0]
        self.known[imported] = found
        return found

    def version(self, distribution: str) -> str:
        """Of an installed distribution, "" where it is not installed. Looked up once in a process."""
        if distribution not in self._versions:
            self._versions[distribution] = _installed(distribution)
        return self._versions[distribution]


def _installed(distribution: str) -> str:
    """The version that the distribution's metadata say. They are read as lines: parsed as the message that they are, those of a
    few libraries take longer than all the stages of a pipeline do."""
    try:
        found = importlib.metadata.distribution(distribution)
    except (importlib.metadata.PackageNotFoundError, ValueError):
        return ""
    text = found.read_text("METADATA") or found.read_text("PKG-INFO") or ""
    head = text.partition("\n\n")[0].splitlines()
    return next((line[8:].strip() for line in head if line.startswith("Version:")), "")
