"""The verdict: an edge that is really there passes, what is luck or cost does not, and the reasons are the figures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from functools import lru_cache

import numpy as np

from backtest.engine.walkforward import walk_forward
from backtest.evidence.judgement import Evidence, assess
from backtest.evidence.ledger import Count
from tests.support.bars_made import bars_made
from trader.core.hours import Rules
from trader.core.params import DEFAULT_PARAMS, Params, params_of
from trader.core.types import HOUR_MS, Bars, Filters, Floats, Matrix
from trader.forecasters.naive import NaiveForecaster
from trader.forecasters.rows import RowForecaster, RowPredictor

HOURS = 3_000


class Oracle(RowPredictor):
    """Up where the close is above its five-hour mean."""

    def scores(self, X: Matrix) -> Matrix:
        """Sure of itself."""
        return np.where(X[:, 0] < 1, 0.6, 0.4).astype(np.float32)


class OracleFamily(RowForecaster[None, Oracle]):
    """A family that knows the sign of the last bar: enough where bars have memory, nothing where they have none."""

    family = "oracle"
    format = "none"
    libraries: Sequence[str] = ()

    def train(self, X: Matrix, y: Floats, params: Params, seed: int, symbols: Sequence[str]) -> None:
        """Nothing to learn."""

    def dump(self, native: None) -> bytes:
        """Nothing to keep."""
        return b""

    def predictor(self, native: None) -> Oracle:
        """The one there is."""
        return Oracle()

    def load(self, model: bytes, source: str) -> Oracle:
        """The one there is."""
        return Oracle()


@lru_cache
def told(memory: float, trials: Count, fee: str = "0.0001") -> Evidence:
    """The evidence about the oracle in a market whose steps repeat themselves by `memory`."""
    rng = np.random.default_rng(4)
    noise = rng.normal(0, 0.004, HOURS + 2_000)
    steps = noise.copy()
    for i in range(1, len(steps)):
        steps[i] = noise[i] + memory * steps[i - 1]
    market = _market(steps)
    params = params_of(
        {**DEFAULT_PARAMS, "look_back_days": 5, "enter_edge": 0.0, "fee_rate": float(fee), "half_spread_bps": 0,
         "slippage_bps": 0},
        "test",
    )  # fmt: skip  # read as a table
    rules = Rules(params, Filters(Decimal("0.01"), Decimal("0.00001"), Decimal(5)))
    start = market.first + 1_900 * HOUR_MS
    stop = start + HOURS * HOUR_MS
    p_up = walk_forward(OracleFamily(), market, params, start, stop, source="test")
    return assess(
        OracleFamily(),
        market,
        p_up,
        rules,
        start,
        stop,
        trials=trials,
        source="test",
        naive=NaiveForecaster(),
    )


def _market(steps: Floats) -> Bars:
    made = bars_made(len(steps), 1)
    close = 30_000 * np.exp(np.cumsum(steps))
    open_ = np.concatenate([[30_000.0], close[:-1]])
    return replace(
        made,
        open=open_,
        close=close,
        high=np.maximum(open_, close) * 1.001,
        low=np.minimum(open_, close) * 0.999,
    )


NOTHING_TRIED = Count(1, 1, 0, 0.0)


def test_an_edge_that_is_there_passes() -> None:
    """Steps that repeat themselves by 0.4, at a fee of a basis point."""
    found = told(0.4, NOTHING_TRIED)
    assert found.objections == []
    assert found.verdict.startswith("Trade it small and watch it: DSR 1.000, configurations tried: 1")


def test_no_edge_is_not_traded_and_the_reasons_are_figures() -> None:
    """The same rule on a random walk loses its costs, and says so."""
    found = told(0.0, NOTHING_TRIED, fee="0.001")
    assert found.verdict.startswith("Do not trade: ")
    assert any("after costs" in reason or "halts" in reason for reason in found.objections)
    assert found.dsr < 0.05
    assert f"{found.dsr:.3f}" in found.verdict


def test_the_more_was_tried_the_less_it_is_worth() -> None:
    """DSR falls with the number of configurations, and with their scatter."""
    few, many = told(0.12, Count(2, 2, 0, 0.01)), told(0.12, Count(500, 500, 0, 0.01))
    assert few.psr == many.psr
    assert few.dsr > many.dsr


def test_the_json_has_every_part() -> None:
    """For reports and machines: plain values that JSON takes."""
    found = json.loads(json.dumps(told(0.4, NOTHING_TRIED).as_json()))
    parts = (
        "verdict",
        "strategy",
        "baselines",
        "stress",
        "random_entry_test",
        "seeds",
        "trials",
        "dsr",
        "psr",
        "break_even_bps",
    )
    assert [part for part in parts if not found[part]] == []
    assert len(found["seeds"]["net_returns"]) == 10
