"""What a report of a book says beside its run: alternatives, stress, everything tried, capacity, regret, survivorship."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backtest.commands.book_inputs import given_book
from backtest.engine.book import Sleeve, simulate_book
from backtest.engine.book_capacity import capacity_of, quote_volume, regrets
from backtest.evidence.book_judgement import TradedBook, assess_book
from backtest.evidence.ledger import Count, Entry, count_of_all
from backtest.report.drawing import NARROW, WIDE, Paper, by_date, figure, svg
from tests.support.bars_made import bars_made
from tests.support.rig import command, quick_params
from trader.adapters.files import write_bars
from trader.core.book import BookRules
from trader.core.book_params import BookParams
from trader.core.errors import ConfigError
from trader.core.hours import Rules
from trader.core.params import params_of
from trader.core.types import HOUR_MS, Bars, Filters, Matrix

SYMBOLS = ("AAUSDT", "BBUSDT", "CCUSDT")
PRICES = (40_000.0, 1_500.0, 20.0)
HOURS, FIRST = 120, 200
PARAMS = params_of(quick_params(allocation_usdt=3_000), "a test")


def market() -> list[Bars]:
    """Three symbols of 400 hours."""
    told = zip(SYMBOLS, PRICES, strict=True)
    return [bars_made(400, i + 1, symbol=it, price=price, decimals=4) for i, (it, price) in enumerate(told)]


def traded(filters: Sequence[Filters | None] = (None, None, None), **changes: Any) -> TradedBook:
    """A book whose signals stay for eight hours; filters: a symbol's own in place of those that suit its price."""
    bars = market()
    start = bars[0].first + FIRST * HOUR_MS
    values = {"symbols": SYMBOLS, "capital_usdt": 3_000, "rebalance_hours": 24, "share_hours": 48, **changes}
    rules = BookRules(BookParams.model_validate(values), start)
    noise = np.repeat(np.random.default_rng(7).normal(size=(3, HOURS // 8)), 8, axis=1)
    p_up = (0.5 + 0.1 * np.clip(noise, -2, 2)).astype(np.float32)
    sleeves = [
        Sleeve(it, Rules(PARAMS, own or Filters.derived(float(it.close[FIRST]))), row)
        for it, own, row in zip(bars, filters, p_up, strict=True)
    ]
    stop = start + HOURS * HOUR_MS
    return TradedBook(sleeves, rules, stop, simulate_book(sleeves, rules, stop))


def count_of(configurations: int) -> Count:
    """So many configurations of one Sharpe ratio's deviation."""
    return Count(configurations, configurations, 0, 0.02)


def test_the_alternatives_are_books_of_the_same_symbols_and_shares() -> None:
    """Costs x 1 is the book itself, dearer trading is worse; buy and hold is `simulate_book` with every symbol always wanted;
    each seed is a book; more configurations deflate more."""
    book = traded()
    rising = [np.ones(HOURS, np.float32)] * 3
    seeds = [[it.p_up for it in book.sleeves], rising]
    told = assess_book(book, rising, seeds, count_of(10))
    final = float(book.run.lines[-1].equity) / 3_000 - 1
    assert told.strategy.net_return == told.stress[0].net_return == pytest.approx(final)
    assert [it.name for it in told.stress] == ["costs x 1", "costs x 2", "costs x 3", "one bar late"]
    assert told.stress[0].net_return > told.stress[1].net_return > told.stress[2].net_return
    assert told.seeds.net_returns[0] == pytest.approx(final)
    named = {it.name: it for it in told.baselines}
    always = Rules(
        PARAMS.model_copy(update={"halt_cumulative_return": None, "enter_edge": 0.0, "exit_edge": 0.0}),
        book.sleeves[0].rules.filters,
    )
    held = [
        Sleeve(it.bars, replace(always, filters=it.rules.filters), row)
        for it, row in zip(book.sleeves, rising, strict=True)
    ]
    free = book.rules.params.model_copy(update={"halt_cumulative_return": None})
    hold = simulate_book(held, replace(book.rules, params=free), book.stop)
    assert named["buy and hold"].net_return == pytest.approx(float(hold.lines[-1].equity) / 3_000 - 1)
    assert named["flat"].net_return == 0
    assert assess_book(book, rising, seeds, count_of(1_000)).dsr < told.dsr < told.psr
    assert told.random_entry_test is not None
    assert 0 < told.random_entry_test.share_below < 1
    assert told.verdict.startswith("Do not trade: it loses" if final < 0 else "Do not trade")


def test_what_was_tried_on_any_symbol_counts_once() -> None:
    """Equal configurations of several ledgers are one; of looks and evaluations the most that a symbol had."""

    def entry(kind: Any, config: str, sharpe: float | None = None) -> Entry:
        return Entry(kind, config, 0, 10, sharpe, "a test", 0)

    one = [entry("run", "a", 0.1), entry("look", "a"), entry("run", "b", 0.3)]
    two = [entry("run", "a", 0.1), entry("look", "a"), entry("look", "c"), entry("failed", "d")]
    told = count_of_all([one, two], 0, 10)
    assert (told.configurations, told.evaluations, told.looks) == (3, 2, 2)
    assert told.sharpe_deviation == pytest.approx(float(np.std([0.1, 0.3], ddof=1)))


def test_capacity_is_what_keeps_orders_small_beside_the_volume() -> None:
    """Each fill beside the quote volume of the bar that opens at its hour; the capital scales it to one percent; a source's own
    quote volume wins over volume x close, and bars without volume say nothing."""
    book = traded()
    run, bars = book.run.sleeves[0], book.sleeves[0].bars
    shares = sorted(
        float(fill.qty * fill.price) / quote_volume(bars)[bars.row(hour) + 1]
        for hour, fill in run.run.track.fills()
    )
    told = capacity_of(run, bars, Decimal(3_000))
    assert told.fills == len(shares) > 3
    assert told.largest_share == pytest.approx(shares[-1])
    assert told.capital_usdt == pytest.approx(3_000 * 0.01 / shares[-(-19 * len(shares) // 20) - 1], rel=0.2)
    own = replace(bars, quote_volume=2 * bars.volume * bars.close)
    more = capacity_of(run, own, Decimal(3_000))
    assert told.capital_usdt is not None
    assert more.capital_usdt == pytest.approx(2 * told.capital_usdt, rel=1e-3)
    still = replace(bars, volume=np.zeros(len(bars)), quote_volume=None)
    assert capacity_of(run, still, Decimal(3_000)).capital_usdt is None


def test_regret_is_what_filters_leave_unbought() -> None:
    """A step of half a share takes half away; a least order above the share takes all, and every rebalance counts as too small;
    a fine step takes next to nothing."""
    close = market()[1].close[FIRST]
    coarse = Filters(Decimal("0.0001"), Decimal(f"{520 / close:.4f}"), Decimal(5))
    dear = Filters(Decimal("0.0001"), Decimal("0.01"), Decimal(2_000))
    told = regrets(traded((None, coarse, dear)).run, traded((None, coarse, dear)).sleeves)
    assert told["AAUSDT"].taken_away < 0.01
    assert 0.4 < told["BBUSDT"].taken_away < 0.55
    assert told["CCUSDT"].taken_away == pytest.approx(0.999, abs=1e-9)  # the buffer is not missed
    assert [told[it].too_small for it in SYMBOLS] == [0, 0, told["CCUSDT"].rebalances]
    assert told["CCUSDT"].rebalances == HOURS // 24
    assert all(it.wished_share == pytest.approx(1 / 3, abs=1e-5) for it in told.values())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bars of three symbols, one of which ends within the hours, and of one that no book names."""
    place = tmp_path_factory.mktemp("report")
    (place / "bars").mkdir()
    for i, symbol in enumerate((*SYMBOLS, "ZZUSDT")):
        bars = bars_made(1_100, i + 1, symbol=symbol, price=30.0, decimals=4)
        write_bars(place / "bars" / f"{symbol}-1h.parquet", bars.rows(0, 1_000 if i == 1 else 1_100))
    (place / "P.json").write_text(json.dumps(quick_params()))
    text = f'symbols = {json.dumps(SYMBOLS)}\ncapital_usdt = 3_000\nrebalance_hours = 24\nparams = "P.json"\npool = true\n'
    (place / "book.toml").write_text(text)
    return place


@pytest.mark.long
def test_the_page_says_all_of_it(folder: Path) -> None:
    """The verdict first, alternatives, capacity and regret of each symbol; which symbol was delisted, and which one was given and
    is not traded; a run of before counts as a look, and its configuration once."""
    words = ("--book", "book.toml", "--bars", "bars", "--from", "2021-02-10", "--to", "2021-02-12", "--json")
    command("backtest", "run", *words, cwd=folder)
    told = json.loads(command("backtest", "report", *words, "--out", "page.html", cwd=folder).stdout)
    evidence, summary = told["evidence"], told["summary"]
    assert (evidence["trials"]["looks"], evidence["trials"]["configurations"]) == (1, 1)
    assert len(evidence["seeds"]["net_returns"]) == 10
    assert len(set(evidence["seeds"]["net_returns"])) > 3
    said = " ".join(told["survivorship"])
    assert "Bars of BBUSDT end at 2021-02-11T16:00 UTC" in said
    assert "The folder of bars also holds 1 further symbol that the book does not trade: ZZUSDT" in said
    assert all(it["regret"]["rebalances"] and it["capacity"]["fills"] for it in summary["symbols"].values())
    page = (folder / "page.html").read_text()
    for text in (
        evidence["verdict"].split(";")[0][:40],
        "buy and hold",
        "taken away",
        "capacity, USDT",
        "ZZUSDT",
    ):
        assert text in page
    assert "<script" not in page


def test_all_symbols_without_bars_are_named(folder: Path) -> None:
    """At once, with the command that gets them."""
    text = (folder / "book.toml").read_text().replace('"CCUSDT"', '"LUNAUSDT", "MATICUSDT"')
    (folder / "gone.toml").write_text(text)
    with pytest.raises(
        ConfigError,
        match=r"no bars of LUNAUSDT, MATICUSDT\. .*delisted symbols too.*collect --symbols LUNAUSDT,MATICUSDT",
    ):
        given_book(folder / "gone.toml", [folder / "bars"], "2021-02-10", "2021-02-13")


def test_signals_of_a_symbol_that_ended_are_none() -> None:
    """Yesterday's sign of it says nothing after its bars, as its own signals do."""
    from backtest.evidence.book_judgement import _yesterday

    book = traded()
    gone: Matrix = book.sleeves[0].p_up.copy()
    gone[50:] = np.nan
    said = _yesterday(replace(book.sleeves[0], p_up=gone), book)
    assert np.isnan(said[50:]).all()
    assert set(said[:50].tolist()) == {0.0, 1.0}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("paper", "days"), [(WIDE, 5), (NARROW, 1), (NARROW, 4), (NARROW, 1_500)])
def test_dates_of_any_span_are_drawn_without_a_warning(paper: Paper, days: int) -> None:
    """A report of a few days, and of a few years: nothing is said on standard error, and the dates fit the width."""
    first = np.datetime64("2021-01-29")
    with figure(paper, 2.0) as (made, axes):
        axes.plot(np.arange(first, first + days, dtype="datetime64[D]"), np.arange(days))
        by_date(axes.xaxis, paper)
        assert "<svg" in svg(made, "a line", paper)
        assert 2 < len(axes.get_xticklabels()) <= 11
