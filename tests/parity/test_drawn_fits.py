"""Replay equals backtest on whatever Hypothesis draws of fits: families, symbols that a fit sees, outcomes hours ahead, gaps of
days, and holes in the bars at the hours at which models are trained."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from tests.support.book_twins import BookTwins
from tests.support.drawn_fits import BEGINS, HOURS, KINDS, SMALL, DrawnFits, DrawnMarket, fit_params, market
from tests.support.global_family import known
from tests.support.rig import quick_params
from tests.support.twins import Twins, told
from trader.core.errors import TraderError
from trader.core.hours import Rules
from trader.core.params import params_of
from trader.core.types import HOUR_MS, Filters


def drawing(examples: int) -> settings:
    """So many examples beside those that are always looked at. Not shrunk: an example is a whole replay, and small as it is."""
    phases = [Phase.explicit, *([Phase.generate] if examples else [])]
    return settings(
        max_examples=max(1, examples), suppress_health_check=list(HealthCheck), phases=phases, deadline=None
    )


@pytest.fixture(autouse=True)
def _pooled(tmp_path: Path) -> Iterator[None]:
    with known(tmp_path):
        yield


@st.composite
def one_symbol(draw: st.DrawFn) -> DrawnFits:
    """A bot of one symbol whose fits see up to two more."""
    params, begins = draw(fit_params()), draw(st.integers(BEGINS, BEGINS + 24))
    names = [] if params["model"]["family"] == "naive" else ["BTCUSDT", "ZECUSDT"]
    names = draw(st.lists(st.sampled_from(names), unique=True)) if names else []
    others = tuple(draw(market(it, begins, params, traded=False)) for it in names)
    if names:
        params["train_symbols"] = ["ETHUSDT", *names]
    elif params["model"]["family"] == "pooled":
        params["train_symbols"] = ["ETHUSDT"]
    traded = draw(market("ETHUSDT", begins, params, traded=True))
    return DrawnFits(params, traded, others, begins, draw(st.booleans()))


def twins_of(drawn: DrawnFits) -> Twins:
    """The two hosts of a bot of one symbol."""
    bars = drawn.traded.bars
    usual = Filters.derived(float(bars.close[bars.row(drawn.start)]))
    filters = Filters(usual.tick_size, usual.step_size, Decimal(5))
    rules = Rules(params_of(quick_params(**drawn.params), "drawn"), filters, freeze_on_halt=drawn.freeze)
    others = tuple(it.bars for it in drawn.others)
    return Twins(bars, rules, drawn.start, drawn.start + HOURS * HOUR_MS, others)


def compared(drawn: DrawnFits) -> Counter[str]:
    """What the hours held, or that both refused."""
    twins = twins_of(drawn)
    try:
        backtest = twins.backtest()
    except TraderError as error:
        with tempfile.TemporaryDirectory() as folder, pytest.raises(TraderError):
            twins.replay(Path(folder))
        return Counter({"refused": 1, f"refused: {str(error)[:60]}": 1})
    with tempfile.TemporaryDirectory() as folder:
        assert twins.replay(Path(folder)) == backtest
    return told(backtest)


TREES = {"family": "xgboost", **SMALL["xgboost"]}
# A gap of two days over a refit each day, and another symbol that is shut when models are trained.
LONG_GAP = DrawnFits(
    {"model": TREES, "look_back_days": 8, "step_days": 1, "gap_hours": 49, "enter_edge": 0.0,
     "train_symbols": ["BTCUSDT", "ETHUSDT"]},
    DrawnMarket("ETHUSDT", 1, ((BEGINS + 3, 2),)),
    (DrawnMarket("BTCUSDT", 2, ((BEGINS - 50, 30),)),),
)  # fmt: skip  # parameters, then markets


@pytest.mark.parametrize(
    "examples", [1, pytest.param(60, marks=[pytest.mark.long, pytest.mark.timeout(3_600)])]
)
def test_replay_is_the_backtest_on_drawn_fits(examples: int) -> None:
    """Every line is equal, or both hosts refuse."""
    seen: Counter[str] = Counter()

    @drawing(examples)
    @given(one_symbol())
    @example(LONG_GAP)
    def compare(drawn: DrawnFits) -> None:
        seen.update(compared(drawn))

    compare()
    assert seen["orders"] >= examples, seen
    assert seen["refused"] <= examples / 3 + 1, seen


@st.composite
def books(draw: st.DrawFn) -> DrawnFits:
    """A book of two or three symbols: pooled or not, each symbol's fits on its own bars, on all, or on one more."""
    pool = draw(st.booleans())
    params = draw(fit_params(("xgboost", "lightgbm") if pool else KINDS))
    begins = draw(st.integers(BEGINS, BEGINS + 24))
    names = ["AAUSDT", "BBUSDT", "CCUSDT"][: draw(st.integers(2, 3))]
    markets = [draw(market(it, begins, params, traded=True)) for it in names]
    beside: tuple[DrawnMarket, ...] = ()
    if not pool and params["model"]["family"] != "naive" and draw(st.booleans()):
        if draw(st.booleans()):
            beside = (draw(market("ZZUSDT", begins, params, traded=False)),)
        params["train_symbols"] = [*names, *(it.symbol for it in beside)]
    elif params["model"]["family"] == "pooled":
        params["train_symbols"] = names
    cap = {"AAUSDT": 0.6} if draw(st.booleans()) else {}
    book = {
        "capital_usdt": draw(st.sampled_from([300, 3_000])),
        "rebalance_hours": draw(st.sampled_from([1, 7, 24])),
        "shares": draw(st.sampled_from(["equal", "inverse_volatility"])),
        "share_hours": 72,
        **({"pool": True} if pool else {}),
        **({"largest_exposure": 0.5} if draw(st.booleans()) else {}),
        **({"largest_order_usdt": 120} if draw(st.booleans()) else {}),
        **({"orders_a_day": 6} if draw(st.booleans()) else {}),
        **({"halt_drawdown": 0.02} if draw(st.booleans()) else {}),
        **({"cap": cap} if cap else {}),
    }
    return DrawnFits(params, markets[0], (*markets[1:], *beside), begins, book=book)


