"""What fits see, as Hypothesis draws it: models on one symbol or several, and markets with holes where fits are made."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from tests.support.bars_made import START, bars_made
from trader.core.types import HOUR_MS, Bars, parse_time

# The first traded hour is the close of a bar of this index, or one of the day after.
BEGINS, HOURS = 500, 30
KINDS = ("xgboost", "lightgbm", "pooled", "naive")
SMALL: dict[str, dict[str, Any]] = {
    "xgboost": {"n_estimators": 5, "max_depth": 2, "learning_rate": 0.3},
    "lightgbm": {"n_estimators": 5},
    "pooled": {},
    "naive": {},
}


@dataclass(frozen=True)
class DrawnMarket:
    """A symbol's bars, small enough to be read when an example fails. Hours by index: outages (first, how many), wrong closes
    (hour, factor); first and stop of its bars."""

    symbol: str
    seed: int
    outages: tuple[tuple[int, int], ...] = ()
    prints: tuple[tuple[int, float], ...] = ()
    first: int = 0
    stop: int = BEGINS + 2 * HOURS + 50

    @property
    def bars(self) -> Bars:
        """The bars."""
        missing = {first + i for first, hours in self.outages for i in range(hours)}
        return bars_made(
            BEGINS + 2 * HOURS + 50,
            self.seed,
            missing=tuple(sorted(it for it in missing if self.first < it < self.stop - 1)),
            symbol=self.symbol,
            price=50.0 * (1 + self.seed % 7),
            decimals=4,
            prints=dict(self.prints),
        ).rows(self.first, self.stop)


@dataclass(frozen=True)
class DrawnFits:
    """One strategy whose fits may see several symbols. begins: the index of the first traded hour."""

    params: dict[str, Any]
    traded: DrawnMarket
    others: tuple[DrawnMarket, ...] = ()
    begins: int = BEGINS
    freeze: bool = False
    book: dict[str, Any] = field(default_factory=dict)

    @property
    def start(self) -> int:
        """The first traded hour, UTC ms: the bar of index i closes at START + (i + 1) h."""
        return parse_time(START) + (self.begins + 1) * HOUR_MS


@st.composite
def fit_params(draw: st.DrawFn, kinds: tuple[str, ...] = KINDS) -> dict[str, Any]:
    """What a model learns from and when: refits every day or two, outcomes hours ahead, gaps of up to two days."""
    kind = draw(st.sampled_from(kinds))
    model = {"family": kind, **SMALL[kind]}
    horizon = draw(st.sampled_from([1, 1, 2, 5]))
    if kind == "naive" and draw(st.booleans()):
        model["forecast_hours"] = draw(st.sampled_from([horizon, 6, 24]))
    return {
        "model": model,
        "look_back_days": draw(st.integers(5, 12)),
        "step_days": draw(st.sampled_from([1, 1, 2])),
        "gap_hours": draw(st.sampled_from([1, 1, 2, 5, 23, 24, 25, 49])),
        "horizon_hours": horizon,
        "label": draw(st.sampled_from(["direction", "direction", "direction_beyond_cost"])),
        "enter_edge": 0.0,
        "exit_edge": draw(st.sampled_from([-0.02, 0.0])),
        "fee_rate": draw(st.sampled_from([0, 0.001])),
        "fee_discount": draw(st.sampled_from([None, None, 0.25])),
        "rebalance_band": draw(st.sampled_from([0, 0.05])),
        "price_band": draw(st.sampled_from([None, 0.02])),
        "halt_drawdown": draw(st.sampled_from([None, None, 0.01])),
        "seed": draw(st.integers(0, 3)),
    }


@st.composite
def outages(
    draw: st.DrawFn, begins: int, gap_hours: int, *, near_fits: bool = True
) -> tuple[tuple[int, int], ...]:
    """Holes: around the hours at which models are trained, and anywhere."""
    trainings = [begins - gap_hours + 24 * day for day in range(3)]
    near = st.tuples(st.sampled_from(trainings), st.integers(-6, 1), st.sampled_from([1, 2, 5, 9, 30]))
    holes = (
        [(at + shift, hours) for at, shift, hours in draw(st.lists(near, max_size=2))] if near_fits else []
    )
    anywhere = st.tuples(st.integers(begins - 60, begins + HOURS), st.integers(1, 6))
    return tuple(holes + draw(st.lists(anywhere, max_size=2)))


@st.composite
def market(draw: st.DrawFn, symbol: str, begins: int, params: dict[str, Any], *, traded: bool) -> DrawnMarket:
    """A traded symbol goes on to the end, from the beginning; another may be young, or end."""
    holes = draw(outages(begins, params["gap_hours"]))
    wrong = st.tuples(st.integers(begins - 30, begins + HOURS), st.sampled_from([0.5, 3.0, 1.02]))
    prints, seed = tuple(draw(st.lists(wrong, max_size=2))), draw(st.integers(0, 5_000))
    if traded:
        return DrawnMarket(symbol, seed, holes, prints)
    window = params["look_back_days"] * 24
    stop = draw(st.sampled_from(["never", "never", "within", "before"]))
    first = draw(st.sampled_from([0, 0, begins - window // 2, begins - 100]))
    stops = {
        "never": begins + 2 * HOURS + 40,
        "within": begins + draw(st.integers(-window // 3, 30)),
        "before": begins - window + draw(st.integers(-60, 30)),
    }
    return DrawnMarket(symbol, seed, holes, prints, max(0, first), max(first + 60, stops[stop]))
