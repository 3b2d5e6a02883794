"""Which version of which distribution an imported name is."""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

_OWN = frozenset({"trader", "backtest", "__main__"})


@cache
def _distributions() -> Mapping[str, str]:
    """The distribution of every installed import. All that is installed is looked through, so it is asked once in a process, and
    only for a name that no distribution has."""
    found: dict[str, str] = {}
    for it in importlib.metadata.distributions():
        name = _said(it, "Name")
        found |= {imported: name for imported in _imports(it) if imported not in found}
    return found


def _imports(installed: importlib.metadata.Distribution) -> Iterator[str]:
    """What a distribution says that it is imported as, else the first words of its files."""
    told = installed.read_text("top_level.txt")
    if told and told.split():
        yield from told.split()
        return
    for line in (installed.read_text("RECORD") or "").splitlines():
        first, slash, _ = line.partition(",")[0].strip('"').partition("/")
        name, dot, _ = first.partition(".")
        if name.isidentifier() and bool(dot) != bool(slash):
            yield name


class Versions:
    """known: imported name to distribution, "" for a name that no distribution has. asked: whether one was looked for."""

    def __init__(self) -> None:
        self.known: dict[str, str] = {}
        self.asked = False
        self._places = _places()
        self._versions: dict[str, str] = {}

    def kept(self) -> dict[str, Any]:
        """What is worth knowing the next time, as JSON can say it."""
        return {"places": self._places, "known": self.known}

    def take(self, told: Mapping[str, Any]) -> None:
        """What was kept. A name that no distribution had may have one, if anything was installed since. Raises KeyError or
        TypeError for anything else."""
        same = told["places"] == self._places
        self.known |= {name: it for name, it in told["known"].items() if it or same}

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
            found = _distributions().get(imported, "")
        self.known[imported] = found
        return found

    def version(self, distribution: str) -> str:
        """Of an installed distribution, "" where it is not installed. Looked up once in a process."""
        if distribution not in self._versions:
            self._versions[distribution] = _installed(distribution)
        return self._versions[distribution]


def _places() -> list[list[Any]]:
    """Folders that are imported from, each with the time of its last change: what is installed there later changes it."""
    found = [Path(it) for it in sys.path if it]
    return [[str(it), it.stat().st_mtime_ns] for it in found if it.is_dir()]


def _installed(distribution: str) -> str:
    """The version of a distribution."""
    try:
        return _said(importlib.metadata.distribution(distribution), "Version")
    except (importlib.metadata.PackageNotFoundError, ValueError):
        return ""


def _said(installed: importlib.metadata.Distribution, field: str) -> str:
    """A field of a distribution's metadata, "" where it has none. They are read as lines: parsed as the message that they are,
    those of a few libraries take longer than all the stages of a pipeline do."""
    text = installed.read_text("METADATA") or installed.read_text("PKG-INFO") or ""
    head = text.partition("\n\n")[0].splitlines()
    begin = f"{field}: "
    return next((line[len(begin) :].strip() for line in head if line.startswith(begin)), "")
