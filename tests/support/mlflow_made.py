"""A database of MLflow without a run, made once for all workers of pytest: the fifty migrations of its tables take as long as
all that a test then does with them."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from tests.support.forked import crew
from trader.adapters.tracker_mlflow import MlflowBackend


def empty_database(base: Path) -> Path:
    """The file, made by the tracker's own first look at it; `base` is pytest's folder of this worker."""
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "empty-mlflow"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "made").exists():
            child = crew.Process(target=_look, args=(folder,))
            child.start()
            child.join()
            assert child.exitcode == 0
            (folder / "made").touch()
    return folder / "mlflow.db"


def _look(folder: Path) -> None:
    MlflowBackend(folder).page_of("nothing")
