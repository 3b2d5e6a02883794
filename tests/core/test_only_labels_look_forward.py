"""Nothing in the core looks forward but the labels: whatever turns hours into rows is tried with its future taken away."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable
from dataclasses import is_dataclass
from types import SimpleNamespace
from typing import Any, get_args, get_type_hints

import numpy as np
import numpy.typing as npt
import pytest

import trader.core
from trader.adapters.talib_features import SHIPPED
from trader.core.bars import as_columns, bars_from_columns
from trader.core.costs import exact
from trader.core.drift import calibration_decay, feature_drift
from trader.core.errors import ConfigError
from trader.core.features import features
from trader.core.forecast import (
    LEVELS,
    Traits,
    interval,
    normal_forecast,
    normal_quantiles,
    probability_above,
)
from trader.core.labels import direction, label_of
from trader.core.ledger import Ledger
from trader.core.lookahead import leaks, made_bars, require_no_lookahead
from trader.core.marks import marks, scaled_prices
from trader.core.metrics import hourly_returns
from trader.core.model import RANGE_QUANTILES
from trader.core.params import DEFAULT_PARAMS, params_of
from trader.core.policy import Signals, Thresholds
from trader.core.pooled_rows import with_symbol
from trader.core.prediction import LoadedModel, panel_of
from trader.core.presets import Preset, computed
from trader.core.probability import shortest_all
from trader.core.training import labels_between, usable_hours
from trader.core.turns import turns
from trader.core.types import HOUR_MS, Bars, Floats

MADE = made_bars()
PARAMS = params_of(DEFAULT_PARAMS, "tests")


def two(bars: Bars) -> Floats:
    """Two columns that see their own hour only, (n, 2)."""
    return np.column_stack([bars.close / bars.open, bars.high / bars.low])


EDGES = np.quantile(two(MADE), RANGE_QUANTILES, axis=0).T.tolist()


def p_up(bars: Bars) -> Floats:
    """A probability that follows from the hour, unknown in holes."""
    return np.where(bars.flagged, np.nan, bars.close / (bars.open + bars.close))


def up_already(bars: Bars) -> Floats:
    """What is known at the hour: whether it rose."""
    return (bars.close > bars.open).astype(np.float64)


def filled(bars: Bars) -> Floats:
    """The genuine rows laid on a grid, which fills the holes."""
    made = bars_from_columns(bars.symbol, *as_columns(bars), "tests").extended_to(bars.last)
    return np.column_stack([made.open, made.high, made.low, made.close, made.volume, made.flagged])


def prices_again(bars: Bars) -> Floats:
    """Prices as integers and a number of decimals, and back."""
    scaled = scaled_prices(np.round(bars.close, 2))
    assert scaled is not None
    return scaled[0] / 10.0 ** scaled[1]


def equities(bars: Bars) -> Floats:
    """An account that holds half a coin, then, for what remains, a quarter of one."""
    ledgers = [Ledger(exact(100.0), exact(0.5)), Ledger(exact(50.0), exact(0.25))]
    return marks(ledgers, [500, len(bars) - 500] if len(bars) > 500 else [len(bars), 0], bars.close).floats()


def sides_held(bars: Bars) -> Floats:
    """What strategies hold after each hour: without shorts, with shorts, and with a minimum holding period as well."""
    plain, wary = Thresholds(0.001, 0.0), Thresholds(0.0005, 0.0005, "long_short")
    walks = [turns(Signals.of(p_up(bars), at), hours) for at, hours in ((plain, 1), (wary, 1), (wary, 3))]
    return np.column_stack([walk.held(len(bars)) for walk in walks])


def spread(bars: Bars) -> Floats:
    """A distribution around the move of the hour, (n, level)."""
    return (bars.close / bars.open - 1)[:, None] + np.array(LEVELS) / 100


def moments(bars: Bars) -> tuple[Floats, Floats]:
    """Of a normal distribution around the move of the hour, one step ahead."""
    return (bars.close / bars.open - 1)[:, None], np.full((len(bars), 1), 0.01)


def normal(bars: Bars) -> Floats:
    """Its quantiles and P(up)."""
    told = normal_forecast(*moments(bars), 1, 0.0)
    assert told.quantiles is not None
    return np.column_stack([told.quantiles[:, 0], told.p_up])


def asked_live(bars: Bars) -> Floats:
    """What a model reads as the bot asks it, of every hundredth hour; other hours are left unknown."""
    card: Any = SimpleNamespace(features=SHIPPED[0].name)  # nothing else of it is asked
    predictor: Any = None
    model = LoadedModel(card, PARAMS, Traits("local", "rows", 0, "none"), predictor)
    rows = np.full((len(bars), len(SHIPPED[0].columns)), np.nan)
    for i in range(0, len(bars), 100):
        rows[i] = panel_of(bars, int(bars.close_time[i]), model).X[0][0]
    return rows


def one_column(rows: Callable[[Bars], Any]) -> Callable[[Bars], Floats]:
    """(n,) as (n, 1)."""
    return lambda bars: np.asarray(rows(bars), np.float64).reshape(len(bars), -1)


# Every public function of the core that makes arrays of arrays or bars stands in one of three tables.
ONLY_BACKWARD: dict[str, Callable[[Bars], npt.NDArray[Any]]] = {
    "bars.bars_from_columns": filled,
    "probability.shortest_all": lambda bars: shortest_all(p_up(bars).astype(np.float32)),
    "drift.calibration_decay": lambda bars: calibration_decay(p_up(bars), up_already(bars), 48),
    "drift.feature_drift": lambda bars: np.column_stack(
        feature_drift(two(bars).astype(np.float32), EDGES, RANGE_QUANTILES, 48)
    ),
    "forecast.normal_forecast": normal,
    "forecast.normal_quantiles": lambda bars: normal_quantiles(*moments(bars))[:, 0],
    "forecast.interval": lambda bars: np.column_stack(interval(spread(bars), 0.5)),
    "forecast.probability_above": lambda bars: probability_above(spread(bars), 0.005),
    "features.features": lambda bars: features(bars, SHIPPED[0], bars.first, bars.last + HOUR_MS),
    "marks.marks": equities,
    "marks.scaled_prices": prices_again,
    "metrics.hourly_returns": lambda bars: hourly_returns(bars.close, 30_000.0),
    "turns.turns": sides_held,
    "training.usable_hours": lambda bars: usable_hours(two(bars).astype(np.float32), up_already(bars))[
        :, None
    ],
    "prediction.panel_of": asked_live,
    "presets.computed": lambda bars: computed(SHIPPED[0], bars),
    "pooled_rows.with_symbol": lambda bars: with_symbol(two(bars).astype(np.float32), 1),
}
FORWARD: dict[str, Callable[[Bars, int], Floats]] = {
    "labels.direction": direction,
    "labels.label_of": lambda bars, hours: label_of(bars, PARAMS.model_copy(update={"horizon_hours": hours})),
    "training.labels_between": lambda bars, hours: labels_between(
        bars, PARAMS.model_copy(update={"horizon_hours": hours}), bars.first, bars.last + HOUR_MS
    ),
}
NO_ROW_OF_AN_HOUR = {
    "bar_checks.odd_rows": "rows of a file before they are hours: which of them are left out",
    "bar_checks.value_faults": "the same, each row by itself",
    "bars.as_columns": "the genuine rows as they are",
    "bars.merge": "two series that both are known",
    "bars.without": "the bars with hours that are named flagged",
    "export_scene.scene_of": "rows of `features.features` and the bars as they are, for a proof that asks two forms of a model",
    "fan.fan_forecast": "the hours ahead of one hour, by what `prediction.panel_of` lets the model read of the bars",
    "lookahead.poisoned": "spoils the future on purpose",
    "panel.on_grid": "the bars as they are, and before the first one rows that are no hours of the symbol",
    "pooled_rows.learnt": "bars as they are, those that a fit sees",
    "pooled_rows.whole_grid": "the same as panel.on_grid, to the window's end",
    "revisions.known_at": "each bar as it was stored at a time: only the revised bar itself changes",
    "model.rows_by_symbol": "rows of a training set, taken apart by symbol",
    "peers.all_parts": "parts of a batch, from every process of a fit",
    "shares.hierarchical_risk_parity": "a covariance of symbols, from bars that `shares_at` has cut a day before the hour",
    "training.train_bars": "bars as they are, those that a fit sees",
    "training.train_panel": "the same on one grid",
    "training.training_of": "rows of a training set, whose window ends before it serves; `backtest lookahead` tries it",
    "training.usable_rows": "the same",
}


def holds_arrays(hint: Any, within: frozenset[Any] = frozenset()) -> bool:
    """Whether a type is an array, or something that holds one. within: the classes around it; one may hold itself."""
    if inspect.isclass(hint) and is_dataclass(hint):
        held = get_type_hints(hint).values() if hint not in within else ()
        return any(holds_arrays(it, within | {hint}) for it in held)
    return "ndarray" in str(hint).lower() or any(holds_arrays(it, within) for it in get_args(hint))


def functions_of_arrays() -> set[str]:
    """`module.function` of everything public in the core that takes arrays and gives some."""
    found = set()
    for info in pkgutil.iter_modules(trader.core.__path__):
        module = importlib.import_module(f"trader.core.{info.name}")
        for name, function in inspect.getmembers(module, inspect.isfunction):
            if function.__module__ != module.__name__ or name.startswith("_"):
                continue
            hints = get_type_hints(function)
            gives = holds_arrays(hints.pop("return", None))
            if gives and any(holds_arrays(hint) for hint in hints.values()):
                found.add(f"{info.name}.{name}")
    return found


def require_backward(rows: Callable[[Bars], Floats]) -> None:
    """The assertion of this file."""
    columns = [f"column {i}" for i in range(np.shape(rows(MADE))[1])]
    guilty = [leak.column for leak in leaks(rows, columns, MADE)]
    if guilty:
        raise AssertionError(f"looks forward: {', '.join(guilty)}")


def test_every_function_of_the_core_is_looked_at() -> None:
    """A new function that makes arrays of arrays has to be entered in one of the tables, so none escapes the next tests."""
    known = {*ONLY_BACKWARD, *FORWARD, *NO_ROW_OF_AN_HOUR}
    assert functions_of_arrays() == known, (
        "enter what is new in a table of this file, and remove what is gone"
    )


@pytest.mark.parametrize("name", sorted(ONLY_BACKWARD))
def test_a_computation_of_the_core_sees_no_future(name: str) -> None:
    """Its rows are the same to the bit whether later bars are there, are missing or are absurd."""
    require_backward(one_column(ONLY_BACKWARD[name]))


@pytest.mark.parametrize("preset", SHIPPED, ids=lambda preset: preset.name)
def test_a_preset_sees_no_future(preset: Preset) -> None:
    """By itself, and as it is served from the block of its month."""
    require_backward(lambda bars: computed(preset, bars))
    require_backward(one_column(lambda bars: features(bars, preset, bars.first, bars.last + HOUR_MS)))


@pytest.mark.parametrize("hours", [1, 5])
@pytest.mark.parametrize("name", sorted(FORWARD))
def test_a_label_looks_as_far_forward_as_it_says(name: str, hours: int) -> None:
    """A label is unknown until its own hour has come, and is final from then on."""
    whole = FORWARD[name](MADE, hours)
    for cut in (100, 700, 1_500):
        known = FORWARD[name](MADE.rows(0, cut), hours)
        assert np.array_equal(known[:-hours], whole[: cut - hours], equal_nan=True)
        assert np.isnan(known[-hours:]).all()
        assert not np.isnan(whole[cut - hours : cut]).any()
    with pytest.raises(AssertionError, match=r"^looks forward"):
        require_backward(one_column(lambda bars: FORWARD[name](bars, hours)))


def from_behind(values: Floats) -> Floats:
    """Undefined values by the next defined one."""
    rows = np.where(np.isnan(values), len(values), np.arange(len(values)))
    following = np.minimum.accumulate(rows[::-1])[::-1]
    return np.append(values, np.nan)[following]


def mean_of(values: Floats, hours: int) -> Floats:
    """Of the `hours` rows up to each, NaN before."""
    means = np.convolve(values, np.ones(hours) / hours, "valid")
    return np.concatenate([np.full(hours - 1, np.nan), means])


def between_neighbours(bars: Bars) -> Floats:
    """Holes by a straight line from the bar before to the bar after."""
    rows = np.arange(len(bars))
    return np.interp(rows, rows[~bars.flagged], bars.close[~bars.flagged])


def trough(bars: Bars) -> Floats:
    """Whether the hour is the lowest of the week around it."""
    low = [bars.low[max(0, i - 84) : i + 84].min() for i in range(len(bars))]
    return (bars.low <= low).astype(np.float64)


def smoothed_both_ways(bars: Bars) -> Floats:
    """An exponential average run forward, then backward, so that it does not lag."""
    values = bars.close.copy()
    for step in (values, values[::-1]):
        for i in range(1, len(step)):
            step[i] = 0.9 * step[i - 1] + 0.1 * step[i]
    return values


PLANTED: dict[str, Callable[[Bars], Floats]] = {
    "negative shift": lambda bars: np.append(bars.close[1:], np.nan) / bars.close,
    "centred window": lambda bars: np.convolve(bars.close, np.ones(5) / 5, "same"),
    "whole-series normalisation": lambda bars: (bars.close - bars.close.mean()) / bars.close.std(),
    "rank in the whole series": lambda bars: bars.close.argsort().argsort() / len(bars),
    "backward fill of holes": lambda bars: from_behind(np.where(bars.volume > 0, bars.close, np.nan)),
    "backward fill of the first hours": lambda bars: from_behind(mean_of(bars.close, 24)),
    "interpolation over holes": between_neighbours,
    "turning point": trough,
    "smoothing in both directions": smoothed_both_ways,
}


@pytest.mark.parametrize("kind", sorted(PLANTED))
def test_a_planted_look_ahead_is_caught(kind: str) -> None:
    """Between clean columns, in a computation as in a preset: this file's assertion fails, and the preset is refused by
    the name of the guilty column."""
    planted = Preset(
        "planted",
        ("clean", "guilty", "clean too"),
        lambda bars: np.column_stack([up_already(bars), PLANTED[kind](bars), mean_of(bars.close, 24)]),
    )
    with pytest.raises(AssertionError, match=r"^looks forward: column 1$"):
        require_backward(lambda bars: computed(planted, bars))
    with pytest.raises(ConfigError, match="look ahead: guilty of an hour"):
        require_no_lookahead(planted)
    with pytest.raises(AssertionError, match=r"^looks forward: column 1$"):
        require_backward(one_column(lambda bars: features(bars, planted, bars.first, bars.last + HOUR_MS)))
