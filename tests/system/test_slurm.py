"""Studies computed by a real Slurm: the executors' contract, killed workers and coordinators, jobs killed for memory."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from backtest.executors.protocol import Executor
from backtest.executors.registry import Setup, open_executor
from tests.contracts.executor_contract import ExecutorContract, Opened
from tests.system.slurm_served import Served, slurm


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    """One for the file; its folder's path is short, for the socket in it."""
    folder = Path(tempfile.mkdtemp(prefix="slurm"))
    try:
        with slurm(folder) as up, pytest.MonkeyPatch.context() as patch:
            for name, value in up.environment.items():
                patch.setenv(name, value)
            yield up
    finally:
        shutil.rmtree(folder)


class TestContract(ExecutorContract):
    """What every executor must do, by job arrays."""

    @pytest.fixture
    def opened(self, served: Served, tmp_path_factory: pytest.TempPathFactory) -> Opened:
        """With a folder of its own."""

        def by_name(workers: int) -> AbstractContextManager[Executor]:
            return open_executor("slurm", Setup(workers, tmp_path_factory.mktemp("executor")), print)

        return by_name
