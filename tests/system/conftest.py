"""What several files of these tests look at, started once; which files run beside each other.

`make system` runs two groups of files at a time: many tests wait for servers that start, or for hours of a clock.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from xdist.remote import Producer

from tests.observers.conftest import Told, bars_file, traded
from tests.support.groups import GroupScheduling, in_order
from tests.system.mlflow_served import MlflowUi, local_ui

__all__ = ["bars_file", "traded"]  # fixtures


@pytest.fixture(scope="session")
def mlflow_ui(traded: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowUi]:
    """MLflow's pages over a file that was told fifty hours and a study."""
    folder = tmp_path_factory.mktemp("mlflow-ui")
    shutil.copytree(traded, folder / "store")
    with local_ui(Told(folder / "store", folder / "tracking")) as served:
        yield served


# Files of one group run one after another, on one worker: they share an engine of containers, a server that a fixture of the
# session starts, or they start the machines of a cluster, each of which takes whole cores. Any other file is a group of its own.
# The order is that in which groups begin: the longest first.
GROUPS = {
    "machines": ("test_ray", "test_serve_ray", "test_pipeline_executors", "test_slurm", "test_snakemake"),
    "containers": ("test_image", "test_compose_services", "test_serve"),
    "pages": ("test_pages_typed",),
    "browser": ("test_browser",),
    "mlflow": ("test_mlflow_server", "test_mlflow_pages"),
}
GROUP_OF = {file: name for name, files in GROUPS.items() for file in files}


def group_of(file: str, _: str) -> str:
    """The name of a test's group."""
    return GROUP_OF.get(file, file)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> GroupScheduling:
    """A group stays on one worker."""
    return GroupScheduling(config, log, group_of)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Groups, the longest first."""
    items[:] = in_order(items, group_of, [*GROUPS])
