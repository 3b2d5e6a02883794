"""A training that two workers of a real Ray share, one of which is killed."""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from backtest.engine.shared_fit import SharedForecaster
from backtest.executors.ray_training import ray_training
from tests.families.test_tft import params_for
from tests.support.bars_made import bars_made
from trader.adapters.checkpoints_folder import FolderCheckpoints
from trader.core.long_training import Epoch, Nowhere, heard_by, keep_in
from trader.core.panel import Panel
from trader.forecasters.tft import TFTForecaster

# Two workers, and one of them anew: each imports torch. Above two seconds for that; some 40 on two free cores.
pytestmark = pytest.mark.timeout(900)
SECONDS_TO_BE_ENDED = 60


def workers() -> list[int]:
    """Processes below this one in which Ray Train computes."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words, parents = (folder / "cmdline").read_bytes(), parents_of(int(folder.name))
        except OSError:
            continue
        if b"RayTrainWorker" in words and os.getpid() in parents:
            found.append(int(folder.name))
    return found


def parents_of(pid: int) -> list[int]:
    """Whose child a process is, and whose that one is, up to the first."""
    found = []
    while pid > 1:
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        found.append(pid)
    return found


def test_a_killed_worker_changes_no_byte_of_the_model(tmp_path: Path) -> None:
    """Killed once the first epoch was told, the training goes on after the last that was kept: the first, or the second on a
    busy machine. Epochs are told once each, every loss and the model are those of one process to the bit; no checkpoint and no
    worker is left."""
    bars, params = bars_made(1_500, 5), params_for(epochs=3, batch_size=32, dropout=0.2)
    hours = {"horizon": 1, "until": bars.last, "seed": 7}
    panel, y = Panel.of([bars]), np.zeros((1, len(bars)))
    wanted: list[Epoch] = []
    with heard_by(wanted.append):
        alone = TFTForecaster().fit(panel, y, params, **hours)

    told: list[Epoch] = []
    said: list[str] = []
    killed: list[int] = []

    def heard(epoch: Epoch) -> None:
        told.append(epoch)
        if epoch.number == 1:
            killed.extend(sorted(workers()))
            os.kill(killed[-1], signal.SIGKILL)

    keep_in(FolderCheckpoints(tmp_path))
    try:
        with heard_by(heard), ray_training(2, None, open_ports=False, say=said.append) as training:
            shared = SharedForecaster(TFTForecaster(), 2, training)
            model = shared.fit(panel, y, params, **hours)
            started = workers()
    finally:
        keep_in(Nowhere())
    assert len(killed) == 2
    assert len(said) == 1
    assert re.fullmatch(r"a worker of Ray was lost; the training goes on after epoch [12]", said[0]), said
    assert told == wanted
    assert model == alone
    assert list(tmp_path.iterdir()) == []
    until = time.monotonic() + SECONDS_TO_BE_ENDED
    while any(Path(f"/proc/{pid}").exists() for pid in {*killed, *started}):
        assert time.monotonic() < until
        time.sleep(0.1)
