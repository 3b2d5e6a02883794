"""What of a pipeline's folder may be removed: outputs that no manifest names and that are not the newest of their stage, and what
a kill left unfinished."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backtest.pipeline.folder import PipelineFolder
from backtest.pipeline.record import Record
from trader.core.errors import DataError

GB = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Model:
    """A model that a bot keeps: the hash of its bytes, and its parameters."""

    sha256: str
    params: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Removal:
    """objects: outputs that go, by hash, with their bytes. manifests: those that go. kept: bytes that stay. protected: numbers of
    the manifests that made a bot's model."""

    objects: Mapping[str, int]
    manifests: tuple[Path, ...]
    kept: int
    protected: tuple[int, ...]


def removal_of(folder: PipelineFolder, models: Sequence[Model], budget: int | None) -> Removal:
    """What may go. budget: bytes; the oldest manifests go until no more is kept, but never the newest one, what is in current/,
    nor what a bot's model was made of. Raises DataError for a manifest that cannot be read."""
    # A page has a second name, with its ending.
    files = [it for it in (folder.path / "objects").glob("*/*") if it.is_file() and not it.suffix]
    sizes = {it.name: it.stat().st_size for it in files}
    named = {path: _read(path) for path in folder.manifests()}
    newest = {record.job: record for record in folder.records()}
    always = {name for record in newest.values() for name in record.outputs.values()} | _linked(folder)
    guarded = {path: record for path, record in named.items() if _made(folder, record, models)}
    left = list(named)
    while budget is not None and _bytes(sizes, always, [named[it] for it in left]) > budget:
        oldest = next((it for it in left[:-1] if it not in guarded), None)
        if oldest is None:
            break
        left.remove(oldest)
    stay = always | {name for it in left for record in named[it] for name in record.outputs.values()}
    gone = {name: size for name, size in sizes.items() if name not in stay}
    kept = sum(size for name, size in sizes.items() if name in stay)
    return Removal(
        gone, tuple(it for it in named if it not in left), kept, tuple(int(it.stem) for it in guarded)
    )


def removed(folder: PipelineFolder, what: Removal) -> None:
    """Remove it: manifests first, then the lines of the journal whose outputs go, then these. Safe to repeat."""
    with folder.errors():
        for path in what.manifests:
            path.unlink(missing_ok=True)
    kept = [it for it in folder.records() if not any(name in what.objects for name in it.outputs.values())]
    folder.write("journal.jsonl", "".join(json.dumps(it.as_json()) + "\n" for it in kept))
    used = {it.basis.code for it in kept}
    with folder.errors():
        for name in what.objects:
            for path in folder.object(name).parent.glob(f"{name}*"):
                path.unlink(missing_ok=True)
        for path in _leftovers(folder):
            path.unlink(missing_ok=True)
        for path in (folder.path / "code").glob("*.json"):
            if path.stem not in used:
                path.unlink()
        for path in (folder.path / "objects").iterdir():
            with suppress(OSError):  # it holds others
                path.rmdir()


def _linked(folder: PipelineFolder) -> set[str]:
    """The hashes of the outputs that are in current/."""
    links = (it for it in (folder.path / "current").rglob("*") if it.is_symlink())
    return {it.readlink().name.partition(".")[0] for it in links}


def _leftovers(folder: PipelineFolder) -> list[Path]:
    """Files that a kill left unfinished; nobody else may be writing."""
    rooms = ("objects", "code", "records", "manifests", "cache")
    files = [it for room in rooms for it in (folder.path / room).rglob("*.tmp")]
    files += folder.path.glob(".link-*")
    # As earlier versions left them.
    return files + [it for it in (folder.path / "current").rglob(".*") if it.is_symlink()]


def _read(path: Path) -> list[Record]:
    try:
        return [Record.of_json(it) for it in json.loads(path.read_text(encoding="utf-8"))["stages"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} cannot be read ({error}); remove it, or put it back") from None


def _bytes(sizes: Mapping[str, int], always: Iterable[str], manifests: Sequence[Sequence[Record]]) -> int:
    stay = {*always, *(name for records in manifests for it in records for name in it.outputs.values())}
    return sum(sizes.get(name, 0) for name in stay)


def _made(folder: PipelineFolder, records: Sequence[Record], models: Sequence[Model]) -> bool:
    """Whether one of these models was trained by this run, or by its parameters."""
    hashes, params = {it.sha256 for it in models}, [dict(it.params) for it in models]
    for record in records:
        if record.basis.kind == "train" and record.outputs.get("model") in hashes:
            return True
        if record.basis.kind == "backtest" and params:
            with suppress(DataError, ValueError):
                if json.loads(folder.read_object(record.outputs["P.json"])) in params:
                    return True
    return False
