"""Ctrl-C while XGBoost builds its matrix: it waits, and is not lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import xgboost as xgb

from tests.support.rig import quick_params
from tests.support.rows_made import fit
from trader.core.params import params_of
from trader.forecasters.xgboost import XGBoostForecaster


@pytest.mark.parametrize("ignored", [False, True])
def test_an_interruption_waits_for_the_matrix(monkeypatch: pytest.MonkeyPatch, ignored: bool) -> None:
    """Pressed in the middle: the matrix is whole, then the fit ends; a worker that ignores it goes on."""
    made = []
    build = xgb.QuantileDMatrix

    def pressed(*given: object, **options: object) -> object:
        os.kill(os.getpid(), signal.SIGINT)
        made.append(build(*given, **options))
        return made[-1]

    monkeypatch.setattr(xgb, "QuantileDMatrix", pressed)
    rng = np.random.default_rng(1)
    rows = rng.random((50, 3), dtype=np.float32), rng.integers(0, 2, 50).astype(np.float64)
    before = signal.getsignal(signal.SIGINT)
    if ignored:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        if ignored:
            fit(XGBoostForecaster(), *rows, params_of(quick_params(), "test"))
        else:
            with pytest.raises(KeyboardInterrupt):
                fit(XGBoostForecaster(), *rows, params_of(quick_params(), "test"))
        assert len(made) == 1
    finally:
        signal.signal(signal.SIGINT, before)
    assert signal.getsignal(signal.SIGINT) is before


def test_a_fit_starts_no_threads() -> None:
    """Not even ones that wait: threads of OpenMP spin for a while, on the cores that other workers fit on. In a fresh
    process, since threads that an earlier test's library started stay."""
    found = subprocess.run(
        [sys.executable, "-c", FIT_AND_PREDICT],
        env={**os.environ, "OMP_NUM_THREADS": "4"},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert found.returncode == 0, found.stderr
    before, after = map(int, found.stdout.split())
    assert before == after


FIT_AND_PREDICT = """
import os
import numpy as np
import xgboost
from tests.support.rig import quick_params
from tests.support.rows_made import fit, panel_of
from trader.core.params import params_of
from trader.forecasters.xgboost import XGBoostForecaster

rng = np.random.default_rng(1)
X, y = rng.random((500, 9), dtype=np.float32), rng.integers(0, 2, 500).astype(np.float64)
forecaster, params = XGBoostForecaster(), params_of(quick_params(), "test")
print(len(os.listdir("/proc/self/task")))
predictor = forecaster.load(fit(forecaster, X, y, params), "test")
predictor.predict_stages(panel_of(X), panel_of(X).close_time, (5, 10))
predictor.predict(panel_of(X), panel_of(X).close_time)
predictor.contributions(X)
print(len(os.listdir("/proc/self/task")))
"""
