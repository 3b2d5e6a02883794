"""Folds by their content: what one fit predicts is kept under the hash of everything that it follows from; of a fit that is
judged on its way, also what it had learnt by then.

So a fold is never stale, whatever changes around it: other bars, features, parameters, windows or code have another
name. A file that was cut short or damaged is one that is not there.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import inspect
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import numpy as np

from backtest.executors.protocol import Array
from trader.core.errors import ConfigError
from trader.core.labels import hurdle_of
from trader.core.params import Params
from trader.core.ports import Forecaster
from trader.core.types import Matrix

_DIGEST = 32
# Modules of base classes that any class may have; their source does not change a fit.
_FOREIGN = {"builtins", "typing"}


def code_hash(forecaster: Forecaster) -> str:
    """Of the source that fits and predicts, and of the version of the library below it."""
    modules = {
        kind.__module__ for kind in type(forecaster).__mro__ if kind.__module__ in sys.modules
    } - _FOREIGN
    modules |= {import_module(name).__name__ for name in getattr(forecaster, "source_modules", ())}
    source = "\n".join(inspect.getsource(sys.modules[name]) for name in sorted(modules))
    versions = [f"{name} {_version(name)}" for name in forecaster.libraries]
    return hashlib.sha256("\n".join((source, *versions)).encode()).hexdigest()[:16]


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "none"


def content_hash(parts: Sequence[Array]) -> str:
    """Of arrays, their types and their shapes."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(repr((part.shape, part.dtype.str)).encode())
        digest.update(np.ascontiguousarray(part).data)
    return digest.hexdigest()


def fold_key(content: str, params: Params, stages: Sequence[int], code: str) -> str:
    """The name of what a fit predicts with each number of stages: of every array that it is trained on or predicts (their
    `content_hash`), of the parameters that the family is given, of horizon and hurdle, and of the code."""
    given = {
        **params.model.model_dump(),
        "seed": params.seed,
        "horizon_hours": params.horizon_hours,
        "hurdle": hurdle_of(params),
        "stages": list(stages),
        "code": code,
    }
    if params.train_symbols is not None:
        given["train_symbols"] = params.train_symbols  # which of the arrays is whose
    return hashlib.sha256(f"{json.dumps(given, sort_keys=True)} {content}".encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class FoldCache:
    """Predictions, (a, m) float32 each, and other bytes, in files of a folder. Any number of processes may share it."""

    folder: Path

    def get(self, key: str, rows: int) -> Matrix | None:
        """What is kept under a name as (rows, m), or None."""
        body = self.read(key)
        return None if body is None else np.frombuffer(body, np.float32).reshape(rows, -1)

    def put(self, key: str, p_up: Matrix) -> None:
        """Keep (a, m) float32. Raises ConfigError."""
        self.keep(key, np.ascontiguousarray(p_up, np.float32).tobytes())

    def read(self, key: str) -> bytes | None:
        """What is kept under a name, or None."""
        try:
            data = self._path(key).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ConfigError(f"cache {self.folder} cannot be read: {error.strerror}") from None
        kept, body = data[:_DIGEST], data[_DIGEST:]
        return body if hashlib.sha256(body).digest() == kept else None

    def keep(self, key: str, body: bytes) -> None:
        """Keep bytes: written beside their place and moved there whole. Raises ConfigError."""
        path = self._path(key)
        unfinished = path.with_name(f"{path.name}.{os.getpid()}")
        try:
            try:
                unfinished.write_bytes(hashlib.sha256(body).digest() + body)
            except FileNotFoundError:  # the first one here
                path.parent.mkdir(parents=True, exist_ok=True)
                unfinished.write_bytes(hashlib.sha256(body).digest() + body)
            unfinished.replace(path)
        except OSError as error:
            raise ConfigError(f"cache {self.folder} cannot be written: {error.strerror}") from None

    def drop(self, key: str) -> None:
        """Forget what is kept under a name."""
        try:
            self._path(key).unlink(missing_ok=True)
        except OSError as error:
            raise ConfigError(f"cache {self.folder} cannot be written: {error.strerror}") from None

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / key
