"""What several files of these tests look at, started once."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.observers.conftest import Told, bars_file, traded
from tests.system.mlflow_served import MlflowUi, local_ui

__all__ = ["bars_file", "traded"]  # fixtures


@pytest.fixture(scope="session")
def mlflow_ui(traded: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowUi]:
    """MLflow's pages over a file that was told fifty hours and a study."""
    folder = tmp_path_factory.mktemp("mlflow-ui")
    shutil.copytree(traded, folder / "store")
    with local_ui(Told(folder / "store", folder / "tracking")) as served:
        yield served
