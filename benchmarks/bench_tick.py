"""An hour's tick: in a fresh process beside the floor of its imports (`import_floor`), warm with its own share apart from the
venue's, with ten years behind it, and with MLflow set beside without any tracker."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.figure import Figure
from benchmarks.tick_mlflow import with_mlflow
from benchmarks.tick_own import own_share
from benchmarks.tick_stage import Size
from benchmarks.tick_years import ten_years


def run() -> list[Figure]:
    """As often as medians need, ten years behind the older bot."""
    return _figures(Size())


def run_small() -> list[Figure]:
    """A few of each, three months behind the older bot."""
    return _figures(Size(own_hours=48, fresh_ticks=1, warm_ticks=4, hours_behind=2_160))


def _figures(size: Size) -> list[Figure]:
    """Each part on its own folder and its own embedded exchange."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        return [*own_share(folder, size), *ten_years(folder, size), *with_mlflow(folder, size)]
