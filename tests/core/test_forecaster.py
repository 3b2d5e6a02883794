"""Ctrl-C while XGBoost builds its matrix: it waits, and is not lost."""

from __future__ import annotations

import os
import signal

import numpy as np
import pytest
import xgboost as xgb

from tests.rig import quick_params
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
            XGBoostForecaster().fit(*rows, params_of(quick_params(), "test"))
        else:
            with pytest.raises(KeyboardInterrupt):
                XGBoostForecaster().fit(*rows, params_of(quick_params(), "test"))
        assert len(made) == 1
    finally:
        signal.signal(signal.SIGINT, before)
    assert signal.getsignal(signal.SIGINT) is before
