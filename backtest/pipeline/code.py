"""The code that a stage reaches: definitions of this project and of a person's own files, and the libraries that they use.

An edge leads from a definition to every name in it, the types of its parameters among them. A class is one definition, since
which of its methods is called is decided at run time. Where a name cannot be followed, or a definition imports by a text, it
stands for its whole module. Edges out of the tables of families follow only the families that are named.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from backtest.pipeline.code_tables import (
    NO_RESULT,
    PACKAGES,
    PACKAGES_BEGIN,
    TABLES_OF_FAMILIES,
    TABLES_OF_PRESETS,
)
from backtest.pipeline.kept_answers import Answer, KeptAnswers, SourceFile, source_files, stamp_of, written
from backtest.pipeline.libraries import Versions
from backtest.pipeline.source_module import SourceModule, content_of, module_of, script_of
from backtest.pipeline.source_text import AT_IMPORT

ROOT = Path(__file__).resolve().parents[2]
_SCHEMA = 4
# Of this process: a module that was taken apart is not taken apart again.
_taken_apart: dict[tuple[str, str], SourceModule] = {}


@cache
def _read_by() -> list[Any]:
    """Who took modules apart: another Python, or another way to do it, would find other things in them."""
    ways = sorted(Path(__file__).parent.glob("source_*.py"))
    return [sys.version, *([it.name, *stamp_of(it.stat())] for it in ways)]


@dataclass(frozen=True)
class Reached:
    """code: hash of each definition by `module:name`. libraries: versions by distribution, Python among them."""

    code: Mapping[str, str]
    libraries: Mapping[str, str]

    @cached_property
    def digest(self) -> str:
        """Of all the code, in one word."""
        return hashlib.sha256(json.dumps(dict(self.code), sort_keys=True).encode()).hexdigest()[:32]


class Code:
    """Sources, read when they are reached. kept: a file that holds what was taken apart before; None keeps nothing. shared: one
    that knows this project's own sources alone, for where the first is not there yet. A module whose file has the size and the
    times that it had is not read again."""

    def __init__(
        self,
        kept: Path | None = None,
        root: Path = ROOT,
        families: Iterable[str] = (),
        versions: Versions | None = None,
        shared: Path | None = None,
    ) -> None:
        self._kept, self._root = kept, root
        self._caches = [it for it in (kept, shared) if it is not None]
        self._families = frozenset(families)
        self.versions = versions or Versions()
        self._modules: dict[tuple[str, Path | None], SourceModule | None] = {}
        self._located: dict[tuple[str, Path | None], tuple[SourceModule | None, list[str]]] = {}
        self._reached: dict[tuple[Any, ...], Reached] = {}
        self._stale = False

    @cached_property
    def _known(self) -> dict[str, Any]:
        """By a module's path: its file's size and time, and what it says."""
        for path in self._caches:
            try:
                told = json.loads(path.read_text(encoding="utf-8"))
                if (told["schema"], told["by"]) == (_SCHEMA, _read_by()):
                    self.versions.take(told["libraries"])
                    return dict(told["modules"])
            except (OSError, ValueError, KeyError, TypeError, AttributeError):
                pass  # a cache that cannot be read is one that is not there
        return {}

    @cached_property
    def _sources(self) -> list[SourceFile]:
        return source_files(self._root, PACKAGES)

    @cached_property
    def _index(self) -> dict[str, Path]:
        """This project's files by the module that each is."""
        return {it.module: Path(it.path) for it in self._sources}

    @cached_property
    def _answers(self) -> KeptAnswers:
        kept = [it.with_name(f"reached-{it.name}") for it in self._caches]
        return KeptAnswers(kept, self._sources, self._families, self.versions)

    def keep(self) -> None:
        """Write what was taken apart, if anything was; a folder that cannot be written costs the next call its time alone."""
        self._answers.keep()
        if not (self._stale or self.versions.asked):
            return
        own = {str(path) for path in self._index.values()}
        for path in self._caches:
            told = {
                "schema": _SCHEMA,
                "by": _read_by(),
                "modules": {
                    place: it for place, it in self._known.items() if path is self._kept or place in own
                },
                "libraries": self.versions.kept(),
            }
            written(path, told)

    def reached(
        self,
        roots: Iterable[str],
        families: Iterable[str] = (),
        file: Path | None = None,
        source: str | None = None,
    ) -> Reached:
        """From `module:name` roots on, and from a person's own file, which is run as a whole; `source` is what is run of a file
        that is no Python itself, such as a notebook. Raises DataError for a file that is no Python."""
        asked = (tuple(roots), tuple(sorted(families)), file, source)
        if asked not in self._reached:
            found = self._answer(*asked)
            self._reached[asked] = Reached(found.code, self.versions.of(found.imports))
        return self._reached[asked]

    def _answer(
        self, roots: tuple[str, ...], families: tuple[str, ...], file: Path | None, source: str | None
    ) -> Answer:
        """From before, where only this project's own sources matter, and none of them has changed."""
        known = self._answers.get(roots, families) if file is None else None
        if known is not None:
            return known
        found = _Walk(self, frozenset(families), file, source).from_roots(roots)
        if file is None:
            self._answers.put(roots, families, found)
        return found

    def module(self, name: str, folder: Path | None) -> SourceModule | None:
        """A module of this project, or of a file in `folder`; None for any other."""
        place = name, folder
        if place not in self._modules:
            self._modules[place] = self._read(name, path) if (path := self._path(name, folder)) else None
        return self._modules[place]

    def located(self, dotted: str, folder: Path | None) -> tuple[SourceModule | None, list[str]]:
        """The module that a dotted name begins with, and the rest of it; of any other all of its words."""
        place, parts = (dotted, folder), dotted.split(".")
        if place not in self._located:
            cuts = range(len(parts), 0, -1)
            found = ((self.module(".".join(parts[:cut]), folder), parts[cut:]) for cut in cuts)
            self._located[place] = next((it for it in found if it[0] is not None), (None, parts))
        return self._located[place]

    def is_other_family(self, dotted: str, families: frozenset[str]) -> bool:
        """Whether a name in a table of families belongs to one that was not named."""
        words = {it.lstrip("_").lower().removesuffix("params") for it in dotted.replace(":", ".").split(".")}
        return bool((words & self._families) - families)

    def _path(self, name: str, folder: Path | None) -> Path | None:
        parts = name.split(".")
        if parts[0] in PACKAGES:
            return self._index.get(name)
        if folder is None:
            return None
        path = folder.joinpath(*parts)
        for it in (path / "__init__.py", path.with_suffix(".py") if path.name else path):  # as Python looks
            if it.is_file():
                return it
        return None

    def _read(self, name: str, path: Path) -> SourceModule | None:
        try:
            stat = path.stat()
            stamp = [*stamp_of(stat)]
            there = self._known.get(str(path))
            if there and there["stamp"] == stamp:
                return SourceModule.of_json(there["module"])
            source = path.read_bytes()
        except (OSError, KeyError, TypeError, ValueError):
            return None
        self._stale = True
        if there and there["module"]["content"] == content_of(source):
            there["stamp"] = stamp
            return SourceModule.of_json(there["module"])
        module = _taken(name, source, path)
        self._known[str(path)] = {"stamp": stamp, "module": module.as_json()}
        return module