# The same of a pooled book, whose symbols are shut one after the other when its model is trained.
LONG_GAP_BOOK = DrawnFits(
    {
        "model": TREES,
        "look_back_days": 8,
        "step_days": 1,
        "gap_hours": 49,
        "horizon_hours": 2,
        "enter_edge": 0.0,
    },
    DrawnMarket("AAUSDT", 1, ((BEGINS - 50, 5),)),
    (DrawnMarket("BBUSDT", 2, ((BEGINS - 26, 3), (BEGINS + 10, 2))),),
    book={
        "capital_usdt": 3_000,
        "rebalance_hours": 7,
        "pool": True,
        "orders_a_day": 12,
        "cap": {"AAUSDT": 0.6},
    },
)


def compared_books(drawn: DrawnFits) -> Counter[str]:
    """The same of a book: every file of both hosts."""
    markets = (drawn.traded, *drawn.others)
    traded = tuple(it.bars for it in markets if it.symbol != "ZZUSDT")
    others = tuple(it.bars for it in markets if it.symbol == "ZZUSDT")
    twins = BookTwins(traded, others, drawn.book, drawn.params, drawn.start, drawn.start + HOURS * HOUR_MS)
    with tempfile.TemporaryDirectory() as folder:
        book = twins.written(Path(folder))
        try:
            backtest = twins.backtest(book)
        except TraderError as error:
            with pytest.raises(TraderError):
                twins.replay(book)
            return Counter({"refused": 1, f"refused: {str(error)[:60]}": 1})
        replayed = twins.replay(book)
        for name, lines in backtest.items():
            assert replayed[name] == lines, name
    seen: Counter[str] = Counter()
    for it in traded:
        seen.update(told(backtest[it.symbol]))
    return seen


@pytest.mark.parametrize(
    "examples", [0, pytest.param(30, marks=[pytest.mark.long, pytest.mark.timeout(3_600)])]
)
def test_a_replayed_book_is_the_backtest_on_drawn_fits(examples: int) -> None:
    """Every line of every file is equal, or both hosts refuse."""
    seen: Counter[str] = Counter()

    @drawing(examples)
    @given(books())
    @example(LONG_GAP_BOOK)
    def compare(drawn: DrawnFits) -> None:
        seen.update(compared_books(drawn))

    compare()
    assert seen["orders"] > examples, seen
    assert seen["refused"] <= examples / 3 + 1, seen
