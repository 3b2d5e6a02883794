"""The best candidate of each series, and what is left of it: deflated by how many were tried, shrunk towards the other series."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from backtest.evidence.selection import (
    FEWEST_SERIES,
    Scatter,
    Shrunk,
    expected_best_gain,
    pooled_deviation,
    sharpe_variance,
    shrunk,
)
from backtest.evidence.significance import Moments, deflated_sharpe
from backtest.select.candidates import Score
from backtest.select.row_tasks import Row
from trader.core.errors import ConfigError
from trader.core.metrics import HOURS_PER_YEAR
from trader.core.model_params import NAIVE

Rows = Mapping[tuple[str, str], Row]
Gains = dict[str, dict[str, float]]


@dataclass(frozen=True, slots=True)
class Winner:
    """The best candidate of one series. score: its skill by pinball loss beside the naive forecast, or its annualised net Sharpe
    ratio. gain: the skill, or the Sharpe ratio less that of the naive forecast. deflated: by pinball the gain beyond what
    the best of worthless candidates is expected to show; by net Sharpe ratio the DSR, the probability that the true one is above
    that of the best of `tried` worthless ones. shrunk: the deflated gain, drawn towards the other series. The last two are 0.0
    where the naive forecast is the best (but for the DSR), and None where too few series tell them."""

    symbol: str
    candidate: str
    key: str
    score: float
    gain: float
    deflated: float | None
    shrunk: float | None
    tried: int
    failed: int

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {name: getattr(self, name) for name in Winner.__dataclass_fields__}


@dataclass(frozen=True, slots=True, eq=False)
class Winners:
    """winners: a series each, in their order. without: series that cannot be compared with the naive forecast, with the reason.
    expected: the gain that the best of worthless candidates shows; None where there are too few series to know. shrinkage: of
    the deflated gains. By pinball both are in log loss ratios, ln(naive loss / loss)."""

    winners: list[Winner]
    without: dict[str, str]
    expected: float | None
    shrinkage: Shrunk | None


def winners_of(rows: Rows, score: Score, tried: Callable[[str], int] = lambda _: 0) -> Winners:
    """The best by out-of-sample score of each series; of equals the one that was named first, the naive forecast before all.

    tried: how many configurations were ever evaluated on a symbol's bars; the candidates of these rows count at least.
    """
    gains, without = _gains(rows, score)
    best = {symbol: max(own, key=own.__getitem__) for symbol, own in gains.items()}
    expected = _expected(gains)
    pulled = None if expected is None else _shrunk(rows, gains, best, expected, score)
    spread = (
        pooled_deviation([_sharpes(rows, symbol, own) for symbol, own in gains.items()])
        if score == "net_sharpe"
        else 0.0
    )
    found = []
    for i, (symbol, name) in enumerate(best.items()):
        row, gain = rows[symbol, name], gains[symbol][name]
        count = max(len(gains[symbol]), tried(symbol))
        beyond = None if expected is None else 0.0 if name == NAIVE else gain - expected
        pull = None if pulled is None else 0.0 if name == NAIVE else float(pulled.values[i])
        found.append(
            Winner(
                symbol=symbol,
                candidate=name,
                key=row["key"],
                score=_plain(gain, score) if score == "pinball" else float(row["sharpe"]),
                gain=_plain(gain, score),
                deflated=_dsr(row, count, spread) if score == "net_sharpe" else _plain(beyond, score),
                shrunk=_plain(pull, score),
                tried=count,
                failed=sum(it == symbol and one["state"] == "failed" for (it, _), one in rows.items()),
            )
        )  # fmt: skip  # read as a table
    return Winners(found, without, expected, pulled)


def _gains(rows: Rows, score: Score) -> tuple[Gains, dict[str, str]]:
    """By symbol and complete candidate: how much better than the naive forecast, as a log loss ratio or a difference of Sharpe
    ratios; and why a symbol has none."""
    found: Gains = {}
    without: dict[str, str] = {}
    for symbol in dict.fromkeys(symbol for symbol, _ in rows):
        own = {name: row for (it, name), row in rows.items() if it == symbol}
        if own[NAIVE]["state"] == "failed":
            without[symbol] = own[NAIVE]["reason"]
        elif score == "pinball" and not all(row.get("loss", 1.0) > 0 for row in own.values()):
            without[symbol] = "a forecast was exact, so nothing can be compared with it"
        else:
            complete = {name: row for name, row in own.items() if row["state"] == "complete"}
            found[symbol] = {name: _gain(row, own[NAIVE], score) for name, row in complete.items()}
    return found, without


def _gain(row: Row, naive: Row, score: Score) -> float:
    if score == "net_sharpe":
        return float(row["sharpe"]) - float(naive["sharpe"])
    return math.log(float(naive["loss"]) / float(row["loss"]))


def _plain(gain: float | None, score: Score) -> Any:
    """A log loss ratio as a skill, 1 - loss / naive loss; a difference of Sharpe ratios as it is."""
    return gain if gain is None or score == "net_sharpe" else -math.expm1(-gain)


def _scatters(gains: Gains) -> dict[str, Scatter]:
    """Of each candidate but the naive forecast that enough series have a score of."""
    by_name: dict[str, list[float]] = {}
    for own in gains.values():
        for name, gain in own.items():
            by_name.setdefault(name, []).append(gain)
    return {
        name: Scatter.of(values)
        for name, values in by_name.items()
        if name != NAIVE and len(values) >= FEWEST_SERIES
    }


def _expected(gains: Gains) -> float | None:
    return None if len(gains) < FEWEST_SERIES else expected_best_gain(list(_scatters(gains).values()))


def _shrunk(rows: Rows, gains: Gains, best: Mapping[str, str], expected: float, score: Score) -> Shrunk:
    values = [0.0 if name == NAIVE else gains[symbol][name] - expected for symbol, name in best.items()]
    return shrunk(values, _noise(rows, gains, best, score))


def _noise(rows: Rows, gains: Gains, best: Mapping[str, str], score: Score) -> list[float]:
    """The variance of each winner's gain by chance. Of Sharpe ratios it is known. Of losses it is how the gains of a series'
    windows scatter, pooled over the series; of a single window it is how a candidate's gains scatter over the series, which is
    more than chance alone."""
    if score == "net_sharpe":
        moments = [
            (Moments(*rows[it, name]["moments"]), Moments(*rows[it, NAIVE]["moments"]))
            for it, name in best.items()
        ]
        return [sharpe_variance(own) + sharpe_variance(naive) for own, naive in moments]
    windows = [_by_window(rows[it, name], rows[it, NAIVE]) for it, name in best.items() if name != NAIVE]
    count = min(map(len, windows), default=1)
    if count > 1:
        return [pooled_deviation(windows) ** 2 / count] * len(best)
    scatters = _scatters(gains)
    return [scatters[name].deviation ** 2 if name in scatters else 0.0 for name in best.values()]


def _by_window(row: Row, naive: Row) -> list[float]:
    pairs = zip(row.get("losses", []), naive.get("losses", []), strict=False)
    return [math.log(rival / own) for own, rival in pairs if own > 0 and rival > 0]


def _sharpes(rows: Rows, symbol: str, names: Mapping[str, float]) -> list[float]:
    return [float(rows[symbol, name]["sharpe"]) for name in names]


def _dsr(row: Row, count: int, deviation: float) -> float | None:
    """The deflated Sharpe ratio; None where a few returns dominate, so that no error can be said."""
    try:
        return deflated_sharpe(Moments(*row["moments"]), count, deviation / HOURS_PER_YEAR**0.5)
    except ConfigError:
        return None


def by_candidate(rows: Rows, found: Winners, score: Score) -> list[dict[str, Any]]:
    """Of each candidate: how often it was the best, its median gain over the naive forecast, failures, and seconds of the
    processor a series."""
    gains, _ = _gains(rows, score)
    told = []
    for name in dict.fromkeys(name for _, name in rows):
        own = [row for (_, it), row in rows.items() if it == name]
        seconds = [row["seconds"] for row in own if row["state"] == "complete"]
        gained = [by_name[name] for by_name in gains.values() if name in by_name]
        told.append(
            {
                "candidate": name,
                "best_of": sum(winner.candidate == name for winner in found.winners),
                "median_gain": _plain(float(np.median(gained)), score) if gained else None,
                "failed": sum(row["state"] == "failed" for row in own),
                "seconds_each": _mean(seconds),
            }
        )
    return told


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None
