"""A database of MLflow without a run, made by the tracker's own first look at it: the fifty migrations of its tables take as
long as all that a test then does with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.forked import crew
from tests.support.once import once
from trader.adapters.tracker_mlflow import MlflowBackend


def empty_database(folders: pytest.TempPathFactory) -> Path:
    """The file, to be copied."""
    return once(folders, "mlflow", _made) / "mlflow.db"


def _made(folder: Path) -> None:
    child = crew.Process(target=_look, args=(folder,))
    child.start()
    child.join()
    assert child.exitcode == 0


def _look(folder: Path) -> None:
    MlflowBackend(folder).page_of("nothing")