def _taken(name: str, source: bytes, path: Path) -> SourceModule:
    place = name, content_of(source)
    if place not in _taken_apart:
        _taken_apart[place] = module_of(name, source, path)
    return _taken_apart[place]


class _Walk:
    """One question: which definitions are reached."""

    def __init__(self, code: Code, families: frozenset[str], file: Path | None, source: str | None) -> None:
        self._code, self._families = code, families
        self._folder = file.parent if file else None
        self._found: dict[str, str] = {}
        self._imports: set[str] = set()
        self._imported: set[str] = set()
        self._waiting: list[tuple[str, str]] = []
        if file is not None:
            self._script(file, source)

    def from_roots(self, roots: Iterable[str]) -> Answer:
        """All that is reached from them."""
        for root in roots:
            module, _, name = root.partition(":")
            self._follow(f"{module}.{name}" if name else module)
        while self._waiting:
            self._visit(*self._waiting.pop())
        return Answer(dict(sorted(self._found.items())), sorted(self._imports))

    def _script(self, file: Path, source: str | None) -> None:
        text = file.read_bytes() if source is None else source.encode()
        module = script_of("__main__", text, file)
        what = module.definitions[AT_IMPORT]
        self._found["your file"] = what.hash
        for dotted in {*what.refers, *module.stars}:
            if not dotted.startswith("__main__."):
                self._follow(dotted)
        self._import_all(module)

    def _import_all(self, module: SourceModule) -> None:
        """What happens in a person's own modules when this one imports them, though nothing of them may be used."""
        for dotted in (*module.imported.values(), *module.stars):
            self._imported_by_name(dotted)

    def _imported_by_name(self, dotted: str) -> None:
        """What happens when a module is imported: in it, in the packages that it lies in, and, of a person's own, in what it
        imports itself. Those of this project do nothing then that another module could see."""
        other, rest = self._code.located(dotted, self._folder)
        if other is None:
            self._imports.add(rest[0])
            return
        if dotted.startswith(PACKAGES_BEGIN):
            return
        parts = other.name.split(".")
        for name in (".".join(parts[:n]) for n in range(1, len(parts) + 1)):
            package = self._code.module(name, self._folder)
            if package is not None and name not in self._imported:
                self._imported.add(name)
                self._waiting.append((name, AT_IMPORT))
                self._import_all(package)

    def _visit(self, module_name: str, name: str) -> None:
        node = f"{module_name}:{name}"
        module = self._code.module(module_name, self._folder)
        if node in self._found or module is None or name not in module.definitions:
            return
        what = module.definitions[name]
        table = node in TABLES_OF_FAMILIES
        self._found[node] = "a table" if table or node in TABLES_OF_PRESETS else what.hash
        if node in TABLES_OF_PRESETS:
            return
        for dotted in what.refers:
            if not (table and self._code.is_other_family(dotted, self._families)):
                self._follow(dotted)
        if what.by_text:
            self._whole(module)
        self._visit(module_name, AT_IMPORT)

    def _whole(self, module: SourceModule) -> None:
        self._waiting += [(module.name, name) for name in module.definitions]

    def _follow(self, dotted: str, depth: int = 0) -> None:
        """To the definition that a dotted name leads to, through modules that only import it."""
        if dotted.startswith(NO_RESULT):
            return
        if dotted.endswith(f".{AT_IMPORT}"):
            self._imported_by_name(dotted.removesuffix(f".{AT_IMPORT}").removesuffix(".*"))
            return
        module, rest = self._code.located(dotted, self._folder)
        if module is None:
            self._imports.add(rest[0])
            return
        if not f"{module.name}.".startswith(PACKAGES_BEGIN):
            self._imported_by_name(module.name)
        self._into(module, rest, depth)

    def _into(self, module: SourceModule, rest: list[str], depth: int) -> None:
        if not rest:
            self._whole(module)
        elif rest[0] in module.definitions:
            self._waiting.append((module.name, rest[0]))
        elif rest[0] in module.imported and depth < 20:
            self._found[f"{module.name}:{rest[0]}"] = f"is {module.imported[rest[0]]}"
            self._follow(".".join([module.imported[rest[0]], *rest[1:]]), depth + 1)
        elif module.stars and f"{module.name}:{rest[0]}" not in self._found:
            self._found[f"{module.name}:{rest[0]}"] = f"is of {', '.join(module.stars)}"
            for star in module.stars:
                self._follow(f"{star}.{rest[0]}", depth + 1)
        if "__getattr__" in module.definitions and rest and rest[0] not in module.definitions:
            self._waiting.append((module.name, "__getattr__"))
