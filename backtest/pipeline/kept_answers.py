"""Which definitions were reached before: valid as long as every source of this project is the file that it was."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backtest.pipeline.libraries import Versions

_SCHEMA = 2


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file of this project by the module that it is, with what changes when its content does."""

    module: str
    path: str
    stamp: tuple[int, ...]


def stamp_of(told: os.stat_result) -> tuple[int, ...]:
    """Of a file: an edit that keeps its length and sets its time back still has another time of change."""
    return told.st_size, told.st_ino, told.st_mtime_ns, told.st_ctime_ns


def written(kept: Path, told: Mapping[str, Any]) -> bool:
    """Whether a cache stands in its place, whole. One that cannot be written costs the next call its time alone."""
    unfinished = kept.with_name(f"{kept.name}.{os.getpid()}.tmp")
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        unfinished.write_text(json.dumps(told), encoding="utf-8")
        unfinished.replace(kept)
    except OSError:
        return False
    return True


def source_files(root: Path, packages: Iterable[str]) -> list[SourceFile]:
    """Every Python file of the packages, by name."""
    return sorted(
        (it for package in packages for it in _files(root / package, package)), key=lambda it: it.module
    )


def _files(folder: str | Path, dotted: str) -> Iterator[SourceFile]:
    with os.scandir(folder) as entries:
        for entry in entries:
            name, dot, kind = entry.name.partition(".")
            if kind == "py":
                told = entry.stat()
                module = dotted if name == "__init__" else f"{dotted}.{name}"
                yield SourceFile(module, entry.path, stamp_of(told))
            elif not dot and name != "__pycache__" and entry.is_dir():
                yield from _files(entry.path, f"{dotted}.{name}")


@dataclass(frozen=True, slots=True)
class Answer:
    """code: hash of each definition by `module:name`. imports: names of what is imported of others."""

    code: dict[str, str]
    imports: list[str]


class KeptAnswers:
    """kept: files that hold them, the first that can be read counts. sources, families: of which they are. versions: what is
    known of the libraries that they import is kept beside them."""

    def __init__(
        self,
        kept: Sequence[Path],
        sources: Iterable[SourceFile],
        families: Iterable[str],
        versions: Versions,
    ) -> None:
        self._versions = versions
        self._kept, self._changed = kept, False
        told = [sys.version, sorted(families), [[it.path, *it.stamp] for it in sources]]
        self._of = hashlib.sha256(json.dumps(told).encode()).hexdigest()
        self._known: dict[str, Answer] = {}
        any(self._read(it) for it in kept)

    def _read(self, kept: Path) -> bool:
        """Whether it holds what was reached in these sources."""
        try:
            told: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8"))
            if (told["schema"], told["of"]) != (_SCHEMA, self._of):
                return False
            known = {
                key: Answer(dict(it["code"]), list(it["imports"])) for key, it in told["answers"].items()
            }
            self._versions.take(told["libraries"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return False  # a cache that cannot be read is one that is not there
        self._known = known
        return True

    def get(self, roots: tuple[str, ...], families: tuple[str, ...]) -> Answer | None:
        """What was reached from these before."""
        return self._known.get(_key(roots, families))

    def put(self, roots: tuple[str, ...], families: tuple[str, ...], answer: Answer) -> None:
        """For the next time."""
        self._known[_key(roots, families)] = answer
        self._changed = True

    def keep(self) -> None:
        """Write them, if one is new."""
        if not self._changed:
            return
        answers = {key: {"code": it.code, "imports": it.imports} for key, it in self._known.items()}
        libraries = self._versions.kept()
        told = {"schema": _SCHEMA, "of": self._of, "libraries": libraries, "answers": answers}
        for it in self._kept:
            written(it, told)
        self._changed = False


def _key(roots: tuple[str, ...], families: tuple[str, ...]) -> str:
    return json.dumps([roots, families])
