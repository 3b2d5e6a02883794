"""The best candidate of each series, and what is left of it: deflated by how many were tried, shrunk towards the other series."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from backtest.evidence.selection import (
    Shrunk,
    deflated_gain,
    pooled_deviation,
    sharpe_variance,
    shrunk,
)
from backtest.evidence.significance import Moments, deflated_sharpe
from backtest.select.candidates import Score
from backtest.select.selection import Row
from trader.core.errors import ConfigError
from trader.core.metrics import HOURS_PER_YEAR
from trader.core.model_params import NAIVE


@dataclass(frozen=True, slots=True)
class Winner:
    """Of one series. score: skill by pinball loss beside the naive forecast, or the annualised net Sharpe ratio. gain: score
    less that of the naive forecast. deflated: by pinball the gain less what the best of `tried` worthless candidates is expected
    to show; by net Sharpe ratio the probability that the true one is above that (DSR). shrunk: the gain, deflated and then drawn
    towards the other series; 0.0 where the naive forecast is the best."""

    symbol: str
    candidate: str
    key: str
    score: float
    gain: float
    deflated: float | None
    shrunk: float
    tried: int
    failed: int

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {name: getattr(self, name) for name in Winner.__dataclass_fields__}


@dataclass(frozen=True, slots=True, eq=False)
class Winners:
    """winners: a series each, in their order. without: series that cannot be compared with the naive forecast, with the reason.
    deviation: of candidates' scores within a series. shrinkage: towards which mean, and the variance between series."""

    winners: list[Winner]
    without: dict[str, str]
    deviation: float
    shrinkage: Shrunk


def winners_of(
    rows: Mapping[tuple[str, str], Row], score: Score, tried: Callable[[str], int] = lambda _: 0
) -> Winners:
    """The best by out-of-sample score of each series; of equals the one that was named first, the naive forecast before all.

    tried: how many configurations were ever evaluated on a symbol's bars; the candidates of these rows count at least.
    """
    scored: dict[str, dict[str, float]] = {}
    without: dict[str, str] = {}
    for symbol in dict.fromkeys(symbol for symbol, _ in rows):
        own = {name: row for (it, name), row in rows.items() if it == symbol}
        if own[NAIVE]["state"] == "failed":
            without[symbol] = own[NAIVE]["reason"]
        elif score == "pinball" and not own[NAIVE]["loss"]:
            without[symbol] = "the naive forecast was exact, so nothing can be better"
        else:
            scored[symbol] = {
                name: _score(row, own[NAIVE], score)
                for name, row in own.items()
                if row["state"] == "complete"
            }
    deviation = pooled_deviation([list(found.values()) for found in scored.values()])
    best = {symbol: max(found, key=found.__getitem__) for symbol, found in scored.items()}
    gains = [scored[symbol][name] - scored[symbol][NAIVE] for symbol, name in best.items()]
    noise = [
        _noise(rows[symbol, name], rows[symbol, NAIVE], deviation, score) for symbol, name in best.items()
    ]
    counts = [max(len(scored[symbol]), tried(symbol)) for symbol in best]
    # The naive forecast gains nothing over itself, however many were tried.
    left = [
        0.0 if name == NAIVE else deflated_gain(gain, count, deviation)
        for name, gain, count in zip(best.values(), gains, counts, strict=True)
    ]
    pulled = shrunk(left, noise)
    found = [
        Winner(
            symbol=symbol,
            candidate=name,
            key=rows[symbol, name]["key"],
            score=scored[symbol][name],
            gain=gains[i],
            deflated=left[i] if score == "pinball" else _dsr(rows[symbol, name], counts[i], deviation),
            shrunk=0.0 if name == NAIVE else float(pulled.values[i]),
            tried=counts[i],
            failed=sum(it == symbol and row["state"] == "failed" for (it, _), row in rows.items()),
        )
        for i, (symbol, name) in enumerate(best.items())
    ]
    return Winners(found, without, deviation, pulled)


def _score(row: Row, naive: Row, score: Score) -> float:
    if score == "net_sharpe":
        return float(row["sharpe"])
    return 1 - float(row["loss"]) / float(naive["loss"])


def _noise(row: Row, naive: Row, deviation: float, score: Score) -> float:
    """The variance of a gain's noise. Of a Sharpe ratio it is known; a mean loss over few windows does not tell its own, so how
    candidates scatter within a series stands for it."""
    if score == "net_sharpe":
        return sharpe_variance(Moments(*row["moments"])) + sharpe_variance(Moments(*naive["moments"]))
    return deviation**2


def _dsr(row: Row, count: int, deviation: float) -> float | None:
    """The deflated Sharpe ratio; None where a few returns dominate, so that no error can be said."""
    try:
        return deflated_sharpe(Moments(*row["moments"]), count, deviation / HOURS_PER_YEAR**0.5)
    except ConfigError:
        return None


def by_candidate(rows: Mapping[tuple[str, str], Row], found: Winners, score: Score) -> list[dict[str, Any]]:
    """Of each candidate: how often it was the best, its median gain over the naive forecast, failures, and seconds of the
    processor a series."""
    told, compared = [], {winner.symbol for winner in found.winners}
    for name in dict.fromkeys(name for _, name in rows):
        own = {symbol: row for (symbol, it), row in rows.items() if it == name}
        complete = {symbol: row for symbol, row in own.items() if row["state"] == "complete"}
        gains = [
            _score(row, rows[symbol, NAIVE], score) - _score(rows[symbol, NAIVE], rows[symbol, NAIVE], score)
            for symbol, row in complete.items()
            if symbol in compared
        ]
        told.append(
            {
                "candidate": name,
                "best_of": sum(winner.candidate == name for winner in found.winners),
                "median_gain": float(np.median(gains)) if gains else None,
                "failed": len(own) - len(complete),
                "seconds_each": _mean([row["seconds"] for row in complete.values()]),
            }
        )
    return told


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None
